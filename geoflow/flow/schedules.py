"""Schedules: how much data and how much noise a state holds at time t.

A state on the path between data and noise is `x = alpha(t) x_data + sigma(t) eps`.
A schedule is data: the two functions, their derivatives, and a `clock` that maps its own
time to [0, 1] (0 = noise end, 1 = data end). Everything that must not care which schedule is
running (time sampling, sampling grids, the network's time input) works in clock time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Curve = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Schedule:
    """One row of the table of schedules; every function maps (B,) to (B,).

    Attributes:
        name: what a user types.
        alpha, sigma: weight of the data and of the noise at time t.
        d_alpha, d_sigma: their time derivatives.
        clock: time t to clock time in [0, 1], 0 at the noise end.
        unclock: the inverse of `clock`.
        noise_end, data_end: the two ends of the time range.
    """

    name: str
    alpha: Curve
    sigma: Curve
    d_alpha: Curve
    d_sigma: Curve
    clock: Curve
    unclock: Curve
    noise_end: float
    data_end: float

    def __post_init__(self) -> None:
        """Check the table's own entries: inverse clocks, derivatives, ends."""
        tau = torch.linspace(0.05, 0.95, 7, dtype=torch.float64)
        t, h = self.unclock(tau), 1e-6
        assert torch.allclose(self.clock(t), tau, atol=1e-9), self.name
        for f, df in ((self.alpha, self.d_alpha), (self.sigma, self.d_sigma)):
            slope = (f(t + h) - f(t - h)) / (2 * h)
            assert torch.allclose(slope, df(t), rtol=1e-4, atol=1e-6), self.name
        ends = self.unclock(torch.tensor([0.0, 1.0], dtype=torch.float64))
        want = torch.tensor([self.noise_end, self.data_end], dtype=torch.float64)
        assert torch.allclose(ends, want, atol=1e-9), self.name


LINEAR = Schedule(
    name="linear",
    alpha=lambda t: t,
    sigma=lambda t: 1 - t,
    d_alpha=torch.ones_like,
    d_sigma=lambda t: -torch.ones_like(t),
    clock=lambda t: t,
    unclock=lambda tau: tau,
    noise_end=0.0,
    data_end=1.0,
)
"""Flow matching: straight lines from noise (t = 0) to data (t = 1)."""

# DDPM's linear betas in continuous time [Song et al. 2021, App. C]
_BETA_MIN, _BETA_MAX = 0.1, 20.0


def _log_abar(t: Tensor) -> Tensor:
    return -_BETA_MIN * t - 0.5 * (_BETA_MAX - _BETA_MIN) * t * t


def _beta(t: Tensor) -> Tensor:
    return _BETA_MIN + (_BETA_MAX - _BETA_MIN) * t


def _vp_alpha(t: Tensor) -> Tensor:
    return torch.exp(0.5 * _log_abar(t))


def _vp_sigma(t: Tensor) -> Tensor:
    return torch.sqrt(-torch.expm1(_log_abar(t)))


VARIANCE_PRESERVING = Schedule(
    name="vp",
    alpha=_vp_alpha,
    sigma=_vp_sigma,
    d_alpha=lambda t: -0.5 * _beta(t) * _vp_alpha(t),
    d_sigma=lambda t: 0.5 * _beta(t) * torch.exp(_log_abar(t)) / _vp_sigma(t),
    clock=lambda t: 1 - t,
    unclock=lambda tau: 1 - tau,
    noise_end=1.0,
    data_end=0.0,
)
"""DDPM and DDIM: alpha^2 + sigma^2 = 1, noise at t = 1."""

_SIGMA_MIN, _SIGMA_MAX, _RHO = 0.002, 80.0, 7.0  # EDM [Karras et al. 2022, Table 1]
_LOW, _HIGH = _SIGMA_MIN ** (1 / _RHO), _SIGMA_MAX ** (1 / _RHO)

VARIANCE_EXPLODING = Schedule(
    name="ve",
    alpha=torch.ones_like,
    sigma=lambda t: t,
    d_alpha=torch.zeros_like,
    d_sigma=torch.ones_like,
    clock=lambda t: (_HIGH - t ** (1 / _RHO)) / (_HIGH - _LOW),
    unclock=lambda tau: (_HIGH + tau * (_LOW - _HIGH)) ** _RHO,
    noise_end=_SIGMA_MAX,
    data_end=_SIGMA_MIN,
)
"""EDM: time is the noise level; a uniform clock is EDM's rho = 7 grid."""

SCHEDULES = {s.name: s for s in (LINEAR, VARIANCE_PRESERVING, VARIANCE_EXPLODING)}
