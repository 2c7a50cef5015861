"""What a character's surface says of its skeleton: what is seen, and how thick a limb is."""

from __future__ import annotations

import numpy as np
import torch

from geoflow.geometry.mesh import face_areas
from geoflow.geometry.pointcloud import Floats, Integers, sample_surface

VIEWS = 42


def sphere_directions(count: int) -> np.ndarray:
    """(count, 3) unit vectors spread evenly (a Fibonacci spiral)."""
    k = np.arange(count) + 0.5
    height, turn = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - height**2)
    return np.stack((ring * np.cos(turn), height, ring * np.sin(turn)), 1)


def visible_side(points: np.ndarray, normals: np.ndarray, cell: float) -> np.ndarray:
    """(N, 3) samples of a surface, unit normals (N, 3) -> (N,) int8, the side seen from outside.

    1: seen from where the normal points, -1: seen rather from behind, 0: hidden. Every direction of
    a sphere looks at the samples through a raster of pixels of side `cell` (the points' unit;
    layers nearer than 2 cells count as one). A sample is seen where it is the foremost of its
    pixel, from 3 directions at least: one pixel may be empty by chance. No other should: about
    6 area / cell^2 samples are dense enough.
    """
    place = torch.from_numpy(np.asarray(points, np.float32))
    normal = torch.from_numpy(np.asarray(normals, np.float32))
    before, behind = torch.zeros(2, len(place))
    for direction in sphere_directions(VIEWS):
        view = torch.from_numpy(direction.astype(np.float32))
        aside = torch.linalg.cross(view, torch.eye(3)[int(view.abs().argmin())])
        aside = aside / aside.norm()
        plane = torch.stack((place @ aside, place @ torch.linalg.cross(view, aside)), 1)
        pixel = ((plane - plane.amin(0)) / cell).long()
        pixel = pixel[:, 0] * (int(pixel[:, 1].max()) + 1) + pixel[:, 1]
        depth = place @ view
        front = torch.full((int(pixel.max()) + 1,), -torch.inf)
        front = front.scatter_reduce(0, pixel, depth, "amax")
        facing = normal @ view
        seen = (depth > front[pixel] - 2 * cell) & (facing.abs() > 0.4)
        before += seen & (facing > 0)
        behind += seen & (facing < 0)
    side = torch.where(before >= behind, 1, -1)
    return torch.where(torch.maximum(before, behind) >= 3, side, 0).to(torch.int8).numpy()


def sample_outside(
    vertices: Floats, faces: Integers, count: int, rng: np.random.Generator, oversample: int = 16
) -> tuple[np.ndarray, np.ndarray, float]:
    """(V, 3), (F, 3) -> uniform samples of what is seen from outside, and the share that is not.

    Points (count, 3) float64, unit normals (count, 3) that point to the viewer, and the hidden
    share of the area; `oversample` samples are looked at for every one returned. Raises ValueError
    where no face has an area, or hardly anything is seen.
    """
    points, normals = sample_surface(vertices, faces, oversample * count, rng)
    area = face_areas(vertices, faces).sum()
    side = visible_side(points, normals, float(np.sqrt(6 * area / len(points))))
    seen = np.flatnonzero(side)
    if len(seen) < count:
        raise ValueError(
            f"a surface must be seen from outside; {len(seen)} of {len(points)} samples are; "
            "raise oversample or repair the mesh"
        )
    keep = seen[:count]
    return points[keep], normals[keep] * side[keep, None], 1 - len(seen) / len(points)
