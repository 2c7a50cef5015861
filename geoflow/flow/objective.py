"""The training loss: one for all transports, and how its times are drawn.

At r = t it is the ordinary denoising loss, m against its conditional value. At r > t the goal is
what a `Target` says, see targets.py: the loss is |m - stop(goal)|^2 in both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from geoflow.flow.condition import Net
from geoflow.flow.targets import Batch, Jump, Target
from geoflow.flow.transport import Transport


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
        """Draws B = batch clock times; the first k of them have r > t, the rest r = t.

        Returns:
            t (B,), r (B,) float32 with start <= t <= r, on the generator's device, and k.
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


@dataclass(frozen=True)
class Loss:
    """The loss of a batch; made once from a recipe.

    Attributes:
        error_norm: (B, ...) -> (B,) size of an error. At r = t it must be quadratic: the minimiser
            is then the conditional mean.
        cumulative_norm: that of the samples with r > t, if another. They have no adaptive weight
            then: it would count a small error many times.
        adaptive: c of the per-sample weight 1 / (error + c), or None for no weight (a
            low-dimensional target is biased by it).
        raw_units: measure errors in units of the network's raw output: EDM's weight 1 / c_out^2
            [Karras et al. 2022, Table 1], without which low noise levels count for nothing.
    """

    error_norm: Callable[[Tensor], Tensor] = mean_square
    cumulative_norm: Callable[[Tensor], Tensor] | None = None
    adaptive: float | None = 0.05
    raw_units: bool = False

    def __call__(
        self, transport: Transport, net: Net, batch: Batch, target: Target
    ) -> tuple[Tensor, Tensor]:
        """Gradients flow through m alone: the target, of the first k samples, is a constant.

        Returns:
            loss: scalar to differentiate.
            error: (B,) detached errors as the norms measure them, for the log.
        """
        data, eps, tau_t, tau_r, k, cond, known = batch
        t, r = transport.schedule.unclock(tau_t), transport.schedule.unclock(tau_r)
        eps = eps * transport.noise_std
        x = transport.mix(data, eps, t)
        if known is not None:
            x = torch.cat((known, x[k:]))
        m = transport.predict(net, x, t, r, cond)
        with torch.no_grad():
            goal = transport.target(data, eps, t).clone()
            if k:
                head = None if cond is None else cond[:k]
                jump = Jump(x[:k], tau_t[:k], tau_r[:k], head, m.detach()[:k], goal[:k])
                goal[:k] = target(transport, net, jump)
        error = (m - goal) / transport.output_scale(t, x) if self.raw_units else m - goal
        if self.cumulative_norm is None:
            error = self.error_norm(error)
        else:
            error = torch.cat((self.cumulative_norm(error[:k]), self.error_norm(error[k:])))
        weight = torch.ones_like(error)
        if self.adaptive is not None:
            plain = slice(k if self.cumulative_norm else 0, None)
            weight[plain] = 1 / (error.detach()[plain] + self.adaptive)
        return (weight * error).mean(), error.detach()
