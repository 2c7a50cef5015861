"""Generated clouds to closed meshes: one network makes the points, another one their surface.

mesher = CloudMesher(load_generator("points"), load_generator("objects"))
for shape in mesher.stream(range(4), steps=1): ...
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from geoflow.clouds.model import PointGenerator
from geoflow.flow.noise import draw_noise
from geoflow.shapes.model import MeshMaker, MeshRequest, ObjectGenerator
from geoflow.shapes.reconstruct import FEWEST, read_scan


class CloudMesher(MeshMaker):
    """A generator of meshes by way of clouds, used as an `ObjectGenerator`.

    `surfaces` makes a surface of each cloud in one call; it must read clouds and know their
    categories. The digest is that of both networks' weights.

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
        self.clouds, self.surfaces, self.metres = clouds, surfaces, clouds.metres
        self.digest, self.device = f"{clouds.digest}+{surfaces.digest}", clouds.device

    def cloud_shape(self) -> tuple[int, int]:
        """(N, 3), the shape of the noise of one cloud."""
        return self.clouds.data.points, 3

    def batch_size(self, usual: float = 1.0) -> int:
        return self.surfaces.batch_size(usual)

    def sdf(
        self, cloud_noise: Tensor, noise: Tensor, categories: Sequence[str], **options: Any
    ) -> Tensor:
        """Carries noise to clouds and these, in one call more, to signed distances.

        Noise is (B, N, 3) and (B, R, R, R) standard normal; options are those of
        `PointGenerator.clouds`. Returns (B, R, R, R) float32, see `ObjectGenerator.sdf`.

        Raises:
            ValueError: a cloud that no surface can be made of.
        """
        clouds = self.clouds.clouds(cloud_noise, categories, **options)
        if not bool(torch.isfinite(clouds).all()):
            raise ValueError("clouds must be finite; they are not; use another checkpoint")
        scans = torch.stack([read_scan(cloud.cpu().numpy()).points for cloud in clouds])
        return self.surfaces.sdf(noise, categories, clouds=scans, steps=1)

    def draw(
        self, part: Sequence[int], names: list[str], asked: MeshRequest, attempt: int
    ) -> Tensor:
        shapes = self.cloud_shape(), self.surfaces.noise_shape()
        draws = ([draw_noise(asked.seed, i, shape, attempt) for i in part] for shape in shapes)
        clouds, grids = map(torch.stack, draws)
        return self.sdf(clouds, grids, names, steps=asked.steps, guidance=asked.guidance)
