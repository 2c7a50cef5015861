"""The training format: what is written comes back, and damage is named."""

import dataclasses
import json

import numpy as np
import pytest

from geoflow.data.bricks import decode_sdf, encode_sdf
from geoflow.data.shards import (
    SHARD_SIZE,
    ShapeDataset,
    ShapeWriter,
    StoredShape,
    split_of,
)

R, POINTS = 16, 20


def make_shape(number: int, category: str = "chair") -> StoredShape:
    rng = np.random.default_rng(number)
    axis = -1 + (np.arange(R) + 0.5) * 2 / R
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    sdf = np.clip(np.linalg.norm(grid - rng.normal(0, 0.1, 3), axis=-1) - 0.5, -0.1, 0.1)
    normals = rng.normal(size=(POINTS, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    name = f"{category}/{category}_{number:05d}"
    grids = {R: encode_sdf(sdf, 0.1)}
    return StoredShape(name, category, 0.1 * number, grids, 0.9 * normals, normals)


@pytest.fixture
def folder(tmp_path):
    writer = ShapeWriter(tmp_path / "set", [R], 0.1, POINTS)
    for number in range(SHARD_SIZE + 12):
        writer.add(make_shape(number, "chair" if number % 3 else "bed"))
    writer.flush()
    return tmp_path / "set"


def test_round_trip_in_order(folder):
    data = ShapeDataset.open(folder)
    sdf, category, names = data.load_sdf(R, "all")
    points, normals = data.load_points("all")
    assert len(names) == SHARD_SIZE + 12 and len(data.shards) == 2
    assert set(data.categories) == {"bed", "chair"}
    for place in (0, 5, SHARD_SIZE - 1, SHARD_SIZE, SHARD_SIZE + 11):
        shape = make_shape(place, "chair" if place % 3 else "bed")
        assert names[place] == shape.name
        assert data.categories[category[place]] == shape.category
        assert np.isclose(data.scales("all")[place], shape.scale)
        np.testing.assert_array_equal(sdf[place], decode_sdf(shape.sdf[R], R))
        np.testing.assert_allclose(points[place], shape.points, atol=2e-5)
        assert (normals[place] * shape.normals).sum(1).min() > 0.999


def test_splits_are_disjoint_and_test_shapes_never_train(folder):
    data = ShapeDataset.open(folder)
    by_split = {split: set(data.load_sdf(R, split)[2]) for split in ("train", "validation", "test")}
    assert all(name.endswith("3") for name in by_split["validation"])
    assert all(name.endswith("7") for name in by_split["test"])
    assert not any(name.endswith(("3", "7")) for name in by_split["train"])
    assert sum(map(len, by_split.values())) == SHARD_SIZE + 12
    sdf, category, names = data.load_sdf(R, "validation")
    assert len(sdf) == len(category) == len(names) == len(data.scales("validation")) > 0
    np.testing.assert_array_equal(sdf[1], decode_sdf(make_shape(13).sdf[R], R))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("chair/office_00012", "train"),
        ("a/b_3", "validation"),
        ("a/b_00017", "test"),
        ("a/b", "train"),
    ],
)
def test_split_of(name, split):
    assert split_of(name) == split


def test_appending_keeps_what_is_there(folder):
    before = ShapeDataset.open(folder).load_sdf(R, "all")
    writer = ShapeWriter(folder, [R], 0.1, POINTS)
    with pytest.raises(ValueError, match="already"):
        writer.add(make_shape(4))
    writer.add(make_shape(9001, "armchair"))
    writer.flush()
    after = ShapeDataset.open(folder).load_sdf(R, "all")
    np.testing.assert_array_equal(after[0][:-1], before[0])
    np.testing.assert_array_equal(after[1][:-1], before[1])  # a new category moves no index
    assert after[2][-1] == "armchair/armchair_09001"


def test_another_setting_is_refused(folder):
    with pytest.raises(ValueError, match="truncation"):
        ShapeWriter(folder, [R], 0.2, POINTS)


def test_wrong_grid_is_refused(tmp_path):
    with pytest.raises(ValueError, match="grid of 32"):
        ShapeWriter(tmp_path, [32], 0.1, 0).add(make_shape(1))


def test_grids_load_without_points(folder):
    (folder / "00000.points.npz").unlink()
    data = ShapeDataset.open(folder)
    assert len(data.load_sdf(R, "train")[0]) > 0
    with pytest.raises(ValueError, match=r"00000\.points\.npz.*copy"):
        data.load_points("train")


def test_truncated_and_missing_shards_are_named(folder):
    path = folder / f"00001.sdf{R}.npz"
    whole = path.read_bytes()
    for damaged in (whole[:-40], whole[:10], b"", b"PK" + bytes(40)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"00001\.sdf{R}\.npz is damaged.*again") as caught:
            ShapeDataset.open(folder).load_sdf(R, "all")
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(ValueError, match="missing"):
        ShapeDataset.open(folder).load_sdf(R, "all")


def test_truncated_points_and_lists_are_named(folder):
    path = folder / "00000.points.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"points\.npz is damaged"):
        ShapeDataset.open(folder).load_points("all")
    path = folder / "00001.json"
    path.write_text(path.read_text()[:50])
    with pytest.raises(ValueError, match=r"00001\.json is damaged"):
        ShapeDataset.open(folder)


@pytest.mark.parametrize(("key", "value"), [("version", 1), ("format", "other")])
def test_another_version_or_format_is_refused(folder, key, value):
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ValueError, match="this program reads 'geoflow-shapes' version 2"):
        ShapeDataset.open(folder)


def test_no_data_set_unknown_split_and_resolution(folder, tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        ShapeDataset.open(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="split must be"):
        ShapeDataset.open(folder).load_sdf(R, "valid")
    with pytest.raises(ValueError, match="resolution of"):
        ShapeDataset.open(folder).load_sdf(128)


@pytest.mark.parametrize("part", ["points", "normals"])
def test_points_and_normals_that_lack_or_do_not_match_are_named(tmp_path, part):
    writer = ShapeWriter(tmp_path, [R], 0.1, POINTS)
    for value in (None, np.zeros((POINTS + 1, 3))):
        shape = dataclasses.replace(make_shape(1), **{part: value})
        with pytest.raises(ValueError, match=f"must have {POINTS} {part}"):
            writer.add(shape)
