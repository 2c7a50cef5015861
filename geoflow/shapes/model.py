"""From a checkpoint to meshes: `load_generator("objects").generate(n=4, steps=2)`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from geoflow.checks import at_least, one_of
from geoflow.flow.noise import draw_noise
from geoflow.geometry.mesh import SurfaceMesh, surface_mesh
from geoflow.model.batches import in_order
from geoflow.model.config import MOST, ClassData, Number, Positive, check_argument, read_part
from geoflow.model.model import CategoryModel, Request

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


class ObjectGenerator(CategoryModel):
    """Class-conditional SDF generator, see `FlowModel`."""

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
            steps, guidance, cumulative, on_step: see `CategoryModel.carry_classes`.

        Returns:
            (B, R, R, R) float32 truncated SDF over [-1, 1]^3, negative inside, on the device.

        Raises:
            ValueError: clouds for a network that reads none.
        """
        if clouds is not None:
            self.check_reads_clouds()
        grids = self.carry_classes(
            noise,
            categories,
            context=clouds,
            steps=steps,
            guidance=guidance,
            cumulative=cumulative,
            on_step=on_step,
        )
        known = self.data
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

    def stream(self, indices: Sequence[int], **request: Any) -> Iterator[Shape]:
        """Makes shapes in the order of `indices`, several at a time.

        Args:
            indices: numbers of the shapes.
            request: fields of `MeshRequest`.

        Yields:
            shapes as they are finished.

        Raises:
            ValueError: an unknown category, or a number out of range.
        """
        asked = MeshRequest(**request)
        self.category_of(0, asked.category)

        def draw(part: Sequence[int], attempt: int) -> Tensor:
            noise = [draw_noise(asked.seed, i, self.grid_shape(), attempt) for i in part]
            names = [self.category_of(i, asked.category) for i in part]
            return self.sdf(torch.stack(noise), names, steps=asked.steps, guidance=asked.guidance)

        return self.mesh_stream(indices, draw, asked, self)

    def mesh_stream(
        self,
        indices: Sequence[int],
        draw: Callable[[Sequence[int], int], Tensor],
        request: MeshRequest,
        named: CategoryModel,
    ) -> Iterator[Shape]:
        """Meshes what `draw` makes, in the order of `indices`.

        Args:
            indices: numbers of the shapes.
            draw: (B numbers, attempt) -> (B, R, R, R) grids as those of `sdf`.
            request: gives category and resolution.
            named: gives the shapes' categories and their longest sides.

        Yields:
            shapes as they are finished.
        """

        def arrays(part: Sequence[int], attempt: int = 0) -> np.ndarray:
            return draw(part, attempt).cpu().numpy()

        def finish(index: int, grid: np.ndarray, spent: float) -> Shape:
            """Meshes; an empty grid (never seen so far) is drawn again from fresh noise."""
            begin, attempt = time.perf_counter(), 0
            while not (grid < 0).any() and attempt < 3:
                attempt += 1
                grid = arrays([index], attempt)[0]
            name = named.category_of(index, request.category)
            mesh = surface_mesh(grid, request.resolution, named.metres[name])
            return Shape(index, name, mesh, spent + time.perf_counter() - begin)

        on_gpu = self.device.type == "cuda"
        return in_order(indices, self.batch_size(), arrays, finish, on_gpu=on_gpu)

    def generate(self, n: int = 1, **request: Any) -> list[trimesh.Trimesh]:
        """Generates n closed meshes: generate(4, category="chair", steps=2, seed=0).

        Args:
            n: how many, at least 1.
            request: fields of `MeshRequest`: steps, category, seed, guidance, resolution.

        Returns:
            trimesh.Trimesh objects in metres, y up, facing +z, feet on y = 0; `metadata` holds
            category and index.

        Raises:
            ValueError: an argument out of range or an unknown category.
        """
        import trimesh

        at_least("n", n, 1)
        return [
            trimesh.Trimesh(
                shape.mesh.vertices,
                shape.mesh.faces,
                vertex_normals=shape.mesh.normals,
                process=False,
                metadata={"category": shape.category, "index": shape.index},
            )
            for shape in self.stream(range(n), **request)
        ]
