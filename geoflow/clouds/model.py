"""From a checkpoint to clouds of surface points: `load_generator(RUN / "checkpoint")`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoflow.checks import at_least
from geoflow.flow.noise import draw_noise
from geoflow.geometry.frames import to_world
from geoflow.model.config import read_point_settings
from geoflow.model.model import ClassSampler

if TYPE_CHECKING:
    import trimesh

POINTS = 2048
LEAST_POINTS = 16


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


class PointGenerator(ClassSampler):
    """Class-conditional generator of point clouds.

    Args:
        config: the checkpoint's config.json.
        weights: name -> float32 tensor.
        digest: hash of the weights, for the manifest.
        device: where the network runs.

    Raises:
        ValueError: config is not what it must be, or the weights do not fit its network.
    """

    backbone, network = "points", "PointTransformer"
    sample_bytes = 60_000_000

    def __init__(
        self, config: dict[str, Any], weights: dict[str, Tensor], digest: str, device: torch.device
    ) -> None:
        self.settings = read_point_settings(config)
        super().__init__(self.settings, config, weights, digest, device)

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
            steps, guidance, cumulative, on_step: see `ClassSampler.carry`.

        Returns:
            (B, N, 3) float32 in the cube [-1, 1]^3, y up, facing +z, on the device.
        """
        samples = self.carry(
            noise,
            categories,
            steps=steps,
            guidance=guidance,
            cumulative=cumulative,
            on_step=on_step,
        )
        return samples * self.settings.std

    def stream(
        self,
        indices: Sequence[int],
        *,
        steps: int = 2,
        category: str = "all",
        seed: int = 0,
        guidance: float = 1.0,
        points: int = POINTS,
    ) -> Iterator[CloudShape]:
        """Makes clouds in the order of `indices`, several at a time, see `ClassSampler.in_order`.

        Args:
            indices: numbers of the clouds; cloud i depends on (seed, i) and the options alone.
            steps, guidance: see `clouds`.
            category: a name, or "all" for each in turn.
            seed: not negative.
            points: of a cloud, at least 16.

        Yields:
            clouds as they are finished.

        Raises:
            ValueError: an unknown category, a number out of range, or a cloud that is not finite.
        """
        self.check_request(seed, steps, guidance, category)
        at_least("points", points, LEAST_POINTS)

        def draw(part: Sequence[int]) -> np.ndarray:
            noise = torch.stack([draw_noise(seed, i, (points, 3)) for i in part])
            names = [self.category_of(i, category) for i in part]
            return self.clouds(noise, names, steps=steps, guidance=guidance).cpu().numpy()

        def finish(index: int, cloud: np.ndarray, spent: float) -> CloudShape:
            begin, name = time.perf_counter(), self.category_of(index, category)
            if not np.isfinite(cloud).all():
                raise ValueError(f"cloud {index} must be finite; it is not; use another checkpoint")
            placed = to_world(cloud.astype(np.float64), self.metres[name]).astype(np.float32)
            return CloudShape(index, name, placed, spent + time.perf_counter() - begin)

        return self.in_order(indices, self.batch_size(points / POINTS), draw, finish)

    def generate(
        self,
        n: int = 1,
        *,
        steps: int = 2,
        category: str = "all",
        seed: int = 0,
        guidance: float = 1.0,
        points: int = POINTS,
    ) -> list[trimesh.PointCloud]:
        """Generates n clouds.

        Args:
            n: how many, at least 1.
            steps: network calls for each, at least 1.
            category: one of `categories`, or "all" for each in turn.
            seed: cloud i depends on (seed, i) alone.
            guidance: above 1 exaggerates the category, at twice the cost.
            points: of a cloud, at least 16.

        Returns:
            trimesh.PointCloud objects in metres, y up, facing +z, feet on y = 0, the longest side
            of the box around them that of the category; `metadata` holds category and index.

        Raises:
            ValueError: an argument out of range or an unknown category.
        """
        import trimesh

        at_least("n", n, 1)
        options = {"steps": steps, "seed": seed, "guidance": guidance, "points": points}
        return [
            trimesh.PointCloud(
                made.points, metadata={"category": made.category, "index": made.index}
            )
            for made in self.stream(range(n), category=category, **options)
        ]
