"""A checkpoint's network: planned without memory, filled with a copy of the weights."""

import subprocess
import sys

import torch

from geoflow.model.model import network_with
from geoflow.networks import build_network

ARGUMENTS = {"width": 64, "latents": 8, "rounds": 1, "hidden": 32, "point_hidden": 32}
CONFIG = {"network": {"name": "PointTransformer", "arguments": ARGUMENTS}}


def drawn() -> torch.nn.Module:
    net = build_network("PointTransformer", **ARGUMENTS)
    torch.nn.init.normal_(net.head.weight)
    return net


def test_it_computes_what_the_network_computed_that_had_the_weights():
    net, x, t = drawn(), torch.randn(2, 30, 3), torch.rand(2)
    again = network_with(CONFIG, net.state_dict())
    assert torch.equal(again(x, t, t), net(x, t, t)) and again(x, t, t).std() > 1e-2
    assert all(p.requires_grad for p in again.parameters())


def test_its_weights_are_copies_and_float32():
    weights = drawn().half().state_dict()
    net = network_with(CONFIG, weights)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    for value in weights.values():
        value.add_(1)
    for name, value in net.state_dict().items():
        assert value.dtype == torch.float32 and torch.equal(value, before[name])
    single = drawn().state_dict()
    net = network_with(CONFIG, single)
    single["head.weight"].add_(1)
    assert not torch.equal(net.state_dict()["head.weight"], single["head.weight"])


def test_building_it_loads_nothing_more_of_torch():
    """Draws without memory would load torch's compiler: 1.5 s."""
    code = """
import sys, torch
from geoflow.model.model import network_with
from geoflow.networks import NETWORKS
before = set(sys.modules)
for name in NETWORKS:
    try:
        network_with({"network": {"name": name, "arguments": {}}}, {})
    except ValueError as error:
        assert "do not fit" in str(error), error
assert "sympy" not in set(sys.modules) - before
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
