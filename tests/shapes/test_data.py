"""Batches of grids with sparse clouds."""

import numpy as np
import pytest
import torch

from geoflow.shapes.data import ScanSource
from geoflow.shapes.scans import Scans

N, P = 6, 300


@pytest.fixture(scope="module")
def source() -> ScanSource:
    rng = np.random.default_rng(0)
    values = rng.integers(-127, 128, (N, 4, 4, 4), np.int8)
    labels = np.arange(N) % 2
    # shape i has its points near x = i / 10, so that a cloud tells which shape it is of
    points = rng.uniform(-0.5, 0.5, (N, P, 3)).astype(np.float32)
    points[..., 0] = np.arange(N)[:, None] / 10
    return ScanSource(
        values, labels, ["a", "b"], np.ones(N), 0.1, torch.device("cpu"), points=points
    )


def draw(source: ScanSource, seed: int = 0, size: int = 64):
    return source.batch(size, torch.Generator().manual_seed(seed))


def test_shapes_and_repetition(source):
    grids, cond = draw(source)
    assert grids.shape == (64, 4, 4, 4)
    assert cond.context.shape == (64, source.scans.size, 3) and cond.context_mask.shape == (
        64,
        1024,
    )
    counts = [len(c.unique(dim=0)) for c in cond.context]
    assert min(counts) >= source.scans.fewest and max(counts) <= P and max(counts) > 2 * min(counts)


def test_the_cloud_is_of_the_grids_shape(source, monkeypatch):
    monkeypatch.setattr(Scans, "noisy", 0.0)
    grids, cond = draw(source)
    which = (cond.context[..., 0].mean(1) * 10).round().long()
    own = source.standardise(source.values.float() / 127)
    order = source.order
    for grid, shape in zip(grids, which, strict=True):
        place = int(np.flatnonzero(order == int(shape))[0])
        assert torch.equal(grid, own[place])


def test_some_are_given_some_labelled_some_torn(source):
    _, cond = draw(source, size=400)
    given = cond.context_mask.any(1)
    assert 0.4 < given.float().mean() < 0.6
    labelled = cond.labels < 2
    assert labelled[~given].all() and 0.35 < labelled[given].float().mean() < 0.65
    left = cond.context_mask[given].float().mean(1)
    assert 0.15 < (left < 1).float().mean() < 0.45 and left.min() > 0.4


def test_a_hole_is_a_ball(source, monkeypatch):
    monkeypatch.setattr(Scans, "torn", 1.0)
    monkeypatch.setattr(Scans, "noisy", 0.0)
    _, cond = draw(source)
    torn = cond.context_mask.any(1) & ~cond.context_mask.all(1)
    assert torn.sum() > 10
    for points, real in zip(cond.context[torn], cond.context_mask[torn], strict=True):
        lost, kept = points[~real], points[real]
        inside = torch.cdist(lost, lost).max(1).values.min()  # near the middle of the hole
        centre = lost[torch.cdist(lost, lost).max(1).values.argmin()]
        assert (kept - centre).norm(dim=1).min() > 0.3 * inside


def test_noise_has_its_size_and_repeats_keep_it(source, monkeypatch):
    monkeypatch.setattr(Scans, "noisy", 1.0)
    _, cond = draw(source, size=200)
    off = cond.context[..., 0] * 10
    spread = (off - off.round()).abs()
    assert 0.001 < cond.context[..., 0].std(1).mean() < source.scans.noise
    assert spread.max() <= 0.5
    assert max(len(c.unique(dim=0)) for c in cond.context) <= P


def test_a_batch_depends_on_the_generator_alone(source):
    first, again, other = draw(source, 3), draw(source, 3), draw(source, 4)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1].context, again[1].context)
    assert torch.equal(first[1].context_mask, again[1].context_mask)
    assert not torch.equal(first[1].context, other[1].context)
