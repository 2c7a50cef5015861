"""Training sets of SDF grids that live on the device as int8: alone, or with sparse clouds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from geoflow.data.shards import ShapeDataset
from geoflow.data.source import CategorySource
from geoflow.flow.condition import Condition
from geoflow.render.quick import draw_grids
from geoflow.shapes.scans import Scans


class GridSource(CategorySource):
    """Batches of standardised grids (B, R, R, R) with labels, every category equally often.

    Args:
        values: (N, R, R, R) int8, SDF / truncation * 127.
        labels, categories, scales, device: see `CategorySource`.
        truncation: of the SDF, in cube units.
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
        super().__init__(values, labels, categories, scales, device)
        self.truncation = truncation
        self.mean, self.std = self._statistics()

    @classmethod
    def open(
        cls, folder: Path, device: torch.device, *, resolution: int = 64, split: str = "train"
    ) -> Self:
        """Reads a folder that data_prep/objects.py wrote.

        Raises:
            ValueError: no shapes of the split.
        """
        dataset = ShapeDataset.open(folder)
        values, labels, names = dataset.load_sdf(resolution=resolution, split=split)
        if not names:
            raise ValueError(f"{folder} holds no shapes of the {split} split; add meshes to it")
        known = values, labels, list(dataset.categories), dataset.scales(split), dataset.truncation
        return cls(*known, device, **cls._more(dataset, split))

    @classmethod
    def _more(cls, dataset: ShapeDataset, split: str) -> dict[str, np.ndarray]:
        """Further arguments of the constructor."""
        return {}

    def _statistics(self) -> tuple[float, float]:
        total, square, n = 0.0, 0.0, self.values.numel()
        for part in self.values.split(64):
            part = part.float() / 127
            total += part.double().sum().item()
            square += part.double().square().sum().item()
        mean = total / n
        return mean, (square / n - mean**2) ** 0.5

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor | Condition]:
        index = self.draw(size, generator)
        return self.standardise(self.values[index].float() / 127), self.labels[index]

    def standardise(self, sdf: Tensor) -> Tensor:
        """SDF / truncation, in [-1, 1] -> zero mean, unit variance."""
        return (sdf - self.mean) / self.std

    def decode(self, samples: Tensor) -> Tensor:
        """The inverse of `standardise`, in cube units: truncated signed distances."""
        return (samples * self.std + self.mean) * self.truncation

    def picture(self, samples: Tensor, size: int) -> np.ndarray:
        return draw_grids(self.decode(samples), size)

    def describe(self) -> dict[str, Any]:
        return super().describe() | {
            "resolution": self.values.shape[-1],
            "truncation": self.truncation,
            "mean": self.mean,
            "std": self.std,
            "training_shapes": len(self),
        }


class ScanSource(GridSource):
    """Batches of standardised grids, each with a sparse, rough cloud of its surface as condition.

    Args:
        grids: arguments of GridSource.
        points: (N, P, 3) on the surfaces, in the cube [-1, 1]^3, in the order of its `values`.
    """

    def __init__(self, *grids: Any, points: np.ndarray) -> None:
        super().__init__(*grids)
        self.scans = Scans.of(points[self.order], self.device)

    @classmethod
    def _more(cls, dataset: ShapeDataset, split: str) -> dict[str, np.ndarray]:
        return {"points": dataset.load_points(split)[0]}

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Condition]:
        index = self.draw(size, generator)
        told = self.scans.told(index, self.labels[index], len(self.categories), generator)
        return self.standardise(self.values[index].float() / 127), told
