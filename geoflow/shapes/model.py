"""From a checkpoint to meshes: `load_generator("objects").generate(n=4, steps=2)`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from geoflow.checks import one_of
from geoflow.flow.noise import draw_noise
from geoflow.geometry.mesh import SurfaceMesh, surface_mesh
from geoflow.model.checkpoint import Config, Weights
from geoflow.model.config import (
    MOST,
    ClassData,
    Number,
    Positive,
    check_argument,
    must,
    read_network,
    read_part,
)
from geoflow.model.maker import Made, Maker, Request
from geoflow.model.model import CategoryModel, network_with
from geoflow.networks.autoencoder import on_sphere
from geoflow.shapes.latents import DECODER

if TYPE_CHECKING:
    import trimesh

RESOLUTIONS = (64, 128, 256)


class GridData(ClassData):
    """The part "data" of config.json.

    Attributes:
        resolution: cells a side.
        truncation, mean, std: a grid's values are (SDF / truncation - mean) / std.
    """

    resolution: int = Field(ge=2, le=MOST)
    truncation: Positive
    mean: Number
    std: Positive


@dataclass(frozen=True)
class MeshRequest(Request):
    """What meshes are asked for, see `Request`.

    Attributes:
        resolution: cells a side of the grid that is meshed: 64, 128 or 256.
    """

    resolution: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("resolution", self.resolution, RESOLUTIONS)


@dataclass(frozen=True)
class Shape(Made):
    """One generated mesh in metres, y up, facing +z, feet on y = 0, see `Made`."""

    mesh: SurfaceMesh

    def trimesh(self) -> trimesh.Trimesh:
        """With its normals, see `Made`."""
        import trimesh

        mesh = self.mesh
        return trimesh.Trimesh(
            mesh.vertices,
            mesh.faces,
            vertex_normals=mesh.normals,
            process=False,
            metadata=self.metadata,
        )


class MeshMaker(Maker):
    """Makes meshes of signed distance grids."""

    asks, made = MeshRequest, Shape

    def mesh(self, grid: Tensor, category: str, resolution: int = 128) -> SurfaceMesh:
        """One grid of `sdf` to a mesh in metres.

        Args:
            grid: (R, R, R) signed distances over [-1, 1]^3.
            category: gives the longest side.
            resolution: cells a side of the grid that is meshed: 64, 128 or 256.

        Raises:
            ValueError: an unknown category, or a grid without a surface.
        """
        metres = self.metres[self.category_of(0, category)]
        return surface_mesh(grid.float().cpu().numpy(), resolution, metres)

    def usable(self, array: np.ndarray) -> bool:
        """Whether there is an inside; an empty grid has never been seen so far."""
        return bool((array < 0).any())

    def finish(self, index: int, array: np.ndarray, name: str, asked: MeshRequest) -> SurfaceMesh:
        return surface_mesh(array, asked.resolution, self.metres[name])


class ObjectGenerator(CategoryModel, MeshMaker):
    """Class-conditional SDF generator: `generate` and `stream` take a `MeshRequest`."""

    network = "GridTransformer"
    sample_bytes = 150_000_000

    def read(self, config: dict[str, Any]) -> None:
        self.data = read_part(config, "data", GridData)
        self.metres, self.resolution = self.data.longest, self.data.resolution
        check_argument(config, "resolution", self.resolution)
        check_argument(config, "categories", len(self.metres))

    @property
    def reads_clouds(self) -> bool:
        """Whether the network takes a sparse cloud as a condition."""
        return getattr(self.net, "cloud", None) is not None

    def check_reads_clouds(self) -> None:
        """Raises ValueError where it does not."""
        if not self.reads_clouds:
            raise ValueError(
                "the checkpoint must be one that reads clouds (recipe objects-surface); this one "
                "does not; use another"
            )

    def sdf(
        self,
        noise: Tensor,
        categories: Sequence[str | None],
        *,
        clouds: Tensor | None = None,
        resolution: int = 128,
        **options: Any,
    ) -> Tensor:
        """Carries noise to signed distances.

        Args:
            noise: (B, ...) standard normal, see `noise_shape` and geoflow.flow.draw_noise.
            categories: B names, or None where the network is not told.
            clouds: (B, L, 3) points of the surfaces in the cube [-1, 1]^3, for a network that
                reads them.
            resolution: at which they will be meshed; see `LatentGenerator`.
            options: steps, guidance, cumulative, on_step: see `CategoryModel.carry_classes`.

        Returns:
            (B, R, R, R) float32 truncated SDF over [-1, 1]^3, negative inside, on the device.

        Raises:
            ValueError: clouds for a network that reads none.
        """
        if clouds is not None:
            self.check_reads_clouds()
        return self.decode(self.carry_classes(noise, categories, clouds, **options), resolution)

    def decode(self, samples: Tensor, resolution: int = 128) -> Tensor:
        """Standardised samples -> what `sdf` returns."""
        known = self.data
        return samples * (known.truncation * known.std) + known.truncation * known.mean

    def noise_shape(self) -> tuple[int, ...]:
        """Of one noise, (R, R, R)."""
        return self.resolution, self.resolution, self.resolution

    def draw(
        self, part: Sequence[int], names: list[str], asked: MeshRequest, attempt: int
    ) -> Tensor:
        noise = torch.stack([draw_noise(asked.seed, i, self.noise_shape(), attempt) for i in part])
        how = {"steps": asked.steps, "guidance": asked.guidance, "resolution": asked.resolution}
        return self.sdf(noise, names, **how)


class LatentData(ClassData):
    """The part "data" of config.json.

    Attributes:
        truncation: of the grids, in cube units.
        mean, std: (channels,) of the latents that were learned.
        decoder: arguments of the network that makes grids of latents.
    """

    truncation: Positive
    mean: list[Number]
    std: list[Positive]
    decoder: dict[str, Annotated[int, Field(ge=1, le=MOST)]]


class LatentGenerator(ObjectGenerator):
    """Carries noise to latents, and these to grids of 128^3; or of 64^3, where that is enough."""

    network = "LatentTransformer"
    sample_bytes = 60_000_000

    def __init__(self, config: Config, weights: Weights, digest: str, device: torch.device) -> None:
        own = {n: w for n, w in weights.items() if not n.startswith(DECODER)}
        super().__init__(config, own, digest, device)
        part = {"network": {"name": "ShapeDecoder", "arguments": self.data.decoder}}
        rest = {n.removeprefix(DECODER): w for n, w in weights.items() if n not in own}
        self.decoder: Any = network_with(part, rest)
        self.decoder.eval().requires_grad_(False).to(device)

    def read(self, config: Config) -> None:
        self.data = read_part(config, "data", LatentData)
        self.metres, self.resolution = self.data.longest, self.data.decoder.get("resolution", 128)
        check_argument(config, "categories", len(self.metres))
        check_argument(config, "side", self.resolution // self.data.decoder.get("patch", 16))
        for name in ("mean", "std"):
            numbers, count = (
                getattr(self.data, name),
                read_network(config).arguments.get("channels"),
            )
            what = "a number for each of network.arguments.channels"
            must(len(numbers) == count, f"data.{name}", what, numbers)

    def noise_shape(self) -> tuple[int, ...]:
        """Of one noise, (tokens, channels)."""
        sizes: Any = self.net.sizes
        return sizes.side**3, sizes.channels

    def decode(self, samples: Tensor, resolution: int = 128) -> Tensor:
        mean, std = (torch.tensor(v, device=self.device) for v in (self.data.mean, self.data.std))
        latents = on_sphere(samples.float() * std + mean)
        if resolution < self.resolution:
            return self.decoder.coarse(latents)[0] * self.data.truncation
        return self.decoder.fine(latents) * self.data.truncation
