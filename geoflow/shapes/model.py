"""From a checkpoint to meshes: `load_generator("objects").generate(n=4, steps=2)`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from geoflow.checks import at_least, one_of
from geoflow.flow.noise import draw_noise
from geoflow.geometry.mesh import SurfaceMesh, surface_mesh
from geoflow.model.config import read_grid_settings
from geoflow.model.model import ClassSampler

if TYPE_CHECKING:
    import trimesh


@dataclass(frozen=True)
class Shape:
    """One generated shape.

    Attributes:
        index: its number; with the seed it determines the shape.
        category: what was asked for.
        mesh: vertices in metres, y up, facing +z, feet on y = 0.
        seconds: network and meshing time.
    """

    index: int
    category: str
    mesh: SurfaceMesh
    seconds: float


class ObjectGenerator(ClassSampler):
    """Class-conditional SDF generator.

    Args:
        config: the checkpoint's config.json.
        weights: name -> float32 tensor.
        digest: hash of the weights, for the manifest.
        device: where the network runs.

    Raises:
        ValueError: config is not what it must be, or the weights do not fit its network.
    """

    backbone = "grid"
    sample_bytes = 150_000_000

    def __init__(
        self, config: dict[str, Any], weights: dict[str, Tensor], digest: str, device: torch.device
    ) -> None:
        self.settings = read_grid_settings(config)
        self.resolution = self.settings.resolution
        super().__init__(self.settings, config, weights, digest, device)

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
        steps: int = 2,
        guidance: float = 1.0,
        cumulative: bool | None = None,
        on_step: Callable[[int, Tensor], None] | None = None,
    ) -> Tensor:
        """Carries noise to signed distances.

        Args:
            noise: (B, R, R, R) standard normal, see `draw_noise`.
            categories: B names, or None where the network is not told.
            clouds: (B, L, 3) points of the surfaces in the cube [-1, 1]^3, for a network that
                reads them.
            steps, guidance, cumulative, on_step: see `ClassSampler.carry`.

        Returns:
            (B, R, R, R) float32 truncated SDF over [-1, 1]^3, negative inside, on the device.

        Raises:
            ValueError: clouds for a network that reads none.
        """
        if clouds is not None:
            self.check_reads_clouds()
        grids = self.carry(
            noise,
            categories,
            context=clouds,
            steps=steps,
            guidance=guidance,
            cumulative=cumulative,
            on_step=on_step,
        )
        known = self.settings
        return grids * (known.truncation * known.std) + known.truncation * known.mean

    def mesh(self, grid: Tensor, category: str, resolution: int = 128) -> SurfaceMesh:
        """One grid of `sdf` to a mesh in metres.

        Args:
            grid: (R, R, R) signed distances over [-1, 1]^3.
            category: gives the longest side.
            resolution: cells a side of the grid that is meshed: 64, 128 or 256.

        Raises:
            ValueError: an unknown category, or a grid without a surface.
        """
        name = self.category_of(0, category)
        return surface_mesh(grid.float().cpu().numpy(), resolution, self.metres[name])

    def grid_shape(self) -> tuple[int, int, int]:
        """(R, R, R), the shape of one noise."""
        return self.resolution, self.resolution, self.resolution

    def stream(
        self,
        indices: Sequence[int],
        *,
        steps: int = 2,
        category: str = "all",
        seed: int = 0,
        guidance: float = 1.0,
        resolution: int = 128,
    ) -> Iterator[Shape]:
        """Makes shapes in the order of `indices`, several at a time, see `ClassSampler.in_order`.

        Args:
            indices: numbers of the shapes; shape i depends on (seed, i) and the options alone.
            steps, guidance: see `sdf`.
            category: a name, or "all" for each in turn.
            seed: not negative.
            resolution: cells a side of the grid that is meshed: 64, 128 or 256.

        Yields:
            shapes as they are finished.

        Raises:
            ValueError: an unknown category, or a number out of range.
        """
        self.check_request(seed, steps, guidance, category)

        def draw(part: Sequence[int], attempt: int) -> Tensor:
            noise = [draw_noise(seed, i, self.grid_shape(), attempt) for i in part]
            names = [self.category_of(i, category) for i in part]
            return self.sdf(torch.stack(noise), names, steps=steps, guidance=guidance)

        return self.mesh_stream(indices, draw, category, resolution, self)

    def mesh_stream(
        self,
        indices: Sequence[int],
        draw: Callable[[Sequence[int], int], Tensor],
        category: str,
        resolution: int,
        named: ClassSampler,
    ) -> Iterator[Shape]:
        """Meshes what `draw` makes, in the order of `indices`.

        Args:
            indices: numbers of the shapes.
            draw: (B numbers, attempt) -> (B, R, R, R) grids as those of `sdf`.
            category: a name, or "all" for each in turn.
            resolution: cells a side of the grid that is meshed: 64, 128 or 256.
            named: gives the shapes' categories and their longest sides.

        Yields:
            shapes as they are finished.

        Raises:
            ValueError: another resolution.
        """
        one_of("resolution", resolution, (64, 128, 256))

        def arrays(part: Sequence[int], attempt: int = 0) -> np.ndarray:
            return draw(part, attempt).cpu().numpy()

        def finish(index: int, grid: np.ndarray, spent: float) -> Shape:
            """Meshes; an empty grid (never seen so far) is drawn again from fresh noise."""
            begin, attempt = time.perf_counter(), 0
            while not (grid < 0).any() and attempt < 3:
                attempt += 1
                grid = arrays([index], attempt)[0]
            name = named.category_of(index, category)
            mesh = surface_mesh(grid, resolution, named.metres[name])
            return Shape(index, name, mesh, spent + time.perf_counter() - begin)

        return self.in_order(indices, self.batch_size(), arrays, finish)

    def generate(
        self,
        n: int = 1,
        *,
        steps: int = 2,
        category: str = "all",
        seed: int = 0,
        guidance: float = 1.0,
        resolution: int = 128,
    ) -> list[trimesh.Trimesh]:
        """Generates n closed meshes.

        Args:
            n: how many, at least 1.
            steps: network calls for each, at least 1.
            category: one of `categories`, or "all" for each in turn.
            seed: shape i depends on (seed, i) alone.
            guidance: above 1 exaggerates the category, at twice the cost.
            resolution: 64, 128 or 256 cells a side.

        Returns:
            trimesh.Trimesh objects in metres, y up, facing +z, feet on y = 0; `metadata` holds
            category and index.

        Raises:
            ValueError: an argument out of range or an unknown category.
        """
        import trimesh

        at_least("n", n, 1)
        meshes = []
        for shape in self.stream(
            range(n),
            steps=steps,
            category=category,
            seed=seed,
            guidance=guidance,
            resolution=resolution,
        ):
            mesh = shape.mesh
            meshes.append(
                trimesh.Trimesh(
                    mesh.vertices,
                    mesh.faces,
                    vertex_normals=mesh.normals,
                    process=False,
                    metadata={"category": shape.category, "index": shape.index},
                )
            )
        return meshes
