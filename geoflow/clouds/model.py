"""From a checkpoint to clouds of surface points: `load_generator("points").generate(n=4)`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from geoflow.checks import at_least
from geoflow.flow.noise import draw_noise
from geoflow.geometry.frames import to_world
from geoflow.model.batches import in_order
from geoflow.model.config import MOST, ClassData, Positive, check_argument, read_part
from geoflow.model.model import CategoryModel, Request

if TYPE_CHECKING:
    import trimesh

POINTS = 2048
LEAST_POINTS = 16


class CloudData(ClassData):
    """The part "data" of config.json.

    Attributes:
        points: of a cloud in training.
        std: a cloud's values are cube units / std.
    """

    points: int = Field(ge=1, le=MOST)
    std: Positive


@dataclass(frozen=True)
class CloudRequest(Request):
    """What clouds are asked for, see `Request`.

    Attributes:
        points: of a cloud, at least 16.
    """

    points: int = POINTS

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("points", self.points, LEAST_POINTS)


@dataclass(frozen=True)
class CloudShape:
    """One generated cloud.

    Attributes:
        index: its number; with the seed it determines the cloud.
        category: what was asked for.
        points: (N, 3) float32 in metres, y up, facing +z, feet on y = 0.
        seconds: network time.
    """

    index: int
    category: str
    points: NDArray[np.float32]
    seconds: float


class PointGenerator(CategoryModel):
    """Class-conditional generator of point clouds, see `FlowModel`."""

    network = "PointTransformer"
    sample_bytes = 60_000_000

    def read(self, config: dict[str, Any]) -> None:
        self.data = read_part(config, "data", CloudData)
        self.metres = self.data.longest
        check_argument(config, "categories", len(self.metres))

    def clouds(
        self,
        noise: Tensor,
        categories: Sequence[str],
        *,
        steps: int = 2,
        guidance: float = 1.0,
        cumulative: bool | None = None,
        on_step: Callable[[int, Tensor], None] | None = None,
    ) -> Tensor:
        """Carries noise to clouds, point by point: permuted noise gives the permuted cloud.

        Args:
            noise: (B, N, 3) standard normal, see `draw_noise`; N as in training is best.
            categories: B names.
            steps, guidance, cumulative, on_step: see `CategoryModel.carry_classes`.

        Returns:
            (B, N, 3) float32 in the cube [-1, 1]^3, y up, facing +z, on the device.
        """
        samples = self.carry_classes(
            noise,
            categories,
            steps=steps,
            guidance=guidance,
            cumulative=cumulative,
            on_step=on_step,
        )
        return samples * self.data.std

    def stream(self, indices: Sequence[int], **request: Any) -> Iterator[CloudShape]:
        """Makes clouds in the order of `indices`, several at a time.

        Args:
            indices: numbers of the clouds.
            request: fields of `CloudRequest`.

        Yields:
            clouds as they are finished.

        Raises:
            ValueError: an unknown category, a number out of range, or a cloud that is not finite.
        """
        asked = CloudRequest(**request)
        self.category_of(0, asked.category)

        def draw(part: Sequence[int]) -> np.ndarray:
            noise = torch.stack([draw_noise(asked.seed, i, (asked.points, 3)) for i in part])
            names = [self.category_of(i, asked.category) for i in part]
            made = self.clouds(noise, names, steps=asked.steps, guidance=asked.guidance)
            return made.cpu().numpy()

        def finish(index: int, cloud: np.ndarray, spent: float) -> CloudShape:
            begin, name = time.perf_counter(), self.category_of(index, asked.category)
            if not np.isfinite(cloud).all():
                raise ValueError(f"cloud {index} must be finite; it is not; use another checkpoint")
            placed = to_world(cloud.astype(np.float64), self.metres[name]).astype(np.float32)
            return CloudShape(index, name, placed, spent + time.perf_counter() - begin)

        size, on_gpu = self.batch_size(asked.points / POINTS), self.device.type == "cuda"
        return in_order(indices, size, draw, finish, on_gpu=on_gpu)

    def generate(self, n: int = 1, **request: Any) -> list[trimesh.PointCloud]:
        """Generates n clouds: generate(4, category="chair", steps=2, seed=0).

        Args:
            n: how many, at least 1.
            request: fields of `CloudRequest`: steps, category, seed, guidance, points.

        Returns:
            trimesh.PointCloud objects in metres, y up, facing +z, feet on y = 0, the longest side
            of the box around them that of the category; `metadata` holds category and index.

        Raises:
            ValueError: an argument out of range or an unknown category.
        """
        import trimesh

        at_least("n", n, 1)
        return [
            trimesh.PointCloud(
                made.points, metadata={"category": made.category, "index": made.index}
            )
            for made in self.stream(range(n), **request)
        ]
