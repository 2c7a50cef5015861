"""Sampling: fold the map along a grid of times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from geoflow.checks import at_least
from geoflow.flow.condition import Net
from geoflow.flow.transport import Transport


class Guidance(NamedTuple):
    """m_null + weight (m_cond - m_null) in place of m_cond; null: the condition of none."""

    weight: float
    null: Any


def time_grid(transport: Transport, steps: int, *, lead: float = 0.0) -> Tensor:
    """Times from the noise end to the data end, uniform in clock time unless told otherwise.

    Args:
        transport, steps: gives the clock and the start; network calls, at least 1.
        lead: the first step takes in this share of the clock beside its equal part of the rest.
            A cumulative map jumps far as well as near, so its few calls are better spent late.

    Returns:
        (steps + 1,) float64 times of the transport's schedule.

    Raises:
        ValueError: steps below 1, or lead not in [0, 1).
    """
    at_least("steps", steps, 1)
    if not 0 <= lead < 1:
        raise ValueError(f"lead must lie in [0, 1); got {lead}")
    tau = torch.linspace(transport.start, 1.0, steps + 1, dtype=torch.float64)
    tau[1:] = lead + (1 - lead) * tau[1:]
    return transport.schedule.unclock(tau)


@torch.no_grad()
def sample(
    transport: Transport,
    net: Net,
    noise: Tensor,
    times: Tensor | Sequence[float],
    cond: Any = None,
    *,
    cumulative: bool = True,
    mean_last: bool = False,
    guidance: Guidance | None = None,
    on_step: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Carries noise to data, one network call per interval of `times`.

    Args:
        transport: the form of the map.
        net: net(x, t, r, cond) -> raw output.
        noise: (B, ...) standard normal draws.
        times: (K + 1,) times from the noise end to the data end, see `time_grid`.
        cond: condition for the network.
        cumulative: True folds psi_{t->r}; False asks the network for r = t at every call, which is
            the ordinary multi-step sampler (Euler for a velocity, DDIM for data and noise).
        mean_last: the last call has r = t even so. Where a state may still end in more than one
            place it goes to their mean, which lies nearer to the truth and varies less. A single
            call is then the mean given the condition alone: for what that all but determines.
        guidance: exaggerates the condition, at two network calls a step; None: one.
        on_step: called with (calls made, state) after each step.

    Returns:
        (B, ...) float32 samples.
    """
    grid, x = _begin(transport, noise, times)
    calls = len(grid) - 1
    for k in range(calls):
        t, end = _fill(grid[k], x), _fill(grid[k + 1], x)
        to_mean = mean_last and k == calls - 1
        r = end if cumulative and not to_mean else t
        m = transport.predict(net, x, t, r, cond)
        if guidance is not None:
            without = transport.predict(net, x, t, r, guidance.null)
            m = without + guidance.weight * (m - without)
        x = transport.apply(x, m, t, end)
        if on_step is not None:
            on_step(k + 1, x)
    return x


@torch.no_grad()
def sample_heun(
    transport: Transport,
    net: Net,
    noise: Tensor,
    times: Tensor | Sequence[float],
    cond: Any = None,
    *,
    on_step: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """The ordinary sampler of second order: r = t at every call [Karras et al. 2022, Alg. 1].

    Two calls an interval of `times` and one in the last: 2 K - 1 calls for K intervals.

    Args:
        transport, net, noise, times, cond: as `sample`.
        on_step: called with (intervals done, state), first with the start.

    Returns:
        (B, ...) float32 samples.
    """
    grid, x = _begin(transport, noise, times)
    if on_step is not None:
        on_step(0, x)
    for k in range(len(grid) - 1):
        t, end = _fill(grid[k], x), _fill(grid[k + 1], x)
        m = transport.predict(net, x, t, t, cond)
        there = transport.apply(x, m, t, end)
        if k < len(grid) - 2:
            slope = transport.velocity(x, m, t)
            ahead = transport.predict(net, there, end, end, cond)
            slope = slope + transport.velocity(there, ahead, end)
            there = x + float(grid[k + 1] - grid[k]) / 2 * slope
        x = there
        if on_step is not None:
            on_step(k + 1, x)
    return x


def _begin(
    transport: Transport, noise: Tensor, times: Tensor | Sequence[float]
) -> tuple[Tensor, Tensor]:
    """The times (K + 1,) in float64 on the CPU, and the state at the first of them."""
    grid = torch.as_tensor(times, dtype=torch.float64, device="cpu")
    noise = noise.float() * transport.noise_std
    return grid, transport.mix(torch.zeros_like(noise), noise, _fill(grid[0], noise))


def _fill(time: Tensor, like: Tensor) -> Tensor:
    return torch.full((like.shape[0],), float(time), dtype=like.dtype, device=like.device)
