"""Noise with a name: a mixture of numbered draws, so that a shape can be made again anywhere.

    chair = Noise.of_shape(seed=0, index=4)     # the noise of shape 4 of `geoflow generate`
    sibling = chair.near(seed=7, amount=0.3)    # like it, but not it
    between = chair.towards(sibling, 0.5)       # halfway along the arc

A mixture whose squared weights sum to 1 is standard normal again, whatever its weights: mixing
moves along the unit sphere of weights, and no mixture is flatter or rougher than a fresh draw.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


def draw_noise(seed: int, index: int, shape: Sequence[int], attempt: int = 0) -> Tensor:
    """Standard normal noise that depends on (seed, index, attempt) alone, float32 on the CPU."""
    mixed = np.random.SeedSequence([seed, index, attempt]).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(mixed) & (2**63 - 1))
    return torch.randn(tuple(shape), generator=generator)


@dataclass(frozen=True)
class Noise:
    """A mixture of independent standard normal draws.

    Attributes:
        terms: (weight, seed, index) of each draw; the squared weights sum to 1.
    """

    terms: tuple[tuple[float, int, int], ...]

    @classmethod
    def of_shape(cls, seed: int, index: int = 0) -> Noise:
        """That of shape `index` of `geoflow generate`; raises ValueError for a negative number."""
        if seed < 0 or index < 0:
            raise ValueError(f"seed and index must not be negative; got {seed} and {index}")
        return cls(((1.0, int(seed), int(index)),))

    def near(self, seed: int, amount: float, index: int = 0) -> Noise:
        """A neighbour: turned by `amount` (0 to 1) of a right angle towards a fresh draw.

        Seed and index number that draw; other numbers, other neighbours.
        """
        return self.towards(Noise.of_shape(seed, index), amount)

    def towards(self, other: Noise, position: float) -> Noise:
        """A point on the arc (slerp) from this noise, position 0, to another, position 1.

        Raises:
            ValueError: position outside 0..1.
        """
        if not 0 <= position <= 1:
            raise ValueError(f"position must be between 0 and 1; got {position}")
        mine, theirs = self._weights(), other._weights()
        cosine = sum(weight * theirs.get(draw, 0.0) for draw, weight in mine.items())
        angle = math.acos(max(-1.0, min(1.0, cosine)))
        if position in (0, 1) or angle < 1e-6:
            return other if position == 1 else self
        a = math.sin((1 - position) * angle) / math.sin(angle)
        b = math.sin(position * angle) / math.sin(angle)
        draws = dict.fromkeys((*mine, *theirs))
        mixed = {d: a * mine.get(d, 0.0) + b * theirs.get(d, 0.0) for d in draws}
        return Noise(tuple((weight, *draw) for draw, weight in mixed.items() if weight))

    def draw(self, shape: Sequence[int]) -> Tensor:
        """The numbers themselves: `shape`, float32, on the CPU."""
        size = tuple(shape)
        first, *rest = (weight * _draw(seed, index, size) for weight, seed, index in self.terms)
        return sum(rest, start=first)

    def _weights(self) -> dict[tuple[int, int], float]:
        """By (seed, index), see `draw_noise`."""
        return {(seed, index): weight for weight, seed, index in self.terms}


@functools.lru_cache(maxsize=16)
def _draw(seed: int, index: int, shape: tuple[int, ...]) -> Tensor:
    """Kept, because a walk between two noises asks for the same draws at every frame."""
    return draw_noise(seed, index, shape)
