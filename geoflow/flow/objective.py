"""The training loss: one for all transports.

At r = t it is the ordinary denoising loss. At r != t it is the residual of `D_t psi = 0`
[CFM Theorem 3] with the instantaneous m_t replaced by its conditional value, divided by P_r(t, t)
so that it stays finite at the data end. Since dP/dt = -Q(t, r) P_r(t, t) the residual reads

    R = Q(t, r) (m - m_t|data) - P(t, r) / P_r(t, t)  D_t m,      D_t = d/dt + v . d/dx

for every form. Gradients flow through m alone: the loss is |m - stop(m - R / f)|^2. The slope D_t m
is a difference over a step h, so R holds the network's own error times P / (P_r h): with f = 1 that
grows into noise. f = max(1, Q, |P / (P_r h)|) makes the target m(x + h v, t + h, r), moved a share
of about h / (r - t) towards m_t|data: near a weighted mean of network and data. That slows a
divergence of the network; it is no proof against one.

With `Distillation` (the paper's self-distillation) the target comes from the semigroup law, which
is the same condition over a finite step: psi_{t->r} is psi_{s->r} after psi_{t->s}, so

    m(x, t, r) = w m(x_s, s, r) + (1 - w) m(x, t, s),   x_s = psi_{t->s}(x),  w = P(s, r) / P(t, r)

with m(x, t, s) from a frozen network at r = t for near s, and all else from the averaged network.
The target holds no random data and is a mean of two predictions. The near step is Heun's: with
Euler's, the map would learn the bends that Euler cuts off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from geoflow.flow.condition import Net
from geoflow.flow.paths import Pairs
from geoflow.flow.transport import Transport

ErrorNorm = Callable[[Tensor], Tensor]
HEUN_END = 0.98
"""Clock time from which a step to it is Euler's."""


@dataclass(frozen=True)
class TimeSampling:
    """How pairs of times (t, r) are drawn, in clock time.

    Attributes:
        mean, std: tau = sigmoid(N(mean, std^2)); below 0 favours noise.
        cumulative: share of the batch with r != t; the rest trains the instantaneous field.
        to_data: share of the r != t pairs with r at the data end.
        from_noise: share of the r != t pairs with t at the noise end.
        uniform: share of draws that are uniform in clock time rather than logistic-normal.
    """

    mean: float = -0.8
    std: float = 1.0
    cumulative: float = 0.4
    to_data: float = 0.25
    from_noise: float = 0.15
    uniform: float = 0.0

    def __post_init__(self) -> None:
        for name in ("cumulative", "to_data", "from_noise", "uniform"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1]; got {getattr(self, name)}")

    def draw(
        self, batch: int, start: float = 0.0, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, int]:
        """Draws clock times; the first k of the batch have r > t, the rest r = t.

        Args:
            batch: B.
            start: earliest clock time.
            generator: source of randomness; its device is where the times are.

        Returns:
            t (B,), r (B,) float32 clock times with t <= r, and k.
        """
        device = None if generator is None else generator.device
        normal = torch.randn(2, batch, generator=generator, device=device)
        pick = torch.rand(4, batch, generator=generator, device=device)
        tau = torch.sigmoid(self.mean + self.std * normal)
        tau = torch.where(pick[:2] < self.uniform, pick[:2] / max(self.uniform, 1e-9), tau)
        tau = tau.clamp(start, 0.999)
        k = round(self.cumulative * batch)
        t, r = tau.min(0).values, tau.max(0).values
        t = torch.where(pick[2] < self.from_noise, torch.full_like(t, start), t)
        r = torch.where(pick[3] < self.to_data, torch.ones_like(r), r)
        t[k:] = r[k:] = tau[0, k:]
        return t, r, k


@dataclass(frozen=True)
class Distillation:
    """Networks that r > t learns from, in place of the data and of the network itself.

    Attributes:
        teacher: frozen, good at r = t; takes the first, short step from t to s.
        average: the averaged network; goes on from s to r.
        leap: (k,) shares of r - t. If given, the average takes the first step too, and s lies
            that far from t to r: a long step spares the errors of many short ones.
    """

    teacher: Net
    average: Net
    leap: Tensor | None = None


def mean_square(error: Tensor) -> Tensor:
    """(B, ...) -> (B,) mean of squares."""
    return error.flatten(1).square().mean(1)


@dataclass(frozen=True)
class GridError:
    """Squared error of a grid plus `weight` times that of its finite differences.

    Both are quadratic, so the minimiser is the same conditional mean; the second term makes thin
    parts and ripples count, which are small in the plain mean.
    """

    weight: float = 2.0

    def __call__(self, error: Tensor) -> Tensor:
        """(B, R, R, R) -> (B,)."""
        total = mean_square(error)
        for axis in (1, 2, 3):
            total = total + self.weight * mean_square(error.diff(dim=axis))
        return total


@dataclass(frozen=True)
class PseudoHuber:
    """sqrt(e^2 + c^2) - c of the root mean square e of an error: a distance beyond c.

    For targets that are known, as those of paths: where the map jumps from part to part of a
    surface, a mean of squares would buy a smaller jump with blur all around it. (Song and Dhariwal
    2024 train consistency models with it.)
    """

    c: float

    def __call__(self, error: Tensor) -> Tensor:
        """(B, ...) -> (B,)."""
        return (mean_square(error) + self.c**2).sqrt() - self.c


def cumulative_loss(
    transport: Transport,
    net: Net,
    data: Tensor,
    eps: Tensor,
    tau_t: Tensor,
    tau_r: Tensor,
    k: int,
    cond: Any = None,
    *,
    derivative: str = "difference",
    difference_step: float = 0.02,
    difference_share: float = 0.1,
    adaptive: float | None = 0.05,
    error_norm: ErrorNorm = mean_square,
    cumulative_norm: ErrorNorm | None = None,
    raw_units: bool = False,
    distillation: Distillation | None = None,
    pairs: Pairs | None = None,
) -> tuple[Tensor, Tensor]:
    """The loss of one batch.

    Args:
        transport: the form of the map.
        net: net(x, t, r, cond) -> raw output; `cond` must support slicing `cond[:k]`, or be None.
        data: (B, ...) clean samples.
        eps: (B, ...) standard normal draws; scaled by transport.noise_std here.
        tau_t, tau_r: (B,) clock times, t <= r.
        k: the first k samples have r > t, the others r = t.
        cond: condition of the batch.
        derivative: "difference" (a forward difference, no second-order machinery, works with
            flash attention and torch.compile) or "jvp" (exact, forward-mode).
        difference_step: least clock step of the difference.
        difference_share: the step is at least this share of r - t.
        adaptive: c of the per-sample weight 1 / (error + c), or None for no weight (a
            low-dimensional target is biased by it).
        error_norm: (B, ...) -> (B,) size of an error. At r = t it must be quadratic: the minimiser
            is then the conditional mean.
        cumulative_norm: that of the first k samples, if another. They have no adaptive weight then:
            it would count a small error many times.
        raw_units: measure errors in units of the network's raw output: EDM's weight 1 / c_out^2
            [Karras et al. 2022, Table 1], without which low noise levels count for nothing.
        distillation: where r > t learns from, if not from the data and the network itself.
        pairs: states and targets of the first k samples, in place of all that; their times must be
            those of tau_t and tau_r.

    Returns:
        loss: scalar to differentiate.
        error: (B,) detached errors as the norms measure them, for the log.

    Raises:
        ValueError: unknown derivative.
    """
    t, r = transport.schedule.unclock(tau_t), transport.schedule.unclock(tau_r)
    eps = eps * transport.noise_std
    x = transport.mix(data, eps, t)
    if pairs is not None:
        x = torch.cat((pairs.x, x[k:]))
    m = transport.predict(net, x, t, r, cond)
    with torch.no_grad():
        goal = transport.target(data, eps, t).clone()
        if pairs is not None:
            goal[:k] = pairs.target
        elif k:
            span = tau_r[:k] - tau_t[:k]
            step = (difference_share * span).clamp(min=difference_step)
            if distillation is not None and distillation.leap is not None:
                step = distillation.leap * span
            later = transport.schedule.unclock(torch.minimum(tau_t[:k] + step, tau_r[:k]))
            head = _Head(x[:k], t[:k], r[:k], later, None if cond is None else cond[:k])
            if distillation is None:
                m_head = m.detach()[:k]
                goal[:k] = _residual_target(transport, net, m_head, goal[:k], head, derivative)
            else:
                goal[:k] = _semigroup_target(transport, distillation, head)
    error = (m - goal) / transport.output_scale(t, x) if raw_units else m - goal
    if cumulative_norm is None:
        error = error_norm(error)
    else:
        error = torch.cat((cumulative_norm(error[:k]), error_norm(error[k:])))
    weight = torch.ones_like(error)
    if adaptive is not None:
        plain = slice(k if cumulative_norm else 0, None)
        weight[plain] = 1 / (error.detach()[plain] + adaptive)
    return (weight * error).mean(), error.detach()


class _Head(NamedTuple):
    """The samples with r > t: states at t, times, the time in between, and their condition."""

    x: Tensor
    t: Tensor
    r: Tensor
    later: Tensor
    cond: Any


def _residual_target(
    transport: Transport, net: Net, m: Tensor, instant: Tensor, head: _Head, derivative: str
) -> Tensor:
    """m - R / f, (k, ...); `instant` is m_t|data."""
    slope = _slope(transport, net, m, head, derivative)
    q, gap = transport.residual_scales(head.t, head.r, head.x)
    residual = q * (m - instant) - gap * slope
    reach = (head.later - head.t).abs().view_as(gap).clamp(min=1e-12)
    return m - residual / torch.maximum(q, gap.abs() / reach).clamp(min=1)


def _semigroup_target(transport: Transport, distillation: Distillation, head: _Head) -> Tensor:
    """The m of two maps after one another, t to s = later and on to r, (k, ...)."""
    x, t, r, later, cond = head
    average = distillation.average
    if distillation.leap is None:
        m = _heun_step(transport, distillation.teacher, head)
    else:
        m = transport.predict(average, x, t, later, cond)
    ahead = transport.predict(average, transport.apply(x, m, t, later), later, r, cond)
    return m + transport.later_share(t, later, r, x) * (ahead - m)


def _heun_step(transport: Transport, teacher: Net, head: _Head) -> Tensor:
    """The m of a step from t to s = later in the mean of the velocities at both, (k, ...).

    Near the data end, where a velocity may be infinite, it is the m at t: Euler's step.
    """
    x, t, _, later, cond = head
    m = transport.predict(teacher, x, t, t, cond)
    there = transport.apply(x, m, t, later)
    ahead = transport.predict(teacher, there, later, later, cond)
    slope = (transport.velocity(x, m, t) + transport.velocity(there, ahead, later)) / 2
    wide = (-1,) + (1,) * (x.dim() - 1)
    mean = transport.solve(x, x + (later - t).view(wide) * slope, t, later)
    safe = (transport.schedule.clock(later) < HEUN_END) & (later != t)
    return torch.where(safe.view(wide), mean, m)


@torch.no_grad()
def _slope(transport: Transport, net: Net, m: Tensor, head: _Head, derivative: str) -> Tensor:
    """D_t m(x, t, r) along the network's own instantaneous velocity, (k, ...)."""
    x, t, r, later, cond = head
    v = transport.velocity(x, transport.predict(net, x, t, t, cond), t)
    if derivative == "difference":
        h = (later - t).view((-1,) + (1,) * (x.dim() - 1))
        ahead = transport.predict(net, x + h * v, later, r, cond)
        return torch.where(h == 0, torch.zeros_like(m), (ahead - m) / h.masked_fill(h == 0, 1))
    if derivative == "jvp":
        return torch.func.jvp(
            lambda x, t: transport.predict(net, x, t, r, cond), (x, t), (v, torch.ones_like(t))
        )[1]
    raise ValueError(f'derivative must be "difference" or "jvp"; got {derivative!r}')
