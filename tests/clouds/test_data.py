"""Clouds for training: subsets, balance, units, what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from geoflow.clouds.data import PointSource
from geoflow.data.bricks import encode_sdf
from geoflow.data.shards import ShapeWriter, StoredShape

CPU = torch.device("cpu")


def source(size: int = 20) -> PointSource:
    """Six shapes of 50 points; the category and the shape can be read from the points."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.05, 0.05, (6, 50, 3)).astype(np.float32)
    points[:, :, 0] += np.array([0.1, 0.2, 0.3, 0.4, 0.5, -0.9])[:, None]
    labels = np.array([0, 0, 0, 0, 0, 1])
    return PointSource(points, labels, ["many", "one"], np.arange(1.0, 7.0), CPU, size)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_batches_are_subsets_in_balance_and_of_unit_variance():
    made = source()
    clouds, labels = made.batch(400, generator())
    assert clouds.shape == (400, 20, 3) and clouds.dtype == torch.float32
    assert abs(labels.float().mean() - 0.5) < 0.08  # one shape against five
    cube = made.decode(clouds)
    assert ((cube[..., 0].mean(1) < 0) == (labels == 1)).all()
    known = made.values[5].float() / 32767
    distance = torch.cdist(cube[labels == 1][0], known)
    assert distance.min(1).values.max() < 1e-3
    assert len(distance.argmin(1).unique()) == 20  # no point twice
    again, _ = made.batch(400, generator())
    assert torch.equal(again, clouds)
    picks = [tuple(torch.cdist(c, known).argmin(1).tolist()) for c in cube[labels == 1][:9]]
    assert len(set(picks)) > 3  # other points of the same shape
    assert made.metres == [3.0, 6.0]
    assert made.std == pytest.approx(np.sqrt(np.mean((made.values.numpy() / 32767) ** 2)), rel=1e-4)


@pytest.mark.gpu
def test_everything_is_drawn_on_the_generators_device():
    rng, cuda = np.random.default_rng(0), torch.device("cuda")
    points = rng.uniform(-1, 1, (4, 50, 3))
    labels = np.array([0, 0, 1, 1])
    made = PointSource(points, labels, ["a", "b"], np.ones(4), cuda, 20)
    torch.cuda.synchronize()
    drawn = [made.batch(64, torch.Generator(cuda).manual_seed(1)) for _ in range(2)]
    assert torch.equal(drawn[0][0], drawn[1][0]) and drawn[0][0].device.type == "cuda"
    assert set(drawn[0][1].tolist()) == {0, 1}
    other, _ = made.batch(64, torch.Generator().manual_seed(1))  # a CPU generator serves too
    assert other.device.type == "cuda" and not torch.equal(other, drawn[0][0])


def test_too_many_points_and_an_empty_category_are_refused():
    with pytest.raises(ValueError, match="a cloud needs 1 to 50 points, as many as a shape has"):
        source(51)
    with pytest.raises(ValueError, match="none in none"):
        PointSource(np.zeros((1, 9, 3)), np.zeros(1, int), ["a", "none"], np.ones(1), CPU, 3)


def write(folder: Path, points: int) -> Path:
    writer = ShapeWriter(folder, [8], 0.25, points)
    rng = np.random.default_rng(0)
    for i in (0, 1, 3):  # the last one is for validation
        place = rng.uniform(-0.9, 0.9, (points, 3)) if points else None
        normal = np.tile([0.0, 1.0, 0.0], (points, 1)) if points else None
        grid = np.full((8, 8, 8), 0.1)
        writer.add(
            StoredShape(f"cup/cup_{i}", "cup", 0.1, {8: encode_sdf(grid, 0.25)}, place, normal)
        )
    writer.flush()
    return folder


def test_it_opens_what_data_preparation_wrote(tmp_path):
    made = PointSource.open(write(tmp_path / "a", 64), CPU)
    assert isinstance(made, PointSource) and len(made) == 2 and made.size == 64
    described = made.describe()
    assert described["points"] == 64 and described["training_shapes"] == 2
    with pytest.raises(ValueError, match="has no points; make it again"):
        PointSource.open(write(tmp_path / "b", 0), CPU)
