"""The point network: points do not see each other, times matter, one time is embedded once."""

import pytest
import torch

from geoflow.networks.pointwise import FourierCode, MLPSizes, PointMLP

SMALL = {"width": 32, "depth": 2, "time_width": 16, "waves": 16}


def make(channels: int = 3) -> PointMLP:
    """A small network; fresh ones give zero, so the weights are perturbed."""
    torch.manual_seed(0)
    net = PointMLP(MLPSizes(channels, **SMALL))
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn(p.shape))
    return net


def inputs(channels: int = 3, count: int = 6):
    g = torch.Generator().manual_seed(1)
    t = 0.5 * torch.rand(count, generator=g)
    return torch.randn(count, channels, generator=g), t, t + 0.3


@pytest.mark.parametrize("channels", [3, 6])
def test_every_point_is_a_sample_of_its_own(channels):
    net, (x, t, r) = make(channels), inputs(channels)
    out = net(x, t, r, None)
    assert out.shape == x.shape and out.dtype == torch.float32
    moved = x.clone()
    moved[0] += 1
    other = net(moved, t, r, None)
    assert torch.equal(other[1:], out[1:]) and (other[0] - out[0]).abs().min() > 1e-4


def test_both_times_matter():
    net, (x, t, r) = make(), inputs()
    out = net(x, t, r, None)
    assert (net(x, t + 0.1, r, None) - out).abs().max() > 1e-3
    assert (net(x, t, r + 0.1, None) - out).abs().max() > 1e-3


def test_one_time_for_all_is_embedded_once_to_the_same_result():
    net, (x, _, _) = make(), inputs()
    seen = []
    net.time.register_forward_hook(lambda module, given, out: seen.append(len(out)))
    t, r = torch.full((6,), 0.2), torch.full((6,), 0.9)
    trained = net(x, t, r, None)
    with torch.no_grad():
        sampled = net(x, t, r, None)
        mixed = net(x, t, torch.cat((r[:3], t[:3])), None)
    assert seen == [6, 1, 6]
    assert torch.allclose(sampled, trained, atol=1e-6)
    assert torch.allclose(mixed[:3], trained[:3], atol=1e-6)


def test_waves_are_of_all_frequencies_and_directions():
    code = FourierCode(256, 200.0)
    rates = code.directions.norm(dim=0)
    assert rates.min().item() == pytest.approx(1) and rates.max().item() == pytest.approx(200)
    for octave in (code.directions / rates).split(64, dim=1):
        spread = octave @ octave.T / 64
        assert (spread - torch.eye(3) / 3).abs().max() < 0.04
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    coded = code(x)
    assert coded.shape == (5, 515) and torch.equal(coded[:, :3], x)
    assert torch.allclose(coded[:, 3:259], (x @ code.directions).sin(), atol=1e-3)
    assert torch.allclose(coded[:, 3:259].square() + coded[:, 259:].square(), torch.ones(5, 256))


def test_a_fresh_network_gives_zero():
    assert torch.equal(PointMLP(MLPSizes())(*inputs(), None), torch.zeros(6, 3))


@pytest.mark.slow  # torch loads its compiler for it
def test_it_compiles_whole():
    net, (x, t, r) = make(), inputs()
    compiled = torch.compile(net, backend="eager", fullgraph=True, dynamic=False)
    assert torch.allclose(compiled(x, t, r, None), net(x, t, r, None), atol=1e-6)


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match="channels must be 3, or 6 with colours; got 4"):
        MLPSizes(4)
