"""Point clouds: sampled from surfaces, normalised. numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def sample_surface(
    vertices: NDArray[np.floating[Any]],
    faces: NDArray[np.integer[Any]],
    count: int,
    seed: int | np.random.Generator = 0,
) -> tuple[Points, Points]:
    """Points spread evenly over the area of a mesh, independent of its tessellation.

    Args:
        vertices: (V, 3) in any unit.
        faces: (F, 3) indices, counter-clockwise seen from outside.
        count: Points to draw.
        seed: An integer, or a generator that is advanced.

    Returns:
        points (count, 3) in the vertices' unit, and the unit normals (count, 3) of their faces.

    Raises:
        ValueError: `count` is below 1, or the mesh has no area.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1; it is {count}; 2048 is usual")
    rng = np.random.default_rng(seed)
    corners = np.asarray(vertices, dtype=np.float64)[np.asarray(faces, dtype=np.int64)]
    origin, u, v = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normal = np.cross(u, v)
    double_area = np.linalg.norm(normal, axis=1)
    total_area(double_area / 2)
    # Searching the cumulative area skips faces of no area: side="right" never stops on one.
    cumulative = np.cumsum(double_area)
    face = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right")
    face = np.minimum(face, np.flatnonzero(double_area)[-1])
    a, b = rng.random((2, count, 1))
    outside = a + b > 1  # fold the parallelogram's far half back onto the triangle
    a, b = np.where(outside, 1 - a, a), np.where(outside, 1 - b, b)
    points = origin[face] + a * u[face] + b * v[face]
    return points, normal[face] / double_area[face, None]


def total_area(areas: NDArray[np.float64]) -> float:
    """(F,) areas of a mesh's faces -> their sum.

    Raises:
        ValueError: it is not positive and finite: nothing can be drawn from that mesh.
    """
    total = float(areas.sum())
    if not (np.isfinite(total) and total > 0):
        raise ValueError(
            f"the mesh must have a positive, finite area; its {len(areas)} faces sum to "
            f"{total:g}; remove degenerate faces and NaN first"
        )
    return total


def normalise(
    points: NDArray[np.floating[Any]], longest_side: float = 1.8
) -> tuple[Points, Points, float]:
    """(N, 3) -> centred points whose bounding box has the given longest side.

    Args:
        points: (N, 3) in any unit.
        longest_side: Of the result's bounding box; 1.8 leaves a margin in the cube [-1, 1]^3.

    Returns:
        normalised (N, 3), and centre (3,) and scale with points = normalised * scale + centre.

    Raises:
        ValueError: There are no points, they coincide, or a coordinate is not finite.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise ValueError(f"points must have shape (N, 3), N >= 1; theirs is {points.shape}")
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max())
    if not (np.isfinite(side) and side > 0):
        raise ValueError(
            f"points must be finite and span a box with a positive side; the side is {side:g}; "
            "remove NaN and repeated points first"
        )
    centre, scale = (low + high) / 2, side / longest_side
    return (points - centre) / scale, centre, scale
