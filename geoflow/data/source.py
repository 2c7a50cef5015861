"""Where batches come from, and sets that draw every category equally often."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor


class Source(Protocol):
    """Where the batches of a training run come from."""

    categories: list[str]  # names of the labels, or none

    @property
    def arguments(self) -> dict[str, Any]:
        """Those of the network that the data decides."""
        return {"categories": len(self.categories)}

    @classmethod
    def open(cls, folder: Path, device: torch.device) -> Source:
        """Reads what a script of data_prep wrote, or the file that is to be learned.

        Raises:
            ValueError: it is missing, damaged, or holds nothing to train on.
        """
        ...

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Any]:
        """Draws B = size samples, all from the generator.

        Returns:
            (B, ...) float32 of about zero mean and unit variance over the set; and what the network
            is told: labels (B,), a geoflow.flow.Condition, or None.
        """
        ...

    def picture(self, samples: Tensor, size: int) -> np.ndarray:
        """(B, ...) samples -> (B, size, size, 3) uint8; of points of one surface (1, ...)."""
        ...

    def describe(self) -> dict[str, Any]:
        """What a checkpoint must know of its data."""
        ...

    def weights(self) -> dict[str, Tensor]:
        """What a checkpoint must hold besides its network, to make something of samples."""
        return {}


class CategorySource(Source):
    """A set on a device, sorted by category, of which every category comes equally often.

    Args:
        values: (N, ...) as they are stored, in any order.
        labels: (N,) int64 category indices; every category must occur.
        categories, scales: their names; (N,) longest side of a shape in metres.
        device: where the set is kept.

    Attributes:
        order: (N,) the places that sorted it.
        metres: the median longest side of each category.

    Raises:
        ValueError: a category without shapes.
    """

    def __init__(
        self,
        values: np.ndarray,
        labels: np.ndarray,
        categories: list[str],
        scales: np.ndarray,
        device: torch.device,
    ) -> None:
        counts = np.bincount(labels, minlength=len(categories))
        if empty := [c for c, n in zip(categories, counts, strict=True) if n == 0]:
            raise ValueError(
                f"every category needs at least one shape to train on; none in {', '.join(empty)}"
            )
        self.order = np.argsort(labels, kind="stable")
        self.values = torch.from_numpy(values[self.order]).to(device)
        self.labels = torch.from_numpy(labels[self.order]).to(device)
        self.categories, self.device = list(categories), device
        self.metres = [float(np.median(scales[labels == k])) for k in range(len(categories))]
        self.counts = torch.from_numpy(counts)
        self.starts = self.counts.cumsum(0) - self.counts

    def __len__(self) -> int:
        return len(self.labels)

    def draw(self, size: int, generator: torch.Generator) -> Tensor:
        """(size,) int64 places in the sorted set, on its device."""
        where = generator.device
        counts, starts = self.counts.to(where), self.starts.to(where)
        u = torch.rand(2, size, generator=generator, dtype=torch.float64, device=where)
        category = (u[0] * len(counts)).long()
        return (starts[category] + (u[1] * counts[category]).long()).to(self.device)

    def describe(self) -> dict[str, Any]:
        return {"categories": self.categories, "metres": [round(m, 4) for m in self.metres]}
