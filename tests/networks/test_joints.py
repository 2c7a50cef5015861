"""The joint network: its contract, its size, what it may depend on."""

import pytest
import torch

from geoflow.flow.condition import Condition
from geoflow.networks.joints import JointSizes, JointTransformer, padded_linear

SMALL = {"width": 64, "latents": 8, "rounds": 2, "hidden": 64, "point_hidden": 64, "categories": 2}


def small(seed=0):
    torch.manual_seed(seed)
    net = JointTransformer(JointSizes(**SMALL))
    for parameter in net.parameters():  # zero starts would hide what a part does
        torch.nn.init.normal_(parameter, std=0.1)
    return net.eval()


def inputs(batch=2, points=40, seed=0):
    g = torch.Generator().manual_seed(seed)
    x, place, normal = torch.randn(3, batch, points, 3, generator=g)
    t, r = torch.rand(2, batch, generator=g)
    return x, t, r, Condition(torch.zeros(batch).long(), torch.cat((place, normal), -1))


def test_it_starts_as_its_reference():
    x, t, r, cond = inputs()
    torch.testing.assert_close(
        JointTransformer(JointSizes(**SMALL))(x, t, r, cond), cond.context[..., :3]
    )


@torch.no_grad()
def test_the_output_moves_with_its_point():
    net, (x, t, r, cond) = small(), inputs()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    shuffled = Condition(cond.labels, cond.context[:, order])
    torch.testing.assert_close(
        net(x[:, order], t, r, shuffled), net(x, t, r, cond)[:, order], atol=1e-5, rtol=1e-4
    )


@torch.no_grad()
def test_every_input_matters():
    net, (x, t, r, cond) = small(), inputs()
    base = net(x, t, r, cond)
    changed = [
        net(x + 0.1, t, r, cond),
        net(x, t * 0.5, r, cond),
        net(x, t, r * 0.5, cond),
        net(x, t, r, Condition(cond.labels + 1, cond.context)),
        net(x, t, r, Condition(cond.labels, cond.context * torch.tensor([1, 1, 1, 0.5, 1, 1]))),
        net(x, t, r, Condition(cond.labels, cond.context * torch.tensor([0.5, 1, 1, 1, 1, 1]))),
    ]
    assert all(float((other - base).abs().max()) > 1e-4 for other in changed)


@torch.no_grad()
def test_samples_of_a_batch_do_not_mix_and_any_number_of_points_goes():
    net, (x, t, r, cond) = small(), inputs(points=30)
    alone = net(x[:1], t[:1], r[:1], cond[:1])
    torch.testing.assert_close(alone, net(x, t, r, cond)[:1], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_no_label_is_the_last_one():
    net, (x, t, r, cond) = small(), inputs()
    null = net(x, t, r, Condition(torch.full((2,), 2), cond.context))
    torch.testing.assert_close(net(x, t, r, Condition(None, cond.context)), null)


@pytest.mark.parametrize("context", [None, torch.zeros(2, 40, 3), torch.zeros(2, 39, 6)])
def test_a_reference_for_every_point(context):
    x, t, r, _ = inputs()
    with pytest.raises(ValueError, match="a reference point and normal"):
        small()(x, t, r, Condition(None, context))


@pytest.mark.parametrize(("columns", "rows"), [(93, 192), (192, 3), (16, 8)])
def test_padding_changes_no_product(columns, rows):
    g = torch.Generator().manual_seed(0)
    x, weight = torch.randn(2, 5, columns, generator=g), torch.randn(rows, columns, generator=g)
    bias = torch.randn(rows, generator=g)
    torch.testing.assert_close(padded_linear(x, weight, bias), x @ weight.T + bias)
