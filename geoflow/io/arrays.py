"""What the arrays of meshes and clouds must be, before they are written and after they are read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoflow.geometry.frames import Frame

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
Points = NDArray[np.float64]
Faces = NDArray[np.int64]

MAX_COORDINATE = 1e9


def check_mesh(vertices: FloatArray, faces: IntArray, name: str = "mesh") -> None:
    """Raises ValueError, which starts with `name`, unless (V, 3), (F, 3) are a mesh.

    That is: non-empty, finite, every index a vertex.
    """
    shapes = f"vertices {np.shape(vertices)}, faces {np.shape(faces)}"
    if vertices.ndim != 2 or faces.ndim != 2 or vertices.shape[1] != 3 or faces.shape[1] != 3:
        raise ValueError(f"{name}: arrays must be (V, 3) and (F, 3); given {shapes}; reshape them")
    if len(vertices) == 0 or len(faces) == 0:
        raise ValueError(f"{name}: needs at least one face; given {shapes}; nothing to work with")
    if not np.issubdtype(faces.dtype, np.integer):
        raise ValueError(f"{name}: faces must be integers; given {faces.dtype}; convert them")
    _check_coordinates(vertices, name)
    low, high = int(faces.min()), int(faces.max())
    if low < 0 or high >= len(vertices):
        raise ValueError(
            f"{name}: face indices must lie in 0..{len(vertices) - 1}; they span {low}..{high}; "
            "the file is damaged or its faces belong to other vertices"
        )


def check_points(points: FloatArray, name: str) -> None:
    """Raises ValueError, starting with `name`, unless (N, 3) are points, at least one, finite."""
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"{name}: points must be (N, 3); given {points.shape}; reshape them")
    if len(points) == 0:
        raise ValueError(f"{name}: must hold at least one point; it has none; check the export")
    _check_coordinates(points, name)


def _check_coordinates(points: FloatArray, name: str) -> None:
    good = np.abs(points) <= MAX_COORDINATE  # False for NaN too
    if not good.all():
        raise ValueError(
            f"{name}: coordinates must be finite and within +-{MAX_COORDINATE:g}; "
            f"{int((~good).any(axis=1).sum())} of {len(points)} points are not; repair or drop them"
        )


def check_digits(suffix: str, frame: Frame) -> None:
    """Raises ValueError where a format's numbers are too coarse for a shape far from the origin.

    The formats are .obj, .glb, .ply, .stl and .3mf; `frame` is where the shape is.
    """
    far = float(np.abs(frame.centre).max()) + frame.side / 2
    text = suffix in (".obj", ".3mf")
    step = max(1e-12, 1e-15 * far) if text else float(np.spacing(np.float32(far)))
    if step > frame.side / 2000:
        hint = "move the cloud to the origin or scale it" if text else "write .obj, or move it"
        raise ValueError(
            f"{suffix} must tell a 2,000th of the cloud's longest side apart; that is "
            f"{frame.side:g} at coordinates up to {far:g}; {hint}"
        )
