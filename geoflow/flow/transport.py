"""The cumulative flow map: one affine map for nine forms. Read this file first.

A transport is a prediction (what the network's output m means) on a schedule (how data and
noise mix). A state on the path is `x = alpha(t) x_data + sigma(t) eps`; one network call gives m
and carries x from time t to any later time r [CFM Assumption 1, Eq. 2]:

    psi_{t->r}(x) = P(t, r) m(x, t, r) + Q(t, r) x

The laws that every transport obeys, and that tests/flow/test_transport.py checks:

    identity    P(t, t) = 0,  Q(t, t) = 1
    semigroup   Q(s, r) Q(t, s) = Q(t, r),   P(s, r) + Q(s, r) P(t, s) = P(t, r)
    instant     dx/dt = P_r(t, t) m(x, t, t) + Q_r(t, t) x
    cumulative  D_t psi_{t->r}(x_t) = 0: the end does not move as the start slides along the path

With r = t at every call the map is the ordinary sampler (Euler, DDIM): the multi-step baseline.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from geoflow.checks import one_of
from geoflow.flow.condition import Net
from geoflow.flow.predictions import DATA, NOISE, PREDICTIONS, VELOCITY, Point, Prediction, point
from geoflow.flow.schedules import LINEAR, SCHEDULES, Schedule

Scales = tuple[Tensor, Tensor, Tensor]


def wide(t: Tensor, like: Tensor) -> Tensor:
    """(B,) -> (B, 1, ...), broadcastable against a state (B, ...)."""
    return t.view((-1,) + (1,) * (like.dim() - 1))


def _input_only(a: Point, noise_std: float, data_std: float) -> Scales:
    variance = (a.alpha * data_std) ** 2 + (a.sigma * noise_std) ** 2
    return torch.zeros_like(variance), torch.ones_like(variance), variance.rsqrt()


def _edm(a: Point, noise_std: float, data_std: float) -> Scales:
    """c_skip, c_out, c_in of EDM, written for any schedule [Karras et al. 2022, Table 1]."""
    noise = a.sigma * noise_std
    variance = (a.alpha * data_std) ** 2 + noise**2
    c_skip = a.alpha * data_std**2 / variance
    return c_skip, noise * data_std * variance.rsqrt(), variance.rsqrt()


PRECONDITIONINGS = {"input": _input_only, "edm": _edm}


@dataclass(frozen=True)
class Transport:
    """A prediction on a schedule: everything the loss and the sampler need to know.

    Attributes:
        prediction, schedule: rows of the two tables.
        preconditioning: "input" (scale the input to unit variance) or "edm" (c_skip, c_out, c_in).
        noise_std: standard deviation of eps. Smooth grids are redundant: `objects-sdf` has 24.
        data_std: standard deviation of the data.
        start: clock time where sampling starts. 0, or just above where Q is singular at 0.
    """

    prediction: Prediction
    schedule: Schedule
    preconditioning: str = "input"
    noise_std: float = 1.0
    data_std: float = 1.0
    start: float = 0.0

    def __post_init__(self) -> None:
        if self.noise_std <= 0 or self.data_std <= 0:
            raise ValueError(
                f"noise_std and data_std must be positive; got {self.noise_std}, {self.data_std}"
            )
        if not 0 <= self.start < 1:
            raise ValueError(f"start must be a clock time in [0, 1); got {self.start}")
        one_of("preconditioning", self.preconditioning, PRECONDITIONINGS)
        if self.preconditioning == "edm" and self.prediction is not DATA:
            raise ValueError(
                "preconditioning edm must stand with a data prediction, whose c_skip and c_out it "
                f"gives; got {self.name}; use input"
            )

    @property
    def name(self) -> str:
        """The table's name, such as "data-linear"."""
        return f"{self.prediction.name}-{self.schedule.name}"

    def _at(self, t: Tensor, like: Tensor) -> Point:
        return point(self.schedule, wide(t, like))

    def coefficients(self, t: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """P(t, r) and Q(t, r), each (B,), at (B,) times of this schedule."""
        a, b = self._at(t, t), self._at(r, r)
        return self.prediction.p(a, b), self.prediction.q(a, b)

    def apply(self, x: Tensor, m: Tensor, t: Tensor, r: Tensor) -> Tensor:
        """psi_{t->r}(x) = P m + Q x [CFM Eq. 2], (B, ...): from the states at t to those at r."""
        a, b = self._at(t, x), self._at(r, x)
        return self.prediction.p(a, b) * m + self.prediction.q(a, b) * x

    def solve(self, x: Tensor, end: Tensor, t: Tensor, r: Tensor) -> Tensor:
        """The m with psi_{t->r}(x) = end, (B, ...); t and r must differ."""
        a, b = self._at(t, x), self._at(r, x)
        return (end - self.prediction.q(a, b) * x) / self.prediction.p(a, b)

    def velocity(self, x: Tensor, m: Tensor, t: Tensor) -> Tensor:
        """dx/dt at (x, t) from the instantaneous prediction m = m(x, t, t), (B, ...)."""
        a = self._at(t, x)
        return self.prediction.p_rate(a) * m + self.prediction.q_rate(a) * x

    def residual_scales(self, t: Tensor, r: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Q(t, r) and P(t, r) / P_r(t, t), each (B, 1, ...): weights of the residual."""
        a, b = self._at(t, like), self._at(r, like)
        return self.prediction.q(a, b), self.prediction.gap(a, b)

    def later_share(self, t: Tensor, s: Tensor, r: Tensor, like: Tensor) -> Tensor:
        """w of m(t, r) = w m(s, r) + (1 - w) m(t, s), (B, 1, ...); 0 where s = r.

        The semigroup law gives it: P(t, r) = P(s, r) + Q(s, r) P(t, s).
        """
        a, b, c = (self._at(time, like) for time in (t, r, s))
        last = c.t == b.t
        share = self.prediction.p(c, b) / self.prediction.p(a, b).masked_fill(last, 1)
        return share.masked_fill(last, 0)

    def mix(self, data: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """x = alpha(t) x_data + sigma(t) eps, (B, ...)."""
        a = self._at(t, data)
        return a.alpha * data + a.sigma * eps

    def target(self, data: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """The conditional value of m at r = t, (B, ...)."""
        return self.prediction.target(data, eps, self._at(t, data))

    def output_scale(self, t: Tensor, like: Tensor) -> Tensor:
        """c_out(t), (B, 1, ...): how much of the prediction one unit of raw output is."""
        scales = PRECONDITIONINGS[self.preconditioning]
        return scales(self._at(t, like), self.noise_std, self.data_std)[1]

    def predict(self, net: Net, x: Tensor, t: Tensor, r: Tensor, cond: Any = None) -> Tensor:
        """m(x, t, r) = c_skip x + c_out net(c_in x, clock(t), clock(r), cond).

        Of states x (B, ...) at t and (B,) times of this schedule; (B, ...) in x's dtype.
        """
        scales = PRECONDITIONINGS[self.preconditioning]
        c_skip, c_out, c_in = scales(self._at(t, x), self.noise_std, self.data_std)
        raw = net(c_in * x, self.schedule.clock(t), self.schedule.clock(r), cond)
        return c_skip * x + c_out * raw.to(x.dtype)


# Noise prediction on the linear schedule divides by alpha(t) = t: it starts just after t = 0.
TRANSPORTS = {
    f"{p.name}-{s.name}": Transport(p, s, start=1e-3 if (p, s) == (NOISE, LINEAR) else 0.0)
    for p in PREDICTIONS.values()
    for s in SCHEDULES.values()
}
"""The nine transports."""

U_FM = Transport(VELOCITY, LINEAR)
X1_FM = Transport(DATA, LINEAR)
DDIM = Transport(DATA, SCHEDULES["vp"])
EDM = Transport(DATA, SCHEDULES["ve"], preconditioning="edm", data_std=0.5)
ALIASES = {"u-fm": U_FM, "x1-fm": X1_FM, "ddim": DDIM, "edm": EDM}
"""The paper's four names."""


def get_transport(name: str, **changes: Any) -> Transport:
    """A transport by the table's name or the paper's ("u-FM", "x1-FM", "DDIM", "EDM"), in any case.

    `changes` are fields to replace, such as noise_std=4.0.

    Raises:
        ValueError: unknown name; the message lists the names and the nearest one.
    """
    known = {**TRANSPORTS, **ALIASES}
    one_of("transport", name.lower(), known)
    return replace(known[name.lower()], **changes)
