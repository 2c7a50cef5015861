from .batches import single_threaded_torch as single_threaded_torch
from .checkpoint import has_checkpoint as has_checkpoint
from .checkpoint import load_checkpoint as load_checkpoint
from .checkpoint import save_checkpoint as save_checkpoint
from .config import SamplingSettings as SamplingSettings
from .config import read_part as read_part
from .device import half_precision as half_precision
from .device import pick_device as pick_device
