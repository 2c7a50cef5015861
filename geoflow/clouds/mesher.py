"""Generated clouds to closed meshes: one network makes the points, another one their surface.

mesher = CloudMesher(load_generator("points"), load_generator("objects"))
for shape in mesher.stream(range(4), steps=1): ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from geoflow.clouds.model import PointGenerator
from geoflow.flow.noise import draw_noise
from geoflow.geometry.mesh import SurfaceMesh, surface_mesh
from geoflow.shapes.model import MeshRequest, ObjectGenerator, Shape
from geoflow.shapes.reconstruct import FEWEST, read_scan


class CloudMesher:
    """A generator of meshes by way of clouds, used as an `ObjectGenerator`.

    Args:
        clouds: makes the clouds.
        surfaces: makes a surface of each in one call; must read clouds and know their categories.

    Attributes:
        digest: of both networks' weights.

    Raises:
        ValueError: `surfaces` reads no clouds, or lacks a category.
    """

    def __init__(self, clouds: PointGenerator, surfaces: ObjectGenerator) -> None:
        surfaces.check_reads_clouds()
        unknown = sorted(set(clouds.categories) - set(surfaces.categories))
        if unknown:
            raise ValueError(
                "surfaces are made of categories that the network of surfaces knows; it does not "
                f"know {', '.join(unknown)}; write clouds (--format ply)"
            )
        if clouds.data.points < FEWEST:
            raise ValueError(
                f"a surface needs clouds of at least {FEWEST} points; the checkpoint's have "
                f"{clouds.data.points}; use another"
            )
        self.clouds, self.surfaces = clouds, surfaces
        self.digest, self.device = f"{clouds.digest}+{surfaces.digest}", clouds.device
        self.category_of = clouds.category_of

    def cloud_shape(self) -> tuple[int, int]:
        """(N, 3), the shape of the noise of one cloud."""
        return self.clouds.data.points, 3

    def sdf(
        self,
        cloud_noise: Tensor,
        noise: Tensor,
        categories: Sequence[str],
        *,
        steps: int = 2,
        guidance: float = 1.0,
        on_step: Callable[[int, Tensor], None] | None = None,
    ) -> Tensor:
        """Carries noise to clouds and these to signed distances.

        Args:
            cloud_noise: (B, N, 3) standard normal, see `cloud_shape`.
            noise: (B, R, R, R) standard normal, of the surfaces.
            categories: B names.
            steps, guidance, on_step: of the clouds, see `PointGenerator.clouds`.

        Returns:
            (B, R, R, R) float32 truncated SDF, see `ObjectGenerator.sdf`.

        Raises:
            ValueError: a cloud that no surface can be made of.
        """
        clouds = self.clouds.clouds(
            cloud_noise, categories, steps=steps, guidance=guidance, on_step=on_step
        )
        if not bool(torch.isfinite(clouds).all()):
            raise ValueError("clouds must be finite; they are not; use another checkpoint")
        scans = torch.stack([read_scan(cloud.cpu().numpy()).points for cloud in clouds])
        return self.surfaces.sdf(noise, categories, clouds=scans, steps=1)

    def mesh(self, grid: Tensor, category: str, resolution: int = 128) -> SurfaceMesh:
        """One grid of `sdf` to a mesh in metres, see `ObjectGenerator.mesh`."""
        metres = self.clouds.metres[self.category_of(0, category)]
        return surface_mesh(grid.float().cpu().numpy(), resolution, metres)

    def stream(self, indices: Sequence[int], **request: Any) -> Iterator[Shape]:
        """Makes meshes in the order of `indices`, see `ObjectGenerator.stream`.

        Args:
            indices: numbers of the shapes.
            request: fields of `MeshRequest`; steps and guidance are of the clouds, and each surface
                takes one call more.

        Yields:
            shapes as they are finished.

        Raises:
            ValueError: an unknown category, a number out of range, or a cloud that no surface can
                be made of.
        """
        asked = MeshRequest(**request)
        self.category_of(0, asked.category)

        def draw(part: Sequence[int], attempt: int) -> Tensor:
            clouds, grids = (
                torch.stack([draw_noise(asked.seed, i, shape, attempt) for i in part])
                for shape in (self.cloud_shape(), self.surfaces.grid_shape())
            )
            names = [self.category_of(i, asked.category) for i in part]
            return self.sdf(clouds, grids, names, steps=asked.steps, guidance=asked.guidance)

        return self.surfaces.mesh_stream(indices, draw, asked, self.clouds)
