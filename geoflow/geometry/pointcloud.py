"""Point clouds: drawn from surfaces, and points of them that lie far apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoflow.checks import at_least

Floats, Integers = NDArray[np.floating[Any]], NDArray[np.integer[Any]]
Points = NDArray[np.float64]


def sample_surface(
    vertices: Floats, faces: Integers, count: int, seed: int | np.random.Generator = 0
) -> tuple[Points, Points]:
    """(V, 3), (F, 3) -> points (count, 3) evenly over the area, and unit normals (count, 3).

    The points are in the vertices' unit, independent of the tessellation; the normals are their
    faces'. A generator given as `seed` is advanced. Raises ValueError where `count` is below 1, or
    the mesh has no area.
    """
    at_least("count", count, 1)
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
    """(F,) areas of a mesh's faces -> their sum; ValueError unless it is positive and finite."""
    total = float(areas.sum())
    if not (np.isfinite(total) and total > 0):
        raise ValueError(
            f"the mesh must have a positive, finite area; its {len(areas)} faces sum to "
            f"{total:g}; remove degenerate faces and NaN first"
        )
    return total


def farthest_points(points: Floats, count: int) -> NDArray[np.int64]:
    """(N, 3) -> (count,) indices of points spread as far apart as they go.

    The first is point 0; each next one is the farthest from those before it (Eldar et al. 1997).
    Defined to the last index: squared distances are (dx^2 + dy^2) + dz^2 in float32, and the
    smaller index wins a tie. Where fewer than `count` points differ, indices repeat. Raises
    ValueError where `points` is not (N, 3), empty or not finite, or `count` is outside 1..N.
    """
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise ValueError(f"points must be finite, of shape (N, 3); theirs is {points.shape}")
    if not 1 <= count <= len(points):
        raise ValueError(f"count must be in 1..{len(points)}, the points; it is {count}")
    axes = np.ascontiguousarray(points.T, np.float32)
    nearest = np.full(len(points), np.inf, np.float32)
    chosen = np.zeros(count, np.int64)
    for i in range(1, count):
        x, y, z = np.square(axes - axes[:, chosen[i - 1], None])
        np.minimum(nearest, x + y + z, out=nearest)
        chosen[i] = nearest.argmax()
    return chosen
