"""Whole paths of a frozen network from noise to data: what r > t may learn from directly.

Every pair of states on a path is a pair (x_t, x_r = psi_{t->r}(x_t)) of the flow that the network
follows with r = t. So the target of m(x_t, t, r) is known at once, over any distance, without a
chain of targets that the averaged network must first have learned. It needs samples so small that
a pool of paths fits on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from geoflow.flow.condition import Condition, Net
from geoflow.flow.sampling import sample_heun
from geoflow.flow.transport import Transport


class Pairs(NamedTuple):
    """States of paths at two times."""

    x: Tensor  # (k, ...) states at t
    target: Tensor  # (k, ...) the m that carries them to their states at r
    tau_t: Tensor  # (k,) clock times, t < r
    tau_r: Tensor
    labels: Tensor | None = None  # (k,) of the paths, or None where paths have no condition


@dataclass(eq=False)
class Paths:
    """A pool of paths on the device, renewed part by part.

    Part `number` depends on (seed, number) and the network alone, and the pool holds the last
    `parts` of them, or all while there are fewer: so a resumed run finds the same pool again.

    Args:
        transport: the form of the map.
        shape: (B, ...) of the noise of one part.
        parts: of the pool.
        intervals: of a path; its times are uniform in clock time but for a common random shift.
        seed: of all parts.
        device: where the pool is.
        draw_labels: (count, generator) -> (count,) labels; None: paths have no condition.
    """

    transport: Transport
    shape: tuple[int, ...]
    parts: int
    intervals: int
    seed: int
    device: torch.device
    draw_labels: Callable[[int, torch.Generator], Tensor] | None = None

    def __post_init__(self) -> None:
        size, device = (self.parts, self.intervals + 1), self.device
        self.labels = torch.zeros(self.parts, self.shape[0], dtype=torch.int64, device=device)
        self.states = torch.zeros(*size, *self.shape, device=device)
        self.taus = torch.zeros(size, device=device)
        self.last = -1

    def reach(self, number: int, net: Net) -> None:
        """Makes the parts from 0 up to `number` that the pool lacks, with a net good at r = t."""
        for new in range(max(self.last + 1, number - self.parts + 1, 0), number + 1):
            self._fill(new, net)
        self.last = number

    def _fill(self, number: int, net: Net) -> None:
        mixed = np.random.SeedSequence([self.seed, number]).generate_state(1, np.uint64)[0]
        generator = torch.Generator(self.device).manual_seed(int(mixed) & (2**63 - 1))
        noise = torch.randn(self.shape, generator=generator, device=self.device)
        shift = torch.rand((), generator=generator, device=self.device).item() - 0.5
        tau = torch.linspace(0, 1, self.intervals + 1, dtype=torch.float64)
        tau[1:-1] += shift / self.intervals
        tau = self.transport.start + (1 - self.transport.start) * tau
        place, cond = number % self.parts, None
        if self.draw_labels is not None:
            self.labels[place] = self.draw_labels(self.shape[0], generator)
            cond = Condition(self.labels[place])
        times, keep = self.transport.schedule.unclock(tau), self.states[place].__setitem__
        sample_heun(self.transport, net, noise, times, cond, on_step=keep)
        self.taus[place] = tau.float().to(self.device)

    def draw(
        self, count: int, from_noise: float, to_data: float, generator: torch.Generator
    ) -> Pairs:
        """Draws k = count pairs of states; the generator may be on any device.

        `from_noise` and `to_data` are shares with t at the noise end and r at the data end.
        """
        pick = torch.rand(6, count, generator=generator, device=generator.device).to(self.device)
        there = min(self.parts, self.last + 1)
        part, row = (pick[0] * there).long(), (pick[1] * self.shape[0]).long()
        first = (pick[2] * self.intervals).long().masked_fill(pick[3] < from_noise, 0)
        gap = (pick[4] * (self.intervals - first)).long() + 1
        gap = gap.masked_fill(pick[5] < to_data, self.intervals)
        last = (first + gap).clamp(max=self.intervals)
        tau_t, tau_r = self.taus[part, first], self.taus[part, last]
        x, end = self.states[part, first, row], self.states[part, last, row]
        t, r = self.transport.schedule.unclock(tau_t), self.transport.schedule.unclock(tau_r)
        labels = None if self.draw_labels is None else self.labels[part, row]
        return Pairs(x, self.transport.solve(x, end, t, r), tau_t, tau_r, labels)
