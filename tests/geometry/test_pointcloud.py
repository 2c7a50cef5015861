"""Sampling by area, normals, farthest points."""

import numpy as np
import pytest
import trimesh

from geoflow.geometry import pointcloud

# Two triangles of areas 0.5 and 4.5 and, between them, one of no area.
VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 5], [3, 0, 5], [0, 3, 5.0]])
FACES = np.array([[0, 1, 2], [1, 1, 2], [3, 4, 5]])


def test_points_lie_on_the_surface_evenly():
    points, normals = pointcloud.sample_surface(VERTICES, FACES, 20_000, seed=1)
    assert points.shape == normals.shape == (20_000, 3)
    low = points[:, 2] == 0
    assert low.mean() == pytest.approx(0.1, abs=0.01)
    assert ((points[:, 2] == 5) | low).all()
    for part, side in ((points[low], 1), (points[~low], 3)):
        assert (part[:, :2] >= 0).all() and (part[:, 0] + part[:, 1] <= side + 1e-12).all()
        # Even over a triangle: the mean is its centroid, and a quarter lies in each quarter.
        np.testing.assert_allclose(part[:, :2].mean(axis=0), side / 3, atol=0.02 * side)
        assert (part[:, 0] > side / 2).mean() == pytest.approx(0.25, abs=0.03)
    np.testing.assert_allclose(normals, np.broadcast_to([0, 0, 1.0], normals.shape))


def test_normals_point_outward_and_are_unit():
    solid = trimesh.creation.icosphere(subdivisions=2)
    points, normals = pointcloud.sample_surface(solid.vertices, solid.faces, 500)
    assert ((points * normals).sum(axis=1) > 0.9).all()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)


def test_seeds():
    draw = pointcloud.sample_surface
    np.testing.assert_array_equal(draw(VERTICES, FACES, 9, 3)[0], draw(VERTICES, FACES, 9, 3)[0])
    assert not np.array_equal(draw(VERTICES, FACES, 9, 3)[0], draw(VERTICES, FACES, 9, 4)[0])
    rng = np.random.default_rng(3)
    first, second = (draw(VERTICES, FACES, 9, rng)[0] for _ in range(2))
    np.testing.assert_array_equal(first, draw(VERTICES, FACES, 9, 3)[0])
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("faces, count, text", [
    (FACES, 0, "count must be at least 1; got 0"),
    (FACES[1:2], 5, "positive, finite area"),
    (FACES[:0], 5, "its 0 faces"),
])  # fmt: skip
def test_sampling_refuses(faces, count, text):
    with pytest.raises(ValueError, match=text):
        pointcloud.sample_surface(VERTICES, faces, count)


def brute(points, count):
    """Farthest points by the whole table of distances, in the promised order of additions."""
    difference = np.square(points[:, None] - points[None])
    distances = difference[..., 0] + difference[..., 1] + difference[..., 2]
    chosen = [0]
    while len(chosen) < count:
        chosen.append(int(distances[chosen].min(axis=0).argmax()))
    return chosen


NORMAL = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)
LATTICE = np.stack(np.meshgrid(*[np.arange(5.0)] * 3), -1).reshape(-1, 3).astype(np.float32)
CLOUDS = {
    "normal": NORMAL,
    "ties": np.random.default_rng(0).permutation(LATTICE),
    "duplicates": np.tile(NORMAL[:10], (6, 1)),
    "one place": np.ones((9, 3), np.float32),
    "far": NORMAL + np.float32(1000),
}


@pytest.mark.parametrize("case", CLOUDS)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_farthest_points_against_brute_force(case, count):
    found = pointcloud.farthest_points(CLOUDS[case], count)
    assert found.dtype == np.int64 and found.tolist() == brute(CLOUDS[case], count)


def test_farthest_points_by_hand():
    line = np.array([[3.0, 0, 0], [0, 0, 0], [10, 0, 0], [5, 0, 0]])
    # 10 is farthest from 3; then 0 (3 away from 3); then 5.
    assert pointcloud.farthest_points(line, 4).tolist() == [0, 2, 1, 3]


def test_all_points_are_a_permutation():
    assert sorted(pointcloud.farthest_points(NORMAL, 120)) == list(range(120))


@pytest.mark.parametrize(("points", "count", "text"), [
    (NORMAL[:, :2], 1, r"shape \(N, 3\)"),
    (NORMAL[0], 1, r"shape \(N, 3\)"),
    (NORMAL * np.nan, 1, "must be finite"),
    (NORMAL, 0, r"count must be in 1\.\.120.*it is 0"),
    (NORMAL, 121, r"count must be in 1\.\.120.*it is 121"),
])  # fmt: skip
def test_farthest_points_refuse(points, count, text):
    with pytest.raises(ValueError, match=text):
        pointcloud.farthest_points(points, count)
