"""Sampling by area, normals, normalisation."""

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
    (FACES, 0, "count must be at least 1; it is 0"),
    (FACES[1:2], 5, "positive, finite area"),
    (FACES[:0], 5, "its 0 faces"),
])  # fmt: skip
def test_sampling_refuses(faces, count, text):
    with pytest.raises(ValueError, match=text):
        pointcloud.sample_surface(VERTICES, faces, count)


def test_normalise_and_back():
    points = np.random.default_rng(0).uniform([-1, 5, 2], [3, 6, 4], size=(100, 3))
    normalised, centre, scale = pointcloud.normalise(points, longest_side=1.8)
    sides = np.ptp(normalised, axis=0)
    assert sides.max() == pytest.approx(1.8) and sides.argmax() == 0
    np.testing.assert_allclose(normalised.max(axis=0), -normalised.min(axis=0))
    np.testing.assert_allclose(normalised * scale + centre, points)


@pytest.mark.parametrize("points", [np.ones((3, 3)), np.full((3, 3), np.nan), np.ones((3, 2)),
                                    np.ones((0, 3))])  # fmt: skip
def test_normalise_refuses(points):
    with pytest.raises(ValueError, match="points must"):
        pointcloud.normalise(points)
