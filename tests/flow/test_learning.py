"""The loss teaches the map: the six modes of benchmarks/toy.py, by each of the paper's four forms.

One and two cumulative calls must land on the modes where one ordinary call (r = t) gives the mean
of the data, on no mode at all. `pytest -s tests/flow/test_learning.py` prints the table.
"""

from pathlib import Path

import pytest
import torch
from loading import load_module

from geoflow.model.batches import single_threaded_torch

toy = load_module("toy", Path(__file__).parents[2] / "benchmarks" / "toy.py")
STEPS, WITHIN = 2000, 4 * toy.STD
CALLS = {"1": (1, True), "2": (2, True), "4": (4, True), "r=t 1": (1, False), "r=t 50": (50, False)}


@pytest.fixture
def one_thread():
    with single_threaded_torch():
        yield


def test_the_measure_tells_modes_from_noise_and_from_a_missing_mode():
    torch.manual_seed(0)
    noise, exact = torch.randn(4000, 2), toy.draw_data(4000)
    assert exact.std().item() == pytest.approx(toy.DATA_STD, abs=0.01)
    assert toy.measure(exact, WITHIN)[0] > 0.99 and toy.measure(exact, WITHIN)[1] > 0.14
    assert toy.measure(toy.DATA_STD * noise, WITHIN)[0] < 0.25
    assert toy.measure(0 * noise)[0] == 0
    assert toy.measure(exact[exact[:, 0] < 0.7], WITHIN)[1] < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("name", ["u-FM", "x1-FM", "DDIM", "EDM"])
def test_few_calls_land_on_the_modes(name, one_thread, capsys):
    transport, net = toy.train(name, STEPS)
    table = {
        label: toy.measure(toy.land(transport, net, *how), WITHIN) for label, how in CALLS.items()
    }
    cells = "  ".join(f"{label}: {landed:.0%}" for label, (landed, _) in table.items())
    with capsys.disabled():
        print(f"\n{name:6} landed by calls  {cells}  least mode at 1: {table['1'][1]:.0%}", end=" ")
    assert table["r=t 50"][0] > 0.75  # the instantaneous field is learned
    assert table["r=t 1"][0] < 0.03  # and one call of it is the mean of the data
    for label in ("1", "2"):
        landed, least = table[label]
        assert landed > 0.5
        assert least > 0.11  # of 0.167
