"""A training set of SDF grids that lives on the device as int8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geoflow.data.shards import ShapeDataset
from geoflow.data.turns import CategoryTurns


class GridSource:
    """Batches of standardised grids with labels, every category equally often.

    Args:
        values: (N, R, R, R) int8, SDF / truncation * 127.
        labels: (N,) int64 category indices; every category must occur.
        categories: their names.
        scales: (N,) longest side in metres.
        truncation: of the SDF, in cube units.
        device: where the grids are kept.

    Raises:
        ValueError: a category without shapes.
    """

    def __init__(
        self,
        values: np.ndarray,
        labels: np.ndarray,
        categories: list[str],
        scales: np.ndarray,
        truncation: float,
        device: torch.device,
    ) -> None:
        self.turns = CategoryTurns(labels, categories)
        order = self.turns.order
        self.values = torch.from_numpy(values[order]).to(device)
        self.labels = torch.from_numpy(labels[order]).to(device)
        self.categories, self.truncation, self.device = list(categories), truncation, device
        self.metres = self.turns.medians(scales)
        self.mean, self.std = self._statistics()

    @classmethod
    def open(
        cls, folder: Path, device: torch.device, *, resolution: int = 64, split: str = "train"
    ) -> GridSource:
        """Reads a folder that data_prep/objects.py wrote."""
        dataset = ShapeDataset.open(folder)
        values, labels, names = dataset.load_sdf(resolution=resolution, split=split)
        if not names:
            raise ValueError(f"{folder} holds no shapes of the {split} split; add meshes to it")
        scales = dataset.scales(split)
        return cls(values, labels, list(dataset.categories), scales, dataset.truncation, device)

    def _statistics(self) -> tuple[float, float]:
        total, square, n = 0.0, 0.0, self.values.numel()
        for part in self.values.split(64):
            part = part.float() / 127
            total += part.double().sum().item()
            square += part.double().square().sum().item()
        mean = total / n
        return mean, (square / n - mean**2) ** 0.5

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws a batch.

        Args:
            size: B.
            generator: source of randomness, on the CPU.

        Returns:
            (B, R, R, R) float32 of zero mean and unit variance over the set, and (B,) labels.
        """
        index = self.turns.draw(size, generator).to(self.device)
        return self.standardise(self.values[index].float() / 127), self.labels[index]

    def standardise(self, sdf: Tensor) -> Tensor:
        """SDF / truncation, in [-1, 1] -> zero mean, unit variance."""
        return (sdf - self.mean) / self.std

    def decode(self, samples: Tensor) -> Tensor:
        """The inverse of `standardise`, in cube units: truncated signed distances."""
        return (samples * self.std + self.mean) * self.truncation

    def describe(self) -> dict[str, Any]:
        """What a checkpoint must know of its data."""
        return {
            "categories": self.categories,
            "metres": [round(m, 4) for m in self.metres],
            "resolution": self.values.shape[-1],
            "truncation": self.truncation,
            "mean": self.mean,
            "std": self.std,
            "training_shapes": len(self),
        }
