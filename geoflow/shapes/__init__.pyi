from .data import GridSource as GridSource
from .data import ScanSource as ScanSource
from .latents import load_autoencoder as load_autoencoder
from .model import LatentGenerator as LatentGenerator
from .model import ObjectGenerator as ObjectGenerator
from .reconstruct import Scan as Scan
from .reconstruct import read_scan as read_scan
