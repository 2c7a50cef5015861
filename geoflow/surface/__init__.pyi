from .data import SurfaceSource as SurfaceSource
from .data import read_shape as read_shape
from .model import PointDistribution as PointDistribution
