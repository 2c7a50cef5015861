"""Clouds to surfaces: checks, and a network that reads clouds."""

import numpy as np
import pytest
import torch

from geoflow.networks import build_network
from geoflow.shapes.model import ObjectGenerator
from geoflow.shapes.reconstruct import (
    FEWEST,
    check_cloud,
    choose_points,
    reconstruct,
)


def cloud(n: int = 200, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (n, 3)) * [1, 2, 0.5]


def generator(clouds: bool = True) -> ObjectGenerator:
    arguments = {"resolution": 16, "patch": 4, "overlap": 1, "width": 64, "depth": 1}
    arguments |= {"hidden": 64, "categories": 2, "cloud": clouds}
    torch.manual_seed(0)
    net = build_network("GridTransformer", **arguments)
    config = {
        "kind": "objects-surface",
        "network": {"name": "GridTransformer", "arguments": arguments},
        "transport": {"name": "x1-FM", "arguments": {"noise_std": 24.0}},
        "data": {
            "categories": ["a", "b"],
            "metres": [1.0, 2.0],
            "resolution": 16,
            "truncation": 0.1,
            "mean": 0.0,
            "std": 1.0,
        },
    }
    return ObjectGenerator(config, net.state_dict(), "0", torch.device("cpu"))


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (cloud(FEWEST - 1), "at least 16 different points; given 15"),
        (np.repeat(cloud(4), 30, axis=0), "at least 16 different points; given 4"),
        (np.where(np.arange(60).reshape(20, 3) == 7, np.nan, cloud(20)), "1 of 20 points are not"),
        (cloud()[:, :2], r"must be \(N, 3\) numbers; given \(200, 2\)"),
        (np.array([["a", "b", "c"]] * 20), "must be"),
    ],
)
def test_a_cloud_that_cannot_be_used_is_one_line(points, says):
    with pytest.raises(ValueError, match=says):
        check_cloud(points)


def test_points_are_chosen_evenly_from_a_million():
    points = np.random.default_rng(0).normal(size=(100_000, 3))
    points[:90_000] *= 0.01  # most lie in a heap
    chosen = choose_points(points)
    assert chosen.shape == (1024, 3)
    assert (chosen.norm(dim=1) > 0.1).float().mean() > 0.8
    assert torch.equal(chosen, choose_points(points))
    few = cloud(64)
    assert np.allclose(choose_points(few).numpy(), few)


def test_the_mesh_comes_back_in_the_frame_of_the_cloud(monkeypatch):
    made, seen = generator(), {}
    axis = (np.arange(16) + 0.5) / 8 - 1
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    ball = torch.tensor(np.sqrt(x**2 + y**2 + z**2) - 0.6)[None]

    def sdf(noise, categories, **rest):
        seen.update(rest, categories=categories)
        return ball

    monkeypatch.setattr(made, "sdf", sdf)
    points = 50 + 3 * cloud()
    mesh = reconstruct(made, points, resolution=64, up="z")
    middle, size = (points.min(0) + points.max(0)) / 2, np.ptp(points, axis=0).max() / 2
    assert np.allclose(mesh.vertices.mean(0), middle, atol=0.01 * size)
    assert np.ptp(mesh.vertices, axis=0) == pytest.approx(2 * 0.6 / 0.9 * size, rel=0.02)
    assert mesh.watertight and mesh.volume > 0
    assert seen["categories"] == [None] and seen["clouds"].abs().max() <= 0.9 + 1e-6


def test_the_cloud_reaches_the_network():
    made = generator()
    with torch.no_grad():
        for p in made.net.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    noise = torch.randn(1, 16, 16, 16)
    a, b = (made.sdf(noise, [None], clouds=torch.rand(1, 64, 3)) for _ in range(2))
    assert (a - b).abs().max() > 1e-4
    assert (a - made.sdf(noise, [None])).abs().max() > 1e-4


def test_a_network_that_reads_no_clouds_says_so():
    with pytest.raises(ValueError, match="must be one that reads clouds"):
        reconstruct(generator(clouds=False), cloud())
