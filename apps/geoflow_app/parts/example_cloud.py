"""A scan made by code: a chair of boxes, for trying the Surface from points tab without a file."""

from __future__ import annotations

import numpy as np

from geoflow.geometry import sample_surface

POINTS, NOISE, HOLE = 512, 0.004, 0.17
"""How many, their error's standard deviation, the radius of what the scanner missed; metres."""
MISSED = (0.12, 0.47, 0.12)  # the middle of the hole: a corner of the seat
DENSE = 6_000

BOXES: list[tuple[tuple[float, float, float], tuple[float, float, float]]] = [
    ((0.0, 0.45, 0.0), (0.44, 0.045, 0.44)),  # seat
    ((0.0, 0.90, -0.2), (0.44, 0.1, 0.035)),  # top of the back
    ((0.0, 0.70, -0.2), (0.44, 0.07, 0.03)),  # middle of the back
    ((-0.2, 0.69, -0.2), (0.045, 0.48, 0.045)),  # posts
    ((0.2, 0.69, -0.2), (0.045, 0.48, 0.045)),
    ((-0.2, 0.215, -0.2), (0.045, 0.43, 0.045)),  # legs
    ((0.2, 0.215, -0.2), (0.045, 0.43, 0.045)),
    ((-0.2, 0.215, 0.2), (0.045, 0.43, 0.045)),
    ((0.2, 0.215, 0.2), (0.045, 0.43, 0.045)),
]
"""Middles and sides, metres; y up, facing +z."""


def example_cloud(seed: int = 0) -> np.ndarray:
    """(512, 3) float32 points of a chair 0.95 m high, y up, facing +z: rough, and with a hole."""
    rng = np.random.default_rng(seed)
    points, _ = sample_surface(*_mesh(), DENSE, rng)
    seen = points[_outside(points) & (np.linalg.norm(points - MISSED, axis=1) > HOLE)]
    rough = seen[:POINTS] + NOISE * rng.standard_normal((POINTS, 3))
    return rough.astype(np.float32)


def _mesh() -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of all boxes."""
    import trimesh

    cube = trimesh.creation.box()
    corners, sides = np.asarray(cube.vertices), np.asarray(cube.faces)
    vertices = [corners * size + middle for middle, size in BOXES]
    faces = [sides + i * len(corners) for i in range(len(BOXES))]
    return np.concatenate(vertices), np.concatenate(faces)


def _outside(points: np.ndarray) -> np.ndarray:
    """(N, 3) -> (N,) whether a point lies inside none of the boxes: no scanner sees the joints."""
    inside = np.zeros(len(points), bool)
    for middle, sides in BOXES:
        inside |= (np.abs(points - np.array(middle)) < np.array(sides) / 2 - 1e-6).all(1)
    return ~inside
