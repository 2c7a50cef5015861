from .data import SurfaceSource as SurfaceSource
from .model import PointDistribution as PointDistribution
