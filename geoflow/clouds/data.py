"""A training set of surface points that lives on the device as int16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geoflow.data.shards import ShapeDataset
from geoflow.data.source import CategorySource
from geoflow.render.quick import draw_clouds

UNITS = 32767


class PointSource(CategorySource):
    """Batches of standardised clouds (B, size, 3) with labels, every category equally often.

    Args:
        points: (N, P, 3) in the cube [-1, 1]^3, in any order.
        labels, categories, scales, device: see `CategorySource`.
        size: points of a cloud of a batch, at most P; drawn anew each time.

    Raises:
        ValueError: `size` above P.
    """

    def __init__(
        self,
        points: np.ndarray,
        labels: np.ndarray,
        categories: list[str],
        scales: np.ndarray,
        device: torch.device,
        size: int = 2048,
    ) -> None:
        if not 1 <= size <= points.shape[1]:
            raise ValueError(
                f"a cloud needs 1 to {points.shape[1]} points, as many as a shape has; got {size}"
            )
        stored = np.rint(points * UNITS).astype(np.int16)
        super().__init__(stored, labels, categories, scales, device)
        self.size, self.std = size, float(np.sqrt(np.mean(points.astype(np.float64) ** 2)))

    @classmethod
    def open(cls, folder: Path, device: torch.device, *, split: str = "train") -> PointSource:
        """Reads a folder that data_prep/objects.py wrote.

        Raises:
            ValueError: no shapes of the split, or a data set without points.
        """
        dataset = ShapeDataset.open(folder)
        labels = dataset.labels(split)
        if not len(labels):
            raise ValueError(f"{folder} holds no shapes of the {split} split; add meshes to it")
        points, _ = dataset.load_points(split)
        known = points, labels, list(dataset.categories), dataset.scales(split)
        return cls(*known, device, min(2048, dataset.points))

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        index = self.draw(size, generator)
        stored, where = self.values.shape[1], generator.device
        shuffled = torch.randperm(stored, generator=generator, device=where)
        begin = torch.randint(stored, (size, 1), generator=generator, device=where)
        pick = shuffled[(begin + torch.arange(self.size, device=where)) % stored].to(self.device)
        clouds = self.values[index].gather(1, pick[..., None].expand(-1, -1, 3))
        return clouds.float() / (UNITS * self.std), self.labels[index]

    def decode(self, samples: Tensor) -> Tensor:
        """Samples in cube units."""
        return samples * self.std

    def picture(self, samples: Tensor, size: int) -> np.ndarray:
        return draw_clouds(self.decode(samples), size)

    def describe(self) -> dict[str, Any]:
        return super().describe() | {
            "points": self.size,
            "std": self.std,
            "training_shapes": len(self),
        }
