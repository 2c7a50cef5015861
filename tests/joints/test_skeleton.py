"""Clusters of travelled points, and trees of joints."""

import numpy as np
import pytest
from toys.bodies import BODY, PARENTS, tubes

from geoflow.joints.skeleton import (
    agreement,
    build_tree,
    cluster_joints,
    inside_share,
)


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


def test_inside_share_of_a_tube():
    points, normals = tubes(np.array([[0, -0.5, 0], [0, 0.5, 0]]), [-1, 0], count=2000)
    ends = np.array([[[0, -0.4, 0], [0, 0.4, 0]], [[0.2, -0.4, 0], [0.2, 0.4, 0]]])
    assert inside_share(ends, points, normals).tolist() == [1, 0]


def test_a_body_gets_its_tree():
    points, normals = tubes(BODY, PARENTS)
    assert build_tree(BODY, points, normals).tolist() == PARENTS.tolist()


def test_bones_stay_inside_the_body():
    """Two ends of a horseshoe are near each other, but not through the body."""
    turn = np.linspace(0.25, 2 * np.pi - 0.25, 9)
    joints = np.stack((np.sin(turn), -np.cos(turn), np.zeros(9)), 1) * 0.5
    points, normals = tubes(joints, np.arange(9) - 1)
    parents = build_tree(joints, points, normals)
    edges = {frozenset((k, int(p))) for k, p in enumerate(parents) if p >= 0}
    assert edges == {frozenset((k, k + 1)) for k in range(8)}


def test_a_fish_begins_at_its_front():
    joints = np.stack((np.zeros(5), np.zeros(5), np.linspace(-0.8, 0.8, 5)), 1)
    points, normals = tubes(joints, np.arange(5) - 1)
    assert build_tree(joints, points, normals).tolist() == [1, 2, 3, 4, -1]


def test_one_joint_is_a_root_and_none_is_an_error():
    points, normals = tubes(BODY, PARENTS)
    assert build_tree(BODY[:1], points, normals).tolist() == [-1]
    with pytest.raises(ValueError, match="at least one joint"):
        build_tree(BODY[:0], points, normals)
