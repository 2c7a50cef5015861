from .data import SurfaceSource as SurfaceSource
from .model import SurfaceModel as SurfaceModel
