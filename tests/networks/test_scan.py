"""The cloud as a condition of the grid network."""

import pytest
import torch

from geoflow.flow.condition import Condition
from geoflow.networks.grid import GridSizes, GridTransformer, to_patches
from geoflow.networks.scan import CloudEncoder

SMALL = {"resolution": 16, "patch": 4, "overlap": 1, "width": 64, "depth": 2, "hidden": 64}


def make(**changes) -> GridTransformer:
    """A small network whose weights are moved: fresh ones give zero."""
    torch.manual_seed(0)
    net = GridTransformer(GridSizes(**SMALL | {"categories": 3, "cloud": True} | changes)).eval()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn(p.shape))
    return net.requires_grad_(False)


@pytest.fixture
def given():
    g = torch.Generator().manual_seed(1)
    x, cloud = torch.randn(2, 16, 16, 16, generator=g), 2 * torch.rand(2, 40, 3, generator=g) - 1
    return x, torch.tensor([0.1, 0.6]), Condition(torch.tensor([0, 1]), cloud)


def test_a_point_is_seen_in_its_own_patch():
    encoder = CloudEncoder(8, side=4)
    with torch.no_grad():
        encoder.spread.weight.copy_(torch.eye(8))
    point = torch.tensor([[[-0.9, 0.1, 0.9]]])
    _, patches = encoder(point, None)
    mark = torch.zeros(1, 16, 16, 16)
    mark[0, 0, 8, 15] = 1  # the cell of that point, four cells a patch
    where = to_patches(mark, 4).sum(-1)
    assert (patches.abs().sum(-1) > 0).equal(where > 0)


def test_order_and_repetition_of_points_do_not_matter(given):
    x, t, cond = given
    net, cloud = make(), cond.context
    plain = net(x, t, t, cond)
    turned = Condition(cond.labels, cloud.flip(1))
    assert torch.allclose(net(x, t, t, turned), plain, atol=1e-4)
    features, patches = net.cloud(cloud.repeat(1, 3, 1), None)
    once, patches_once = net.cloud(cloud, None)
    assert torch.allclose(patches, patches_once, atol=1e-5)
    assert torch.allclose(features[:, :40], once, atol=1e-6)


def test_the_cloud_matters_and_a_masked_one_is_none(given):
    x, t, cond = given
    net = make()
    plain = net(x, t, t, cond)
    without = net(x, t, t, Condition(cond.labels))
    assert (plain - without).abs().amax((1, 2, 3)).min() > 1e-3
    nothing = torch.zeros(2, 40, dtype=torch.bool)
    masked = net(x, t, t, Condition(cond.labels, cond.context, nothing))
    assert torch.allclose(masked, without, atol=1e-5)
    half = nothing.clone()
    half[:, :20] = True
    part = net(x, t, t, Condition(cond.labels, cond.context, half))
    fewer = net(x, t, t, Condition(cond.labels, cond.context[:, :20]))
    assert torch.allclose(part, fewer, atol=1e-4)


def test_points_outside_of_the_cube_do_not_break_it(given):
    x, t, cond = given
    out = make()(x, t, t, Condition(cond.labels, 5 * cond.context))
    assert torch.isfinite(out).all()


def test_fresh_weights_ignore_the_cloud(given):
    x, t, cond = given
    torch.manual_seed(0)
    net = GridTransformer(GridSizes(**SMALL, categories=3, cloud=True))
    torch.nn.init.normal_(net.head.weight)
    assert torch.allclose(net(x, t, t, cond), net(x, t, t, Condition(cond.labels)), atol=1e-6)
