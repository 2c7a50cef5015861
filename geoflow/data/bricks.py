"""Sparse distance grids: only the bricks near the surface are kept.

A grid is cut into bricks of 8^3. One whose values all stand at +truncation or at -truncation is
one number; of the others the differences along two axes are stored, which are small where a
surface is smooth. A shape at 128^3 takes 50 kB so, where its grid has 2 MB.
"""

from __future__ import annotations

import lzma

import numpy as np

SIDE = 8
OUTSIDE, INSIDE, STORED = 0, 1, 2
_XZ = [{"id": lzma.FILTER_LZMA2, "preset": 1, "lc": 4, "pb": 0}]


def encode_sdf(sdf: np.ndarray, truncation: float) -> bytes:
    """(R, R, R) distances, clamped to +-truncation -> R and the bricks, packed.

    They are rounded to truncation / 127: at a truncation of 3.2 voxels to 0.025 voxels.
    """
    values = np.rint(np.clip(sdf / truncation, -1, 1) * 127).astype(np.int8)
    side = len(values)
    bricks = _cut(np.pad(values, (0, -side % SIDE), mode="edge"))
    low, high = bricks.min((1, 2, 3)), bricks.max((1, 2, 3))
    kinds = np.full(len(bricks), STORED, np.uint8)
    kinds[low == 127], kinds[high == -127] = OUTSIDE, INSIDE
    stored = bricks[kinds == STORED].view(np.uint8)
    for axis in (2, 3):
        first = np.zeros_like(np.take(stored, [0], axis=axis))
        stored = np.diff(stored, axis=axis, prepend=first)
    packed = lzma.compress(kinds.tobytes() + stored.tobytes(), lzma.FORMAT_RAW, filters=_XZ)
    return side.to_bytes(2, "little") + packed


def decode_sdf(blob: bytes, side: int) -> np.ndarray:
    """The (R, R, R) int8 grid of a blob, in units of truncation / 127.

    Raises:
        ValueError: it is of another side than R = `side`, or damaged.
    """
    if side_of(blob) != side:
        raise ValueError(f"a grid of {side_of(blob)}^3 instead of {side}^3")
    count = -(-side // SIDE)
    data = np.frombuffer(lzma.decompress(blob[2:], lzma.FORMAT_RAW, filters=_XZ), np.uint8)
    kinds, stored = data[: count**3], data[count**3 :].reshape(-1, SIDE, SIDE, SIDE)
    for axis in (3, 2):
        stored = np.cumsum(stored, axis=axis, dtype=np.uint8)
    bricks = np.full((count**3, SIDE, SIDE, SIDE), 127, np.int8)
    bricks[kinds == INSIDE] = -127
    bricks[kinds == STORED] = stored.view(np.int8)
    grid = bricks.reshape(count, count, count, SIDE, SIDE, SIDE).transpose(0, 3, 1, 4, 2, 5)
    return grid.reshape((count * SIDE,) * 3)[:side, :side, :side]


def side_of(blob: bytes | None) -> int | None:
    """R of a packed grid; None of none."""
    return None if blob is None else int.from_bytes(blob[:2], "little")


def _cut(grid: np.ndarray) -> np.ndarray:
    """(R, R, R) -> (bricks, 8, 8, 8), x slowest."""
    n = len(grid) // SIDE
    cut = grid.reshape(n, SIDE, n, SIDE, n, SIDE).transpose(0, 2, 4, 1, 3, 5)
    return np.ascontiguousarray(cut).reshape(-1, SIDE, SIDE, SIDE)
