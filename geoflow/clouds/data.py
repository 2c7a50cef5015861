"""A training set of surface points that lives on the device as int16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geoflow.data.shards import ShapeDataset
from geoflow.data.turns import CategoryTurns
from geoflow.render.quick import draw_clouds

UNITS = 32767


class PointSource:
    """Batches of standardised clouds with labels, every category equally often.

    Args:
        points: (N, P, 3) in the cube [-1, 1]^3, in any order.
        labels: (N,) int64 category indices; every category must occur.
        categories: their names.
        scales: (N,) longest side in metres.
        device: where the points are kept.
        size: points of a cloud of a batch, at most P; drawn anew each time.

    Raises:
        ValueError: a category without shapes, or `size` above P.
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
        self.turns = CategoryTurns(labels, categories)
        order = self.turns.order
        stored = np.rint(points[order] * UNITS).astype(np.int16)
        self.values = torch.from_numpy(stored).to(device)
        self.labels = torch.from_numpy(labels[order]).to(device)
        self.categories, self.device, self.size = list(categories), device, size
        self.metres = self.turns.medians(scales)
        self.std = float(np.sqrt(np.mean(points.astype(np.float64) ** 2)))

    @classmethod
    def open(cls, folder: Path, device: torch.device, *, split: str = "train") -> PointSource:
        """Reads a folder that data_prep/objects.py wrote.

        Raises:
            ValueError: no shapes of the split, or a data set without points.
        """
        dataset = ShapeDataset.open(folder)
        rows = dataset.rows(split)
        if not rows:
            raise ValueError(f"{folder} holds no shapes of the {split} split; add meshes to it")
        index = {name: place for place, name in enumerate(dataset.categories)}
        labels = np.array([index[row["category"]] for row in rows], np.int64)
        points, _ = dataset.load_points(split)
        size = min(2048, dataset.points)
        scales = dataset.scales(split)
        return cls(points, labels, list(dataset.categories), scales, device, size)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws a batch.

        Args:
            size: B.
            generator: source of randomness, on any device: everything is drawn there.

        Returns:
            (B, size, 3) float32 of unit variance over the set, and (B,) labels.
        """
        index = self.turns.draw(size, generator).to(self.device)
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
        """(B, N, 3) samples -> (B, size, size, 3) uint8."""
        return draw_clouds(self.decode(samples), size)

    @property
    def arguments(self) -> dict[str, Any]:
        """Of the network."""
        return {"categories": len(self.categories)}

    def describe(self) -> dict[str, Any]:
        """What a checkpoint must know of its data."""
        return {
            "categories": self.categories,
            "metres": [round(m, 4) for m in self.metres],
            "points": self.size,
            "std": self.std,
            "training_shapes": len(self),
        }
