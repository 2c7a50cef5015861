"""What r > t learns from: the m that a jump from t to r should have had. One class a way.

The map is right where `D_t psi_{t->r}(x_t) = 0`, D_t = d/dt + v . d/dx [CFM Theorem 3]: the end
does not move as the start slides along the path. Three ways to ask for that:

`Residual`: the law itself at one point. With the instantaneous m_t replaced by its conditional
value, and divided by P_r(t, t) so that it stays finite at the data end (dP/dt = -Q P_r(t, t)):

    R = Q(t, r) (m - m_t|data) - P(t, r) / P_r(t, t)  D_t m        for every form

The slope D_t m is a difference over a step h, so R holds the network's own error times
P / (P_r h), which grows into noise. Divided by f = max(Q, |P / (P_r h)|), which is never below 1,
the target m - R / f is m(x + h v, t + h, r), moved a share of about h / (r - t) towards m_t|data:
near a weighted mean of network and data. That slows a divergence of the network; it is no proof
against one.

`Semigroup` (the paper's self-distillation): the same condition over a finite step, psi_{t->r} is
psi_{s->r} after psi_{t->s}, so

    m(x, t, r) = w m(x_s, s, r) + (1 - w) m(x, t, s),   x_s = psi_{t->s}(x),  w = P(s, r) / P(t, r)

with m(x, t, s) from a frozen network at r = t for near s, and all else from the averaged network.
The target holds no random data and is a mean of two predictions. The near step is Heun's: with
Euler's, the map would learn the bends that Euler cuts off.

`PathPairs`: states of whole paths of the frozen network; the m between two of them is known.

A new way is a class like these; a recipe names it, and nothing else need know it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from geoflow.checks import at_least
from geoflow.flow.condition import Condition, Net
from geoflow.flow.paths import Paths
from geoflow.flow.transport import Transport, wide

HEUN_END = 0.98  # clock time from which a step to it is Euler's
FIRST_PARTS = 8  # parts of the pool of paths at its start


class Batch(NamedTuple):
    """A training batch; the first k samples have r > t, the others r = t.

    Attributes:
        data: (B, ...) clean samples.
        eps: (B, ...) standard normal draws.
        tau_t, tau_r: (B,) clock times, t <= r.
        k: number of samples with r > t.
        cond: condition of the batch, which can be sliced; or None.
        x: (k, ...) states at t of the first k, if they are not those between data and eps.
    """

    data: Tensor
    eps: Tensor
    tau_t: Tensor
    tau_r: Tensor
    k: int
    cond: Any = None
    x: Tensor | None = None


class Jump(NamedTuple):
    """The samples with r > t."""

    x: Tensor  # (k, ...) states at t
    tau_t: Tensor  # (k,) clock times
    tau_r: Tensor
    cond: Any  # their condition
    m: Tensor  # (k, ...) the network's prediction, detached
    instant: Tensor  # (k, ...) m_t|data, the conditional value of m at r = t


Target = Callable[[Transport, Net, Jump], Tensor]
"""What `Loss` calls: (transport, net, jump) -> (k, ...) the m of the jump."""


class Run(Protocol):
    """What a training run offers to those who make targets."""

    transport: Transport  # the form of the map
    average: Net  # the averaged network
    teacher: Net  # a frozen copy of it, good at r = t
    copy: int  # the number of that copy
    age: int  # steps since it was made
    seed: int  # of this process
    times: tuple[float, float]  # (from_noise, to_data), shares of the jumps
    device: torch.device
    draws: torch.Generator  # of this step
    on_cpu: torch.Generator  # of this step; makes no GPU wait
    pool: Paths | None  # kept between steps for who needs it; None at first

    def labels(self, count: int, generator: torch.Generator) -> Tensor: ...

    def autocast(self) -> AbstractContextManager[Any]: ...


class Targets:
    """A way to learn r > t, as a recipe names it."""

    teachers: int = 0  # frozen copies it learns from, one after another; 0: it needs none
    cumulative_ema: float | None = None
    """Decay of the averaged weights while r > t is trained; None: the recipe's."""

    def prepare(self, run: Run, batch: Batch) -> tuple[Batch, Target]:
        """The batch as this way needs it, and what gives the m of its first k samples."""
        raise NotImplementedError


@dataclass(frozen=True)
class Residual(Targets):
    """m - R / f, from the network itself and the data: the paper's law.

    Attributes:
        share, step: the difference is taken over this share of r - t, at least `step` of the clock.
        derivative: "difference" (forward, works with flash attention and torch.compile) or "jvp"
            (exact, forward-mode).
    """

    share: float = 0.1
    step: float = 0.02
    derivative: str = "difference"

    def __post_init__(self) -> None:
        if self.derivative not in ("difference", "jvp"):
            raise ValueError(f'derivative must be "difference" or "jvp"; got {self.derivative!r}')

    def prepare(self, run: Run, batch: Batch) -> tuple[Batch, Target]:
        return batch, self

    def __call__(self, transport: Transport, net: Net, jump: Jump) -> Tensor:
        x, tau_t, tau_r, _, m, instant = jump
        tau_s = _between(tau_t, tau_r, self.share, self.step)
        t, s, r = (transport.schedule.unclock(tau) for tau in (tau_t, tau_s, tau_r))
        slope = self.slope(transport, net, jump, t, s, r)
        h = wide(s - t, x)
        q, gap = transport.residual_scales(t, r, x)
        f = torch.maximum(q, gap.abs() / h.abs().clamp(min=1e-12))
        return m - (q * (m - instant) - gap * slope) / f

    def slope(
        self, transport: Transport, net: Net, jump: Jump, t: Tensor, s: Tensor, r: Tensor
    ) -> Tensor:
        """D_t m(x, t, r) along the network's own velocity, (k, ...); a difference goes to s."""
        x, _, _, cond, m, _ = jump
        v = transport.velocity(x, transport.predict(net, x, t, t, cond), t)
        if self.derivative == "jvp":
            return torch.func.jvp(
                lambda x, t: transport.predict(net, x, t, r, cond), (x, t), (v, torch.ones_like(t))
            )[1]
        h = wide(s - t, x)
        ahead = transport.predict(net, x + h * v, s, r, cond)
        return torch.where(h == 0, 0.0, (ahead - m) / h.masked_fill(h == 0, 1))


@dataclass(frozen=True)
class Semigroup(Targets):
    """Two maps after one another, by a frozen copy of the average and the average itself.

    Attributes:
        leaps: share of the steps in which the average takes the first map too, to a time drawn
            between t and r: a long step spares the errors of many short ones.
        share, step: otherwise the first map goes this share of r - t, at least `step` of the clock.
        cumulative_ema: the average is part of the target, so it must follow sooner.
    """

    leaps: float = 0.0
    share: float = 0.1
    step: float = 0.02
    cumulative_ema: float | None = 0.995
    teachers = 1

    def prepare(self, run: Run, batch: Batch) -> tuple[Batch, Target]:
        leap = None
        if float(torch.rand((), generator=run.on_cpu)) < self.leaps:
            leap = torch.empty(batch.k, device=run.draws.device)
            leap = leap.uniform_(0.1, 0.9, generator=run.draws).to(run.device)
        return batch, TwoMaps(run.teacher, run.average, leap, self.share, self.step)


@dataclass(frozen=True)
class TwoMaps:
    """The m of psi_{s->r} after psi_{t->s}."""

    teacher: Net  # frozen, good at r = t; takes the first, short map
    average: Net  # goes on from s to r
    leap: Tensor | None = None  # (k,) shares of r - t: the average takes the first map too
    share: float = 0.1  # see `Semigroup`, as `step`
    step: float = 0.02

    def __call__(self, transport: Transport, net: Net, jump: Jump) -> Tensor:
        x, tau_t, tau_r, cond, *_ = jump
        far = self.leap is not None
        share = self.share if self.leap is None else self.leap
        tau_s = _between(tau_t, tau_r, share, 0.0 if far else self.step)
        t, s, r = (transport.schedule.unclock(tau) for tau in (tau_t, tau_s, tau_r))
        if far:
            m = transport.predict(self.average, x, t, s, cond)
        else:
            m = self._heun(transport, x, t, s, tau_s, cond)
        ahead = transport.predict(self.average, transport.apply(x, m, t, s), s, r, cond)
        return m + transport.later_share(t, s, r, x) * (ahead - m)

    def _heun(
        self, transport: Transport, x: Tensor, t: Tensor, s: Tensor, tau_s: Tensor, cond: Any
    ) -> Tensor:
        """The m of a step from t to s in the mean of the velocities at both, (k, ...).

        Near the data end, where a velocity may be infinite, it is the m at t: Euler's step.
        """
        m = transport.predict(self.teacher, x, t, t, cond)
        there = transport.apply(x, m, t, s)
        ahead = transport.predict(self.teacher, there, s, s, cond)
        slope = (transport.velocity(x, m, t) + transport.velocity(there, ahead, s)) / 2
        mean = transport.solve(x, x + wide(s - t, x) * slope, t, s)
        return torch.where(wide((tau_s < HEUN_END) & (s != t), x), mean, m)


@dataclass(frozen=True)
class PathPairs(Targets):
    """Pairs of states on whole paths of the frozen network, see geoflow.flow.paths.

    Attributes:
        intervals: of a path.
        parts: of the pool, at least 8, with which it starts.
        renew: in how many steps a part is added, or renewed once all are there.
        teachers: frozen copies, one after another.
    """

    intervals: int
    parts: int = 8
    renew: int = 25
    teachers: int = 1

    def __post_init__(self) -> None:
        for name in ("intervals", "parts", "renew", "teachers"):
            at_least(name, getattr(self, name), 1)

    def prepare(self, run: Run, batch: Batch) -> tuple[Batch, Target]:
        if not batch.k:
            return batch, Known(batch.data[:0])
        if run.pool is None:
            shape, parts = (batch.k, *batch.data.shape[1:]), max(FIRST_PARTS, self.parts)
            seed, labels = run.seed * 64 + run.copy, None if batch.cond is None else run.labels
            run.pool = Paths(run.transport, shape, parts, self.intervals, seed, run.device, labels)
        with run.autocast():
            run.pool.reach(FIRST_PARTS - 1 + run.age // self.renew, run.teacher)
        pairs = run.pool.draw(batch.k, *run.times, run.draws)
        k, cond = batch.k, batch.cond
        if pairs.labels is not None:
            assert isinstance(cond, Condition) and cond.labels is not None
            assert cond.context is None, "paths are walked with labels alone"
            cond = Condition(torch.cat((pairs.labels, cond.labels[k:])))
        tau_t = torch.cat((pairs.tau_t, batch.tau_t[k:]))
        tau_r = torch.cat((pairs.tau_r, batch.tau_r[k:]))
        known = batch._replace(tau_t=tau_t, tau_r=tau_r, cond=cond, x=pairs.x)
        return known, Known(pairs.target)


@dataclass(frozen=True)
class Known:
    """The m itself, (k, ...)."""

    m: Tensor

    def __call__(self, transport: Transport, net: Net, jump: Jump) -> Tensor:
        return self.m


def _between(tau_t: Tensor, tau_r: Tensor, share: float | Tensor, least: float) -> Tensor:
    """s, `share` of the way from t to r, at least `least` of the clock later, at most r."""
    return torch.minimum(tau_t + (share * (tau_r - tau_t)).clamp(min=least), tau_r)
