"""Drawing shapes so that every category comes equally often."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class CategoryTurns:
    """Draws places in a set that is sorted by category.

    Args:
        labels: (N,) int64 category indices, as the set is stored; every category must occur.
        categories: their names.

    Attributes:
        order: (N,) the places that sort the set.

    Raises:
        ValueError: a category without shapes.
    """

    def __init__(self, labels: np.ndarray, categories: list[str]) -> None:
        counts = np.bincount(labels, minlength=len(categories))
        empty = [c for c, n in zip(categories, counts, strict=True) if n == 0]
        if empty:
            raise ValueError(
                f"every category needs at least one shape to train on; none in {', '.join(empty)}"
            )
        self.labels, self.order = labels, np.argsort(labels, kind="stable")
        self.counts = torch.from_numpy(counts)
        self.starts = self.counts.cumsum(0) - self.counts

    def draw(self, size: int, generator: torch.Generator) -> Tensor:
        """(size,) int64 places in the sorted set; the generator is on the CPU."""
        u = torch.rand(2, size, generator=generator, dtype=torch.float64)
        category = (u[0] * len(self.counts)).long()
        return self.starts[category] + (u[1] * self.counts[category]).long()

    def medians(self, values: np.ndarray) -> list[float]:
        """(N,) values as the set is stored -> the median of each category."""
        return [float(np.median(values[self.labels == k])) for k in range(len(self.counts))]
