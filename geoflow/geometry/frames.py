"""Where shapes lie: the one fit of a bounding box, and the one turn between y up and z up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoflow.checks import one_of

LONGEST = 1.8
"""The longest side of a shape in the cube [-1, 1]^3; the rest is a margin."""

UPS = ("y", "z")

FloatArray = NDArray[np.floating[Any]]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """Where points were, and the way into the cube [-1, 1]^3 in which networks see them, and back.

    Attributes:
        centre: (3,) of the points' bounding box, in their own frame.
        side: the box's longest side, in the points' unit.
        up: axis that points up in their frame: "y", facing +z, or "z", facing -y (Blender).
        longest: the longest side in the cube.
    """

    centre: Points
    side: float
    up: str = "y"
    longest: float = LONGEST

    def into_cube(self, points: FloatArray) -> Points:
        """(N, 3) -> (N, 3) in the cube, y up, facing +z."""
        return to_y_up((points - self.centre) * (self.longest / self.side), self.up)

    def back(self, points: FloatArray) -> Points:
        """The inverse of `into_cube`."""
        return from_y_up(points, self.up) / (self.longest / self.side) + self.centre


def fit_frame(points: FloatArray, up: str = "y", longest: float = LONGEST) -> Frame:
    """(N, 3) in any unit -> the frame of the points' bounding box; see `Frame`.

    Raises ValueError where the axis is unknown, there are no points, or they are not finite or span
    no box that their coordinates' digits could resolve.
    """
    one_of("up", up, UPS)
    low, high = _box(points)
    return Frame((low + high) / 2, float((high - low).max()), up, longest)


def to_world(points: FloatArray, scale_metres: float) -> Points:
    """(N, 3) -> (N, 3) metres: feet on y = 0, centred in x and z, longest side `scale_metres`.

    Raises ValueError where `scale_metres` is not positive and finite, and as `fit_frame`.
    """
    if not (np.isfinite(scale_metres) and scale_metres > 0):
        raise ValueError(f"scale_metres must be positive, 0.9 for a chair; it is {scale_metres}")
    low, high = _box(points)
    origin = np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    return (np.asarray(points, np.float64) - origin) * (scale_metres / float((high - low).max()))


def _box(points: FloatArray) -> tuple[Points, Points]:
    """(N, 3) -> lowest and highest corner (3,) of their bounding box."""
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise ValueError(f"points must have shape (N, 3), N >= 1; theirs is {points.shape}")
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    side, far = float((high - low).max()), float(np.maximum(-low, high).max())
    if not (np.isfinite(side) and side > max(1e-30, 2e-9 * far)):
        raise ValueError(
            f"points must be finite and span a box; its longest side is {side:g} at coordinates up "
            f"to {far:g}; drop NaN and repeated points, move it to the origin or scale it"
        )
    return low, high


def to_y_up(vectors: NDArray[Any], up: str) -> NDArray[Any]:
    """(N, 3) of a frame whose `up` is "y" or "z" -> y up, facing +z; a rotation, no mirroring."""
    one_of("up", up, UPS)
    x, y, z = vectors.T
    return vectors if up == "y" else np.stack([x, z, -y], axis=1)


def from_y_up(vectors: NDArray[Any], up: str) -> NDArray[Any]:
    """The inverse of `to_y_up`."""
    x, y, z = vectors.T
    return vectors if up == "y" else np.stack([x, -z, y], axis=1)
