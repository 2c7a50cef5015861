"""The parts of the shape autoencoder that are arithmetic: bricks, windows, and how they fade."""

import pytest
import torch

from geoflow.networks import autoencoder as parts
from geoflow.networks import build_network

TINY = {
    "resolution": 32,
    "width": 64,
    "hidden": 64,
    "encoder_depth": 1,
    "decoder_depth": 1,
    "stem": 16,
    "brick_width": 32,
    "brick_hidden": 32,
    "brick_depth": 1,
}


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return build_network("ShapeAutoencoder", **TINY).eval().requires_grad_(False)


def egg(side: int) -> torch.Tensor:
    """(1, S, S, S): another radius along each axis, off the middle."""
    x = (torch.arange(side) + 0.5) * 2 / side - 1
    at = ((x - 0.1) / 0.7)[:, None, None], ((x + 0.05) / 0.5)[:, None], x / 0.6
    return (sum(a**2 for a in at).sqrt() - 1)[None]


def test_a_window_is_cut_out_where_its_brick_lies():
    grids = torch.randn(2, 32, 32, 32)
    cut = parts.windows_of(grids, torch.tensor([[1 * 16 + 2 * 4 + 1], [0]]), 8, 2)
    assert torch.equal(cut[0, 0], grids[0, 6:18, 14:26, 6:18])
    assert torch.equal(cut[1, 0, 2:, 2:, 2:], grids[1, :10, :10, :10])
    assert torch.equal(cut[1, 0, 0], cut[1, 0, 2]), "beyond the grid it goes on as it ends"


def test_twice_as_fine_is_exact_for_what_is_linear():
    def field(side):
        x = (torch.arange(side) + 0.5) * 2 / side - 1
        return (3 * x[:, None, None] - 2 * x[:, None] + 0.5 * x)[None]

    inner = (slice(None), *[slice(4, -4)] * 3)
    assert (parts.upsampled(field(16)) - field(32))[inner].abs().max() < 1e-5


def test_windows_are_the_smooth_grid_before_training(net):
    coarse = egg(16)
    bricks = torch.tensor([[21, 42]])
    features = torch.zeros(1, 64, TINY["brick_width"])
    cut = parts.windows_of(parts.upsampled(coarse), bricks, 8, 2)
    assert torch.allclose(net.decoder.windows(coarse, features, bricks), cut, atol=1e-5)


def test_bricks_fade_into_each_other_and_into_the_coarse_grid(net, monkeypatch):
    coarse = egg(16)
    monkeypatch.setattr(
        net.decoder, "coarse", lambda latents: (coarse, torch.zeros(1, 64, TINY["brick_width"]))
    )
    smooth = parts.upsampled(coarse)
    assert torch.allclose(net.decoder.fine(torch.zeros(1, 8, 32)), smooth, atol=1e-5)
    near = parts.nearest_to_surface(coarse)
    assert (near < parts.NEAR).sum() > 0
    plain = net.decoder.windows
    monkeypatch.setattr(net.decoder, "windows", lambda *given: plain(*given) + 1)
    raised = net.decoder.fine(torch.zeros(1, 8, 32)) - smooth
    assert raised.min() > -1e-5 and raised.max() < 1 + 1e-5
    bricks = (near < parts.NEAR).view(4, 4, 4).nonzero()
    for x, y, z in bricks * 8:
        assert torch.allclose(raised[0, x + 2 : x + 6, y + 2 : y + 6, z + 2 : z + 6], torch.ones(1))


def test_a_brick_near_the_surface_is_found_and_one_far_away_is_not():
    x = (torch.arange(16) + 0.5) / 8 - 1
    plane = 8 * (x[:, None, None] - 0.3).expand(16, 16, 16)[None]  # in cells
    near = (parts.nearest_to_surface(plane) < parts.NEAR).view(4, 4, 4)
    assert near[2].all() and not near[0].any() and not near[1].any()


def test_latents_lie_on_the_sphere_and_tokens_are_where_their_patch_is(net):
    grid = torch.ones(1, 32, 32, 32)
    z = net.encoder(grid)
    assert z.shape == (1, 8, 32)
    assert torch.allclose(z.square().mean(-1), torch.ones(1, 8), atol=1e-4)
    x = torch.randn(1, 64, 5)
    assert torch.equal(parts._by_brick(parts._by_token(x, 2, 2), 2, 2), x)
    token = parts._by_token(x, 2, 2)[0, 1].view(8, 5)
    assert torch.equal(token[0], x[0, 2]) and torch.equal(token[4], x[0, 16 + 2])


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(ValueError, match="patch must be a multiple of 16"):
        build_network("ShapeAutoencoder", resolution=36)
