"""Where pictures are taken from: y up, azimuth 0 and elevation 0 look at the front (+z)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

VIEW_ANGLE = 24.0  # degrees, of a view in perspective


def camera_axes(azimuth: float, elevation: float) -> NDArray[np.float64]:
    """(3, 3) unit rows in world axes: the picture's right and up, and back towards the camera.

    Both angles in degrees: with azimuth > 0 the camera stands to the right, at positive x; with
    elevation > 0 it looks down.
    """
    a, e = math.radians(azimuth), math.radians(elevation)
    back = np.array([math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)])
    right = np.array([math.cos(a), 0.0, -math.sin(a)])
    return np.stack([right, np.cross(back, right), back])


def fit_view(points: NDArray[np.floating[Any]], margin: float = 1.12) -> NDArray[np.float64]:
    """(V, 3) in camera axes -> the camera's position there, so that the points fill the view."""
    slope = math.tan(math.radians(VIEW_ANGLE / 2)) / margin
    rows = np.ascontiguousarray(points.T)  # reductions along rows are ten times as fast
    across, back = rows[:2], rows[2]
    # An edge of the view is a line back * slope +- across = constant; the points touch it here.
    high, low = (back * slope + across).max(axis=1), (back * slope - across).max(axis=1)
    distance = float((high + low).max()) / (2 * slope)
    centre = (high - low) / 2
    for _ in range(12):  # the shorter direction has room: centre what is seen in it
        seen = (across - centre[:, None]) / (distance - back)
        centre = centre + distance * (seen.max(axis=1) + seen.min(axis=1)) / 2
    return np.array([*centre, distance])
