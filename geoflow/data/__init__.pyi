from .bricks import decode_sdf as decode_sdf
from .bricks import encode_sdf as encode_sdf
from .shards import ShapeDataset as ShapeDataset
from .shards import ShapeWriter as ShapeWriter
from .shards import StoredShape as StoredShape
from .shards import split_of as split_of
