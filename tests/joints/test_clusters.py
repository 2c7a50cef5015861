"""Clusters of travelled points."""

import numpy as np
import pytest

from geoflow.joints.clusters import agreement, cluster_joints


def test_blobs_are_joints_whatever_their_size():
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0, 0], [0.2, 0, 0], [0, 0.5, 0]])
    counts = (1000, 30, 200)
    points = np.concatenate(
        [c + 0.008 * rng.normal(size=(n, 3)) for c, n in zip(centres, counts, strict=True)]
    )
    found = cluster_joints(points)
    np.testing.assert_allclose(found.joints, centres[[0, 2, 1]], atol=0.005)
    assert np.bincount(found.owner).tolist() == [1000, 200, 30]
    assert (found.confidence > 0.9).all() and (found.confidence <= 1).all()


def test_one_joint_with_a_wide_spread_is_not_split():
    points = 0.012 * np.random.default_rng(0).normal(size=(2000, 3))
    found = cluster_joints(points)
    assert len(found.joints) == 1
    np.testing.assert_allclose(found.joints[0], 0, atol=0.003)


def bridge():
    """Surface points along a line that travel to 0 or 0.12; a quarter ends on the way."""
    rng = np.random.default_rng(0)
    place = np.linspace(0, 1, 1200)
    starts = np.stack((0.3 * place, 0.02 * rng.normal(size=1200), np.zeros(1200)), 1)
    share = np.clip((place - 0.375) * 4, 0, 1)
    ends = np.zeros((1200, 3))
    ends[:, 0] = 0.12 * share
    return starts, ends + 0.002 * rng.normal(size=(1200, 3))


def test_points_on_the_way_between_two_joints_count_little():
    starts, ends = bridge()
    weights = agreement(starts, ends, 0.005)
    middle = np.abs(ends[:, 0] - 0.06) < 0.04
    away = (np.abs(starts[:, 0] - 0.15) > 0.08) & ~middle
    assert weights[middle].mean() < 0.75 * weights[away].mean()
    assert (weights >= 0.03).all() and (weights <= 1).all()


def test_a_bridge_adds_no_joint():
    starts, ends = bridge()
    found = cluster_joints(ends, agreement(starts, ends))
    np.testing.assert_allclose(sorted(found.joints[:, 0]), [0, 0.12], atol=0.01)


def test_few_points_still_give_a_joint():
    found = cluster_joints(np.array([[0.1, 0.2, 0.3]]))
    np.testing.assert_allclose(found.joints, [[0.1, 0.2, 0.3]], rtol=1e-6)


def test_the_order_of_points_does_not_matter():
    rng = np.random.default_rng(0)
    points = np.concatenate([0.01 * rng.normal(size=(300, 3)) + c for c in (0, 0.15, 0.3)])
    shuffled = points[rng.permutation(len(points))]
    np.testing.assert_allclose(
        sorted(cluster_joints(shuffled).joints.tolist()),
        sorted(cluster_joints(points).joints.tolist()),
        atol=1e-6,
    )


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.zeros((4, 2)), np.full((4, 3), np.nan)])
def test_bad_points(points):
    with pytest.raises(ValueError, match="points must"):
        cluster_joints(points)
