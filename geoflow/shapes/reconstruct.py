"""From a sparse cloud to a closed surface, in one network call.

    mesh = reconstruct(load_generator("objects"), points, steps=1)

The cloud is centred and scaled by its bounding box into the frame that the network knows, and the
mesh comes back in the cloud's own frame and unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from geoflow.flow.noise import draw_noise
from geoflow.geometry import isosurface
from geoflow.geometry.frames import Frame, fit_frame
from geoflow.geometry.mesh import SurfaceMesh, describe, remove_fragments
from geoflow.geometry.pointcloud import farthest_points
from geoflow.model.batches import single_threaded_torch
from geoflow.model.maker import category_among
from geoflow.shapes.model import MeshRequest, ObjectGenerator

FEWEST, MOST, READ, KEPT = 16, 1024, 20_000, 1_000_000
"""Points a cloud needs; points the network reads; points they are chosen from; points looked at."""


@dataclass(frozen=True)
class Scan:
    """A cloud as the network reads it.

    Attributes:
        points: (L, 3) float32 in the cube [-1, 1]^3, y up, at most 1,024.
        frame: where the cloud was.
    """

    points: torch.Tensor
    frame: Frame


def check_cloud(points: Any) -> NDArray[np.float64]:
    """An array -> (N, 3) float64 of different points; of more than a million, a million of them.

    Raises:
        ValueError: it is no (N, 3) array of finite numbers, has fewer than 16 different points, or
            they all lie in one place.
    """
    cloud = np.asarray(points)
    if cloud.ndim != 2 or cloud.shape[1] != 3 or not np.issubdtype(cloud.dtype, np.number):
        raise ValueError(f"a cloud must be (N, 3) numbers; given {cloud.shape} {cloud.dtype}")
    cloud = cloud.astype(np.float64)
    wrong = int((~np.isfinite(cloud)).any(1).sum())
    if wrong:
        raise ValueError(
            f"a cloud must be finite; {wrong} of {len(cloud)} points are not; remove them"
        )
    if len(cloud) > KEPT:
        cloud = cloud[np.random.default_rng(0).choice(len(cloud), KEPT, replace=False)]
    cloud = np.unique(cloud, axis=0)
    if len(cloud) < FEWEST:
        raise ValueError(
            f"a cloud needs at least {FEWEST} different points; given {len(cloud)}; scan more"
        )
    return cloud


def choose_points(points: NDArray[np.float64], most: int = MOST) -> torch.Tensor:
    """(N, 3) -> (at most `most`, 3) float32, spread evenly: each is farthest from those before."""
    cloud = points.astype(np.float32)
    if len(cloud) > READ:
        generator = torch.Generator().manual_seed(0)
        cloud = cloud[torch.randperm(len(cloud), generator=generator)[:READ].numpy()]
    if len(cloud) > most:
        cloud = cloud[farthest_points(cloud, most)]
    return torch.from_numpy(cloud)


def read_scan(points: Any, up: str = "y") -> Scan:
    """(N, 3) points in any unit -> what the network reads of them.

    Raises:
        ValueError: as `check_cloud` and `fit_frame`.
    """
    cloud = check_cloud(points)
    frame = fit_frame(cloud, up)
    return Scan(choose_points(frame.into_cube(cloud)), frame)


def reconstruct(
    generator: ObjectGenerator,
    points: Any,
    *,
    steps: int = 1,
    category: str | None = None,
    seed: int = 0,
    resolution: int = 128,
    up: str = "y",
    **options: Any,
) -> SurfaceMesh:
    """A closed surface through (or near) the points.

    Args:
        generator: with a network that reads clouds.
        points: (N, 3) in any unit, at least 16 different ones; or what `read_scan` made of them.
        steps: network calls.
        category: what the cloud is of, if known.
        seed: of the noise; where the cloud says nothing, another seed gives another guess.
        resolution: 64, 128 or 256 cells a side.
        up: axis that points up in the cloud, "y" (facing +z) or "z" (facing -y); a Scan knows it.
        options: cumulative, on_step: see `ObjectGenerator.sdf`.

    Returns:
        the mesh in the cloud's frame and unit.

    Raises:
        ValueError: a cloud that cannot be used, an argument out of range, or no surface came out.
    """
    MeshRequest(steps, seed=seed, resolution=resolution)
    if category is not None:
        category = category_among(generator.categories, category)
    scan = points if isinstance(points, Scan) else read_scan(points, up)
    noise, clouds = draw_noise(seed, 0, generator.noise_shape())[None], scan.points[None]
    with single_threaded_torch():
        grid = generator.sdf(noise, [category], clouds=clouds, steps=steps, **options)[0]
        fine = isosurface.upsample_tricubic(grid.float().cpu().numpy(), resolution)
    vertices, faces, removed = remove_fragments(*isosurface.extract_surface(fine))
    return describe(scan.frame.back(vertices), faces, removed)
