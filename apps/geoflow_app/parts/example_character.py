"""A character made by code: a closed figure in T-pose, for trying the Joints tab without a file."""

from __future__ import annotations

import numpy as np

from geoflow import SurfaceMesh
from geoflow.geometry import describe

CELL = 0.0215  # metres
BLEND = 0.03  # how softly parts join, metres

BALLS: list[tuple[tuple[float, float, float], tuple[float, float, float]]] = [
    ((0.0, 1.63, 0.02), (0.078, 0.115, 0.098)),  # skull
    ((0.0, 1.555, 0.055), (0.05, 0.06, 0.055)),  # jaw
    ((0.0, 1.28, 0.005), (0.165, 0.15, 0.115)),  # chest
    ((0.0, 1.1, 0.0), (0.145, 0.19, 0.1)),  # waist
    ((0.0, 0.95, -0.01), (0.165, 0.11, 0.115)),  # hips
    ((0.82, 1.405, 0.005), (0.06, 0.02, 0.042)),  # palm
]
"""Centres and half axes, metres; y up, facing +z. What is not in the middle is mirrored."""

LIMBS: list[tuple[tuple[float, float, float], float, tuple[float, float, float], float]] = [
    ((0.0, 1.4, -0.01), 0.058, (0.0, 1.55, 0.01), 0.052),  # neck
    ((0.06, 1.385, -0.01), 0.075, (0.19, 1.4, -0.01), 0.07),  # shoulder
    ((0.19, 1.4, -0.01), 0.062, (0.47, 1.405, -0.015), 0.045),  # upper arm
    ((0.47, 1.405, -0.015), 0.046, (0.74, 1.405, 0.0), 0.029),  # forearm
    ((0.74, 1.405, 0.0), 0.029, (0.8, 1.405, 0.005), 0.03),  # wrist
    ((0.84, 1.4, -0.025), 0.013, (0.915, 1.395, -0.035), 0.011),  # fingers
    ((0.85, 1.402, -0.002), 0.013, (0.935, 1.397, -0.003), 0.011),
    ((0.84, 1.402, 0.022), 0.013, (0.92, 1.397, 0.03), 0.011),
    ((0.78, 1.4, 0.035), 0.016, (0.835, 1.39, 0.08), 0.012),  # thumb
    ((0.095, 0.92, -0.005), 0.09, (0.11, 0.51, 0.005), 0.058),  # thigh
    ((0.11, 0.51, 0.005), 0.058, (0.115, 0.38, -0.015), 0.06),  # calf
    ((0.115, 0.38, -0.015), 0.06, (0.12, 0.09, -0.02), 0.04),  # shin
    ((0.12, 0.05, -0.04), 0.045, (0.135, 0.035, 0.13), 0.032),  # foot
    ((0.12, 0.09, -0.02), 0.045, (0.128, 0.055, 0.06), 0.042),  # instep
]
"""Ends and their radii; mirrored in the same way."""


def example_character() -> SurfaceMesh:
    """The figure, 1.74 m high, in metres, y up, facing +z."""
    from skimage.measure import marching_cubes

    low, high = np.array((-1.0, -0.06, -0.2)), np.array((1.0, 1.8, 0.24))
    axes = [np.arange(a, b, CELL) for a, b in zip(low, high, strict=True)]
    x, y, z = (a.astype(np.float32) for a in np.meshgrid(*axes, indexing="ij"))
    points = np.stack((np.abs(x), y, z), -1)  # one half is computed for both
    distance = np.full(x.shape, 1.0, np.float32)
    for centre, axis in BALLS:
        distance = _join(distance, _ball(points, centre, axis))
    for start, first, end, last in LIMBS:
        distance = _join(distance, _limb(points, start, first, end, last))
    vertices, faces, _, _ = marching_cubes(distance, 0.0, gradient_direction="descent")
    return describe(vertices * CELL + low, faces.astype(np.int64))


def _ball(points: np.ndarray, centre: tuple[float, ...], axis: tuple[float, ...]) -> np.ndarray:
    """About the distance to an ellipsoid."""
    offset = points - np.array(centre, np.float32)
    near = np.linalg.norm(offset / np.array(axis, np.float32), axis=-1)
    slope = np.linalg.norm(offset / np.array(axis, np.float32) ** 2, axis=-1)
    return near * (near - 1) / np.maximum(slope, 1e-6)


def _limb(
    points: np.ndarray, start: tuple[float, ...], first: float, end: tuple[float, ...], last: float
) -> np.ndarray:
    """About the distance to a tapered capsule."""
    way = np.array(end, np.float32) - np.array(start, np.float32)
    offset = points - np.array(start, np.float32)
    along = np.clip(offset @ way / np.dot(way, way), 0, 1)
    radius = first + along * (last - first)
    return np.linalg.norm(offset - along[..., None] * way, axis=-1) - radius


def _join(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The union with a rounded seam."""
    h = np.clip(0.5 + 0.5 * (a - b) / BLEND, 0, 1)
    return a + h * (b - a) - BLEND * h * (1 - h)
