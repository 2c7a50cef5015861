"""The point transformer: equivariance, any number of points, conditions, cost."""

import pytest
import torch

from geoflow.flow.condition import Condition
from geoflow.networks.points import PointSizes, PointTransformer

SMALL = {"width": 64, "latents": 16, "rounds": 2, "blocks": 1, "hidden": 64, "point_hidden": 64}


def make(**arguments) -> PointTransformer:
    """A small network; fresh ones give zero, so the weights are moved."""
    torch.manual_seed(0)
    net = PointTransformer(PointSizes(**SMALL | {"categories": 3} | arguments)).eval()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn(p.shape))
    return net.requires_grad_(False)


@pytest.fixture
def inputs():
    t = torch.tensor([0.1, 0.6])
    return torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(1)), t, t + 0.3


@pytest.mark.parametrize("count", [1, 50, 300])
def test_it_takes_any_number_of_points(count):
    x, t = torch.randn(2, count, 3), torch.tensor([0.1, 0.6])
    out = make()(x, t, t)
    assert out.shape == x.shape and torch.isfinite(out).all()


def test_permuting_the_points_permutes_the_output(inputs):
    x, t, r = inputs
    net, order = make(), torch.randperm(50, generator=torch.Generator().manual_seed(2))
    out = net(x, t, r)
    assert torch.allclose(net(x[:, order], t, r), out[:, order], atol=1e-5)
    assert (out[:, 0] - out[:, 1]).abs().max() > 1e-2


def test_a_point_hears_of_the_others(inputs):
    x, t, r = inputs
    moved = x.clone()
    moved[:, 1:] += 0.5
    net = make()
    assert (net(x, t, r)[:, 0] - net(moved, t, r)[:, 0]).abs().max() > 1e-3


def test_times_and_labels_matter_and_samples_do_not_mix(inputs):
    x, t, r = inputs
    net = make()
    plain = net(x, t, r)
    assert torch.allclose(net(x, t, r, Condition(torch.tensor([3, 3]))), plain)
    for other in (
        net(x, t + 0.1, r),
        net(x, t, r + 0.1),
        net(x, t, r, Condition(torch.zeros(2, dtype=torch.long))),
    ):
        assert (other - plain).abs().amax((1, 2)).min() > 1e-4
    assert torch.allclose(net(x[:1], t[:1], r[:1]), plain[:1], atol=1e-5)


def test_a_fresh_network_gives_zero_and_its_head_learns(inputs):
    x, t, r = inputs
    net = PointTransformer(PointSizes(**SMALL, categories=3))
    out = net(x, t, r)
    assert (out == 0).all()
    (out - 1).square().sum().backward()
    assert net.head.weight.grad.abs().max() > 0
