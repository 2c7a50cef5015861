"""Predictions: what the network's output m means, and the map it gives.

The map from time t to time r is affine in m [CFM Assumption 1, Eq. 2]:

    psi_{t->r}(x) = P(t, r) m + Q(t, r) x,      P(t, t) = 0,  Q(t, t) = 1

A prediction is data: P and Q, the instantaneous rate P_r(t, t) and Q_r(t, t), the conditional
value of m, and `gap` = P / P_r(t, t), written so that nothing divides by zero at the data end.
The arguments `a` (at t) and `b` (at r) are `Point`s of a schedule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from geoflow.flow.schedules import Schedule


class Point(NamedTuple):
    """A schedule's values at a time, all of one shape, broadcastable against the state."""

    t: Tensor
    alpha: Tensor
    sigma: Tensor
    d_alpha: Tensor
    d_sigma: Tensor


def point(schedule: Schedule, t: Tensor) -> Point:
    """Evaluates a schedule at t."""
    return Point(t, schedule.alpha(t), schedule.sigma(t), schedule.d_alpha(t), schedule.d_sigma(t))


def _ratio(top: Tensor, bottom: Tensor) -> Tensor:
    """top / bottom with 0 / 0 = 1: the value of every Q at t = r on an end of the range."""
    zero = bottom == 0
    ratio = top / bottom.masked_fill(zero, 1e-30)
    return torch.where(zero & (top == 0), torch.ones_like(top), ratio)


@dataclass(frozen=True)
class Prediction:
    """One row of the table of predictions.

    Attributes:
        name: what a user types.
        p, q: coefficients of the map from a to b.
        p_rate, q_rate: d/dr of them at r = t; the velocity is `p_rate m + q_rate x`.
        gap: p / p_rate without its singularity. It is r - t for a velocity and on the linear and
            exploding schedules. On the preserving one, alpha = cos u and sigma = sin u give
            sin(u_r - u_t) / u'_t: r - t only for near times, up to 15 in size from the noise end.
        target: conditional value of m given data and noise at a.
    """

    name: str
    p: Callable[[Point, Point], Tensor]
    q: Callable[[Point, Point], Tensor]
    p_rate: Callable[[Point], Tensor]
    q_rate: Callable[[Point], Tensor]
    gap: Callable[[Point, Point], Tensor]
    target: Callable[[Tensor, Tensor, Point], Tensor]


DATA = Prediction(
    name="data",
    p=lambda a, b: b.alpha - a.alpha * _ratio(b.sigma, a.sigma),
    q=lambda a, b: _ratio(b.sigma, a.sigma),
    p_rate=lambda a: a.d_alpha - a.d_sigma * a.alpha / a.sigma,
    q_rate=lambda a: a.d_sigma / a.sigma,
    gap=lambda a, b: (
        (b.alpha * a.sigma - b.sigma * a.alpha) / (a.d_alpha * a.sigma - a.d_sigma * a.alpha)
    ),
    target=lambda data, eps, a: data,
)
"""m is the clean shape (x1 in flow matching, the denoiser in EDM)."""

NOISE = Prediction(
    name="noise",
    p=lambda a, b: b.sigma - a.sigma * _ratio(b.alpha, a.alpha),
    q=lambda a, b: _ratio(b.alpha, a.alpha),
    p_rate=lambda a: a.d_sigma - a.d_alpha * a.sigma / a.alpha,
    q_rate=lambda a: a.d_alpha / a.alpha,
    gap=lambda a, b: (
        (b.sigma * a.alpha - b.alpha * a.sigma) / (a.d_sigma * a.alpha - a.d_alpha * a.sigma)
    ),
    target=lambda data, eps, a: eps,
)
"""m is the noise (DDPM's epsilon)."""

VELOCITY = Prediction(
    name="velocity",
    p=lambda a, b: b.t - a.t,
    q=lambda a, b: torch.ones_like(a.t),
    p_rate=lambda a: torch.ones_like(a.t),
    q_rate=lambda a: torch.zeros_like(a.t),
    gap=lambda a, b: b.t - a.t,
    target=lambda data, eps, a: a.d_alpha * data + a.d_sigma * eps,
)
"""m is the velocity averaged over t..r (MeanFlow's u)."""

PREDICTIONS = {p.name: p for p in (DATA, NOISE, VELOCITY)}
