from .data import SurfaceSource as SurfaceSource
from .model import SurfaceModel as SurfaceModel
from .recipes import SURFACE_FORMS as SURFACE_FORMS
