from .shards import ShapeDataset as ShapeDataset
from .shards import ShapeWriter as ShapeWriter
from .shards import StoredShape as StoredShape
from .shards import split_of as split_of
