"""From a checkpoint to clouds of surface points: `load_generator("points").generate(n=4)`."""

from __future__ import annotations

from collections.abc import Sequence
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
from geoflow.model.config import MOST, ClassData, Positive, check_argument, read_part
from geoflow.model.maker import Made, Request
from geoflow.model.model import CategoryModel

if TYPE_CHECKING:
    import trimesh

POINTS = 2048
LEAST_POINTS = 16


class CloudData(ClassData):
    """The part "data" of config.json."""

    points: int = Field(ge=1, le=MOST)  # of a cloud in training
    std: Positive  # a cloud's values are cube units / std


@dataclass(frozen=True)
class CloudRequest(Request):
    """What clouds are asked for, see `Request`: how many points each, at least 16."""

    points: int = POINTS

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("points", self.points, LEAST_POINTS)

    @property
    def size(self) -> float:
        return self.points / POINTS


@dataclass(frozen=True)
class CloudShape(Made):
    """One generated cloud: (N, 3) float32 in metres, y up, facing +z, feet on y = 0."""

    points: NDArray[np.float32]

    def trimesh(self) -> trimesh.PointCloud:
        """See `Made`."""
        import trimesh

        return trimesh.PointCloud(self.points, metadata=self.metadata)


class PointGenerator(CategoryModel):
    """Class-conditional generator of clouds: `generate` and `stream` take a `CloudRequest`."""

    network, asks, made = "PointTransformer", CloudRequest, CloudShape
    sample_bytes = 60_000_000

    def read(self, config: dict[str, Any]) -> None:
        self.data = read_part(config, "data", CloudData)
        self.metres = self.data.longest
        check_argument(config, "categories", len(self.metres))

    def clouds(self, noise: Tensor, categories: Sequence[str], **options: Any) -> Tensor:
        """Carries noise to clouds, point by point: permuted noise gives the permuted cloud.

        Args:
            noise: (B, N, 3) standard normal, see geoflow.flow.draw_noise; N as in training is best.
            categories: B names.
            options: steps, guidance, cumulative, on_step: see `CategoryModel.carry_classes`.

        Returns:
            (B, N, 3) float32 in the cube [-1, 1]^3, y up, facing +z, on the device.
        """
        return self.carry_classes(noise, categories, **options) * self.data.std

    def draw(
        self, part: Sequence[int], names: list[str], asked: CloudRequest, attempt: int
    ) -> Tensor:
        noise = torch.stack([draw_noise(asked.seed, i, (asked.points, 3), attempt) for i in part])
        return self.clouds(noise, names, steps=asked.steps, guidance=asked.guidance)

    def finish(
        self, index: int, array: np.ndarray, name: str, asked: CloudRequest
    ) -> NDArray[np.float32]:
        if not np.isfinite(array).all():
            raise ValueError(f"cloud {index} must be finite; it is not; use another checkpoint")
        return to_world(array.astype(np.float64), self.metres[name]).astype(np.float32)
