"""Point clouds to binary .ply, block by block: a cloud need not fit in memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from geoflow.files import open_atomically
from geoflow.io.arrays import FloatArray


def write_cloud(
    path: Path, blocks: Iterable[FloatArray], count: int, *, coloured: bool = False
) -> None:
    """Writes blocks of points, `count` in all, as they come; whole or not at all.

    Raises ValueError where a point is not finite, or the blocks hold another number of points;
    OSError where the disk is full or the folder not writable.
    """
    with open_atomically(path, sync=False) as file:
        file.write(ply_header(count, coloured=coloured))
        held = 0
        for block in blocks:
            file.write(ply_rows(block))
            held += len(block)
        if held != count:
            raise ValueError(f"blocks must hold count={count} points in all; they held {held}")


def ply_header(count: int, *, coloured: bool) -> bytes:
    """The head of a binary little-endian .ply of `count` points."""
    lines = ["ply", "format binary_little_endian 1.0", "comment geoflow", f"element vertex {count}"]
    lines += [f"property float {axis}" for axis in "xyz"]
    lines += [f"property uchar {colour}" for colour in ("red", "green", "blue") if coloured]
    return "\n".join([*lines, "end_header", ""]).encode()


def ply_rows(points: FloatArray) -> bytes:
    """(N, 3) positions, or (N, 6) with RGB in [0, 1] (clipped) -> the rows after the head.

    Raises ValueError where they have another shape or are not finite.
    """
    if points.ndim != 2 or points.shape[1] not in (3, 6):
        raise ValueError(f"points must have shape (N, 3) or (N, 6); theirs is {points.shape}")
    if not np.isfinite(points).all():
        bad = int((~np.isfinite(points)).any(axis=1).sum())
        raise ValueError(f"points must be finite; {bad} of {len(points)} are not; drop them")
    rows = np.empty(len(points), [("place", "<f4", 3), ("colour", "u1", points.shape[1] - 3)])
    rows["place"] = points[:, :3]
    rows["colour"] = np.rint(255 * np.clip(points[:, 3:], 0, 1))
    return rows.tobytes()
