from .data import GridSource as GridSource
from .data import ScanSource as ScanSource
from .model import ObjectGenerator as ObjectGenerator
