"""Sparse, rough clouds of surfaces, as a network is told them in training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from geoflow.flow.condition import Condition

UNITS = 32767


@dataclass(frozen=True)
class Scans:
    """Points of the surfaces of a training set.

    Attributes:
        points: (N, P, 3) int16 in 1/32767 of the cube's half side.
        size: L, points of a condition; a cloud of fewer points repeats them.
        fewest: points of a cloud; their numbers are spread evenly over the powers up to L.
        given: share of the samples that have a cloud. Of those, half have no label.
        noisy, noise: share of the clouds that are noisy, and the largest standard deviation.
        torn: share of the clouds that lack what lies in a random ball.
    """

    points: Tensor
    size: int = 1024
    fewest: int = 64
    given: ClassVar[float] = 0.5
    noisy: ClassVar[float] = 0.5
    noise: ClassVar[float] = 0.02
    torn: ClassVar[float] = 0.3

    @classmethod
    def of(cls, points: np.ndarray, device: torch.device, **sizes: int) -> Self:
        """(N, P, 3) points in the cube [-1, 1]^3, kept on the device."""
        stored = np.rint(points * UNITS).astype(np.int16)
        return cls(torch.from_numpy(stored).to(device), **sizes)

    def told(
        self,
        index: Tensor,
        labels: Tensor,
        unknown: int,
        generator: torch.Generator,
        mirrored: Tensor | None = None,
    ) -> Condition:
        """Draws what the network is told of some shapes.

        Args:
            index: (B,) which.
            labels: (B,) theirs.
            unknown: the label that means none.
            generator: source of randomness.
            mirrored: (B,) bool, whose mirror images in x are meant.

        Returns:
            labels (B,), context (B, L, 3) in the cube, context_mask (B, L).
        """
        device = self.points.device
        on_device = torch.Generator(device)
        seed = torch.randint(2**62, (), generator=generator, device=generator.device)
        on_device.manual_seed(int(seed))
        cloud, real = self._clouds(index, on_device)
        pick = torch.rand(2, len(index), generator=on_device, device=device)
        given = pick[0] < self.given
        if mirrored is not None:
            cloud[mirrored, :, 0] *= -1
        labels = labels.masked_fill(given & (pick[1] < 0.5), unknown)
        return Condition(labels, cloud, real & given[:, None])

    def _clouds(self, index: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(B,) shapes -> (B, L, 3) and (B, L): between `fewest` and L points of each, repeated."""
        b, stored, device = len(index), self.points.shape[1], self.points.device
        most = min(self.size, stored)
        order = torch.rand(b, stored, generator=generator, device=device).argsort(1)[:, :most]
        picked = self.points[index].gather(1, order[..., None].expand(-1, -1, 3)).float() / UNITS
        picked = _noisy(picked, self.noise, self.noisy, generator)
        real = _torn(picked, self.torn, generator)
        share = torch.rand(b, 1, generator=generator, device=device)
        count = self.fewest * torch.exp(share * math.log(most / self.fewest))
        place = torch.arange(self.size, device=device).expand(b, -1) % count.round().long()
        return picked.gather(1, place[..., None].expand(-1, -1, 3)), real.gather(1, place)


def _noisy(points: Tensor, most: float, share: float, generator: torch.Generator) -> Tensor:
    """(B, L, 3) with normal noise of a standard deviation up to `most` on a share of the clouds."""
    pick = torch.rand(2, len(points), 1, 1, generator=generator, device=points.device)
    noise = torch.randn(points.shape, generator=generator, device=points.device)
    return points + most * pick[0] * (pick[1] < share) * noise


def _torn(points: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """(B, L) bool, in a share of the clouds False around one point, for up to half of all."""
    pick = torch.rand(3, len(points), generator=generator, device=points.device)
    middle = (pick[0] * points.shape[1]).long()[:, None, None].expand(-1, -1, 3)
    distance = (points - points.gather(1, middle)).norm(dim=-1)
    lost = (0.5 * pick[1] * (pick[2] < share) * points.shape[1]).long()
    reach = distance.sort(1).values.gather(1, lost[:, None])
    return (distance >= reach) | (lost[:, None] == 0)
