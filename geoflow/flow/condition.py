"""What the flow asks of a network, and what a network may be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

Net = Callable[[Tensor, Tensor, Tensor, Any], Tensor]
"""Contract of every network: net(x, t, r, cond) -> raw output shaped like x; t, r in clock time."""


@dataclass(frozen=True)
class Condition:
    """What a network may be told about the sample; every part is optional.

    Attributes:
        labels: (B,) int64 category; the number of categories stands for "none".
        context: (B, L, C) sequence for cross-attention (points, image features).
        context_mask: (B, L) bool, True where the sequence is real; None = all of it.
    """

    labels: Tensor | None = None
    context: Tensor | None = None
    context_mask: Tensor | None = None

    def __getitem__(self, index: slice | Tensor) -> Condition:
        """The same condition for a part of the batch."""
        return Condition(*(None if p is None else p[index] for p in vars(self).values()))

    def without_labels(self, drop: Tensor, null_label: int) -> Condition:
        """The same condition with the labels of `drop` (B,) bool replaced by none."""
        assert self.labels is not None
        return replace(self, labels=self.labels.masked_fill(drop, null_label))
