from .data import PointSource as PointSource
from .mesher import CloudMesher as CloudMesher
from .model import PointGenerator as PointGenerator
