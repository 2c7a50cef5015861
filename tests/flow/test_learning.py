"""The loss teaches the map: six narrow modes in the plane, by each of the paper's four forms.

One and two cumulative calls must land on the modes where one ordinary call (r = t) gives the mean
of the data, on no mode at all. `pytest -s tests/test_learning.py` prints the table.

Narrow modes need Fourier features of x.
"""

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from losses import loss_of

from geoflow.flow.objective import TimeSampling, mean_square
from geoflow.flow.sampling import sample, time_grid
from geoflow.flow.targets import Residual
from geoflow.flow.transport import Transport, get_transport
from geoflow.model.batches import single_threaded_torch

RADIUS, STD, DATA_STD = 0.8, 0.05, 0.568
STEPS, BATCH, RATE = 2500, 256, 3e-3
INSTANT = 0.3  # share of the training that is r = t only, from its start
CALLS = {"1": (1, True), "2": (2, True), "4": (4, True), "r=t 1": (1, False), "r=t 50": (50, False)}


@dataclass(frozen=True)
class Setting:
    """What differs between the forms."""

    step: float  # of the difference, in clock time
    mean: float = 0.0  # of the logistic-normal times
    std: float = 1.2
    uniform: float = 0.5
    power: float = 0.0  # of 1 / c_out^2, EDM's weight of small noise


SETTINGS = {
    "u-FM": Setting(step=0.05),
    "x1-FM": Setting(step=0.1),
    "DDIM": Setting(step=0.1, mean=1.0, power=0.3),
    "EDM": Setting(step=0.05, mean=0.8, std=0.8, uniform=0.3, power=0.7),
}


def modes() -> torch.Tensor:
    angle = torch.arange(6) * math.pi / 3
    return RADIUS * torch.stack((angle.cos(), angle.sin()), 1)


class Net(torch.nn.Module):
    """Four layers on (x, t, r) and their Fourier features."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        sizes = (2 * 9 + 2 * 8, width, width, width, 2)
        layers: list[torch.nn.Module] = []
        for a, b in itertools.pairwise(sizes):
            layers += [torch.nn.Linear(a, b), torch.nn.SiLU()]
        self.layers = torch.nn.Sequential(*layers[:-1])
        self.rates = torch.tensor([1.0, 2.0, 4.0, 8.0])

    def forward(self, x, t, r, cond):
        angles = torch.cat((x, torch.stack((t, r), 1)), 1)[..., None] * self.rates
        return self.layers(torch.cat((x, angles.sin().flatten(1), angles.cos().flatten(1)), 1))


def weights(transport: Transport, setting: Setting, tau_t) -> torch.Tensor:
    """(B,) EDM's weight of small noise, to a power."""
    t = transport.schedule.unclock(tau_t)
    signal, noise = transport.schedule.alpha(t) * DATA_STD, transport.schedule.sigma(t)
    small_noise = (signal**2 + noise**2) / (noise * DATA_STD) ** 2
    return small_noise.clamp(max=1e4) ** setting.power


def train(transport: Transport, setting: Setting) -> Net:
    """Adam, averaged weights; the same for all forms."""
    torch.manual_seed(0)
    net, average = Net(), Net()
    average.load_state_dict(net.state_dict())
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE, betas=(0.9, 0.99))
    law = {"mean": setting.mean, "std": setting.std, "uniform": setting.uniform}
    alone = TimeSampling(cumulative=0.0, **law)
    times = TimeSampling(cumulative=0.75, to_data=0.6, from_noise=0.4, **law)
    centres = modes()
    for i in range(STEPS):
        data = centres[torch.randint(0, 6, (BATCH,))] + STD * torch.randn(BATCH, 2)
        tau_t, tau_r, k = (alone if i < INSTANT * STEPS else times).draw(BATCH, transport.start)
        weight = weights(transport, setting, tau_t)
        loss, _ = loss_of(
            transport,
            net,
            data,
            torch.randn(BATCH, 2),
            tau_t,
            tau_r,
            k,
            target=Residual(share=0.0, step=setting.step),
            adaptive=None,
            error_norm=lambda error, w=weight: w * mean_square(error),
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, (STEPS - i) / (0.6 * STEPS))
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 0.01)
    return average


def measure(x: torch.Tensor) -> tuple[float, float]:
    """Share of samples within 4 std of a mode, and the smallest share that a mode gets of these."""
    distance, nearest = torch.cdist(x, modes()).min(1)
    landed = distance < 4 * STD
    shares = torch.bincount(nearest[landed], minlength=6) / max(1, int(landed.sum()))
    return float(landed.float().mean()), float(shares.min())


@pytest.fixture
def one_thread():
    with single_threaded_torch():
        yield


def test_the_measure_tells_modes_from_noise_and_from_a_missing_mode():
    g = torch.Generator().manual_seed(0)
    noise = torch.randn(4000, 2, generator=g)
    exact = modes()[torch.randint(0, 6, (4000,), generator=g)] + STD * noise
    assert measure(exact)[0] > 0.99 and measure(exact)[1] > 0.14
    assert measure(DATA_STD * noise)[0] < 0.25
    assert measure(0 * noise)[0] == 0
    assert measure(exact[exact[:, 0] < 0.7])[1] < 0.02


@pytest.mark.parametrize(
    "name",
    [*(pytest.param(name, marks=pytest.mark.slow) for name in ("u-FM", "x1-FM", "DDIM")), "EDM"],
)
def test_few_calls_land_on_the_modes(name, one_thread, capsys):
    transport, setting = get_transport(name, data_std=DATA_STD), SETTINGS[name]
    net = train(transport, setting)
    noise = torch.randn(4000, 2, generator=torch.Generator().manual_seed(7))
    table = {}
    for label, (calls, cumulative) in CALLS.items():
        grid = time_grid(transport, calls)
        table[label] = measure(sample(transport, net, noise, grid, cumulative=cumulative))
    cells = "  ".join(f"{label}: {landed:.0%}" for label, (landed, _) in table.items())
    with capsys.disabled():
        print(f"\n{name:6} landed by calls  {cells}  least mode at 1: {table['1'][1]:.0%}", end=" ")
    assert table["r=t 50"][0] > 0.75  # the instantaneous field is learned
    assert table["r=t 1"][0] < 0.03  # and one call of it is the mean of the data
    for label in ("1", "2"):
        landed, least = table[label]
        assert landed > 0.5
        assert least > 0.11  # of 0.167
