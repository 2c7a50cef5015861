"""Six modes in the plane: what one network call of a cumulative flow map does.

    python benchmarks/toy.py [--form x1-FM] [--steps 8000] [--out toy.png]

The chapter after geoflow/flow/transport.py: data, network, loss, sampling and a picture, in under a
minute of one CPU core. Share of 4,000 points that end within 0.3 of a mode (x1-FM):

    network calls                              1       2       50
    map psi_{t->r}, r the next time           90 %    91 %   100 %
    ordinary sampler, r = t                    0 %     5 %   100 %

All points start as pure noise, which tells next to nothing of where they end. At r = t a network
can only answer with the mean of all that may come, the empty middle, and many small steps must find
the way. The map is asked for more: where the path through x_t will be at the later time r. What it
still misses lies on the lines between neighbours, where the flow parts and a smooth network does
not quite (points spread evenly over these six lines would count 75 %).
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed

from geoflow.flow import (
    Batch,
    Loss,
    Residual,
    TimeSampling,
    Transport,
    get_transport,
    sample,
    time_grid,
)

# -- 1. The data x_data: six narrow Gaussians on a circle ------------------------------------------

RADIUS, STD, DATA_STD = 0.8, 0.05, 0.568  # DATA_STD: of a coordinate, sqrt(RADIUS^2 / 2 + STD^2)


def modes() -> Tensor:
    """(6, 2) their centres."""
    angle = torch.arange(6) * math.pi / 3
    return RADIUS * torch.stack((angle.cos(), angle.sin()), 1)


def draw_data(count: int) -> Tensor:
    """(count, 2) x_data."""
    return modes()[torch.randint(0, 6, (count,))] + STD * torch.randn(count, 2)


# -- 2. The network: an ordinary one but for its second time r -------------------------------------


class Net(nn.Module):
    """net(x, t, r, cond) -> raw m: four layers on (x, t, r) and their Fourier features.

    The features make modes so narrow possible.
    """

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise((2 * 9 + 2 * 8, width, width, width, 2)):
            layers += [nn.Linear(a, b), nn.SiLU()]
        self.layers = nn.Sequential(*layers[:-1])
        self.rates = torch.tensor([1.0, 2.0, 4.0, 8.0])

    def forward(self, x: Tensor, t: Tensor, r: Tensor, cond: None) -> Tensor:
        angles = torch.cat((x, torch.stack((t, r), 1)), 1)[..., None] * self.rates
        return self.layers(torch.cat((x, angles.sin().flatten(1), angles.cos().flatten(1)), 1))


# -- 3. The loss -----------------------------------------------------------------------------------
# A state is x_t = alpha(t) x_data + sigma(t) eps. Where r = t, m is regressed onto its conditional
# value, which is x_data for x1-FM: the ordinary denoising loss. Where r > t no sample shows the
# answer, but the end of a path must not change while its start slides along it:
#
#     psi_{t->r}(x) = P(t, r) m(x, t, r) + Q(t, r) x      [CFM Assumption 1, Eq. 2]
#     D_t psi_{t->r}(x_t) = 0                             [CFM Theorem 3]
#
# So m at (t, r) follows from m a little later than t, that from m later still, and the chain ends
# at t = r, where the data hold it. Hence r = t is trained first, and stays a part of every batch.

BATCH, RATE, INSTANT = 256, 3e-3, 0.3  # INSTANT: share of the run, from its start, with r = t only


@dataclass(frozen=True)
class Setting:
    """What differs between the forms.

    Attributes:
        step: over which the derivative D_t is a difference, in clock time.
        mean, std, uniform: of the times, see TimeSampling.
        power: of EDM's weight of small noise [Karras et al. 2022, Table 1].
    """

    step: float
    mean: float = 0.0
    std: float = 1.2
    uniform: float = 0.5
    power: float = 0.0


SETTINGS = {
    "u-FM": Setting(step=0.05),
    "x1-FM": Setting(step=0.1, mean=0.5, power=0.5),
    "DDIM": Setting(step=0.1, mean=1.0, power=0.3),
    "EDM": Setting(step=0.05, mean=0.8, std=0.8, uniform=0.3, power=0.7),
}


def batch_loss(transport: Transport, setting: Setting, net: Net, cumulative: float) -> Tensor:
    """The loss of one batch; the share `cumulative` of its samples has r > t."""
    times = TimeSampling(setting.mean, setting.std, cumulative, 0.6, 0.4, setting.uniform)
    data = draw_data(BATCH)
    tau_t, tau_r, k = times.draw(BATCH, transport.start)  # in clock time, 0 noise and 1 data
    t = transport.schedule.unclock(tau_t)
    signal, noise = transport.schedule.alpha(t) * DATA_STD, transport.schedule.sigma(t)
    weight = (signal**2 + noise**2) / (noise * DATA_STD) ** 2
    weight = weight.clamp(max=1e4) ** setting.power
    batch = Batch(data, torch.randn(BATCH, 2), tau_t, tau_r, k)
    loss = Loss(error_norm=lambda error: weight * error.square().mean(1), adaptive=None)
    return loss(transport, net, batch, Residual(share=0.0, step=setting.step))[0]


def train(form: str, steps: int) -> tuple[Transport, Net]:
    """Adam, averaged weights; the same for all forms."""
    torch.manual_seed(0)
    transport, net, average = get_transport(form, data_std=DATA_STD), Net(), Net()
    average.load_state_dict(net.state_dict())
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE, betas=(0.9, 0.99))
    for i in range(steps):
        cumulative = 0.75 if i >= INSTANT * steps else 0.0
        optimizer.zero_grad()
        batch_loss(transport, SETTINGS[form], net, cumulative).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, (steps - i) / (0.6 * steps))
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 0.01)
    return transport, average


# -- 4. Sampling: the same network, asked in two ways ----------------------------------------------
# `sample` folds x <- psi_{t->r}(x) along a grid of times, one call each. With cumulative=False it
# asks for m(x, t, t) in place of m(x, t, r) and makes the same affine step: Euler's, or DDIM's.


def draw_noise(count: int = 4000) -> Tensor:
    """(count, 2) the noise that all samples start from."""
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(7))


def land(transport: Transport, net: Net, calls: int, cumulative: bool) -> Tensor:
    """(4000, 2) where that noise lands after so many calls."""
    times = time_grid(transport, calls)
    return sample(transport, net, draw_noise(), times, cumulative=cumulative)


def measure(x: Tensor, within: float = 0.3) -> tuple[float, float]:
    """Share of points so near to a mode, and the smallest share that a mode gets of these."""
    distance, nearest = torch.cdist(x, modes()).min(1)
    landed = distance < within
    shares = torch.bincount(nearest[landed], minlength=6) / max(1, int(landed.sum()))
    return float(landed.float().mean()), float(shares.min())


# -- 5. The picture: every point keeps the colour of the direction that its noise lay in -----------


def draw(transport: Transport, net: Net, path: Path) -> None:
    """Data and noise, then both samplers at 1, 2 and 50 calls; prints their shares."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 4, figsize=(10, 5.3), layout="constrained")
    data, noise = draw_data(1500), draw_noise()
    scatter(axes[0, 0], data, data, "data")
    scatter(axes[1, 0], noise, noise, "noise")
    for row, name, cumulative in ((axes[0], "map", True), (axes[1], "r = t", False)):
        for axis, calls in zip(row[1:], (1, 2, 50), strict=True):
            x = land(transport, net, calls, cumulative)
            title = f"{name}, {calls} call{'s'[: calls > 1]}: {measure(x)[0]:.0%}"
            print(title)
            scatter(axis, x, noise, title)
    figure.savefig(path, dpi=80)


def scatter(axis: Any, x: Tensor, start: Tensor, title: str) -> None:
    """The first 1,500 points, and circles of radius 0.3 around the modes."""
    hue = torch.atan2(start[:, 1], start[:, 0])[:1500]
    axis.scatter(*x[:1500].T, s=2, c=hue, cmap="hsv", linewidths=0)
    turn = torch.linspace(0, 2 * math.pi, 60)
    for mode in modes():
        axis.plot(mode[0] + 0.3 * turn.cos(), mode[1] + 0.3 * turn.sin(), "0.7", linewidth=0.5)
    axis.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), xticks=[], yticks=[], aspect="equal")
    axis.set_title(title, fontsize=10)


def main() -> None:
    """Trains, prints the shares and draws the picture (needs matplotlib)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--form", choices=SETTINGS, default="x1-FM")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--out", type=Path, default=Path("toy.png"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    draw(*train(args.form, args.steps), args.out)


if __name__ == "__main__":
    main()
