"""Pictures of point clouds with numpy alone: a depth buffer of dots, shaded by its own edges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLAY = (0.62, 0.70, 0.78)


def draw_points(
    points: NDArray[np.floating[Any]],
    size: int = 320,
    *,
    centre: NDArray[np.floating[Any]] | None = None,
    radius: float | None = None,
    azimuth: float = 35.0,
    elevation: float = 22.0,
) -> NDArray[np.uint8]:
    """A cloud as dots of one pixel; a pixel far behind its neighbours is darker (eye-dome shading).

    Args:
        points: (N, 3), y up, facing +z, or (N, 6) with RGB in [0, 1].
        size: pixels a side.
        centre, radius: sphere that the picture shows; None fits the points. Points outside of it
            are cut off.
        azimuth, elevation: of the camera, degrees; 0, 0 looks at the front. Orthographic.

    Returns:
        (size, size, 3) uint8 on white.

    Raises:
        ValueError: no points, another shape, or a radius that is not positive.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] not in (3, 6) or len(points) == 0:
        raise ValueError(f"points must have shape (N, 3) or (N, 6), N >= 1; it is {points.shape}")
    low, high = points[:, :3].min(axis=0), points[:, :3].max(axis=0)
    middle = (low + high) / 2 if centre is None else np.asarray(centre)
    radius = float(np.linalg.norm(high - low)) / 2 or 1.0 if radius is None else radius
    if not radius > 0:
        raise ValueError(f"radius must be positive; it is {radius}")
    across, up, back = camera_axes(azimuth, elevation)
    place = (points[:, :3] - middle) / radius
    column = np.rint((place @ across + 1) * (size - 1) / 2).astype(np.int64)
    row = np.rint((1 - place @ up) * (size - 1) / 2).astype(np.int64)
    near = place @ back  # larger is nearer
    seen = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    column, row, near = column[seen], row[seen], near[seen]
    order = np.argsort(near)  # the nearest of a pixel is written last
    pixel = row[order] * size + column[order]
    depth = np.full(size * size, -np.inf)
    depth[pixel] = near[order]
    colour = np.ones((size * size, 3))
    colour[pixel] = points[seen][order, 3:].clip(0, 1) if points.shape[1] == 6 else CLAY
    shade = _eye_dome(depth.reshape(size, size))
    picture = np.where(np.isfinite(depth)[:, None], colour * shade.reshape(-1, 1), 1.0)
    return np.rint(255 * picture).astype(np.uint8).reshape(size, size, 3)


def camera_axes(azimuth: float, elevation: float) -> tuple[NDArray[np.float64], ...]:
    """Unit vectors to the picture's right, up, and back to the camera; angles in degrees."""
    a, e = math.radians(azimuth), math.radians(elevation)
    back = np.array([math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)])
    across = np.array([math.cos(a), 0.0, -math.sin(a)])
    return across, np.cross(back, across), back


def _eye_dome(depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S, S) nearness, -inf for background -> (S, S) brightness in [0.25, 1]."""
    known = np.isfinite(depth)
    padded = np.pad(np.where(known, depth, -1e9), 1, constant_values=-1e9)
    size = len(depth)
    behind = np.zeros_like(depth)
    for down, along in ((0, 1), (2, 1), (1, 0), (1, 2)):
        neighbour = padded[down : down + size, along : along + size]
        behind += np.clip(neighbour - np.where(known, depth, 1e9), 0, 0.05)
    return 0.25 + 0.75 * np.exp(-25 * behind)
