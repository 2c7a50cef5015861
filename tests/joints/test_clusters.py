"""Clusters of travelled points."""

import numpy as np

from geoflow.joints.clusters import agreement, cluster_joints


def clusters(points, weights=None, **options):
    return cluster_joints(points, np.ones(len(points)) if weights is None else weights, **options)


def test_blobs_are_joints_whatever_their_size():
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0, 0], [0.2, 0, 0], [0, 0.5, 0]])
    counts = (1000, 30, 200)
    points = np.concatenate(
        [c + 0.008 * rng.normal(size=(n, 3)) for c, n in zip(centres, counts, strict=True)]
    )
    joints, confidence = clusters(points)
    np.testing.assert_allclose(joints, centres[[0, 2, 1]], atol=0.005)
    assert (confidence > 0.9).all() and (confidence <= 1).all()


def test_one_joint_with_a_wide_spread_is_not_split():
    points = 0.012 * np.random.default_rng(0).normal(size=(2000, 3))
    joints, _ = clusters(points)
    assert len(joints) == 1
    np.testing.assert_allclose(joints[0], 0, atol=0.003)


def line(*groups):
    """Points on the x axis: (how many, where) each."""
    return np.concatenate([np.tile([x, 0, 0], (count, 1)) for count, x in groups])


def test_a_joint_is_the_mean_of_its_points_weighted_by_density_by_hand():
    """Two points at 0 and one 1.5 bandwidths away: its density is 1 + 2 k, theirs 2 + k."""
    joints, confidence = clusters(line((2, 0.0), (1, 0.018)))
    k = np.exp(-0.5 * 1.5**2)
    want = 0.018 * (1 + 2 * k) / (2 * (2 + k) + 1 + 2 * k)
    np.testing.assert_allclose(joints, [[want, 0, 0]], rtol=1e-5)
    assert confidence.tolist() == [1]


def test_confidence_by_hand():
    """One point between 16 and 8 is the saddle; of 16 with a tail, one of 19 points lies too far.

    The saddle has the density 1 + 24 k, the 8 have 8 + k: below 0.7 of it, so they stand out.
    """
    apart = 0.023
    k = np.exp(-0.5 * (apart / 0.012) ** 2)
    points = line((16, 0.0), (8, 2 * apart), (1, apart), (1, -apart), (1, -2 * apart))
    saddle = 1 + 24 * k
    want = [18 / 19 * (1 - saddle / (16 + 2 * k)), 1 - saddle / (8 + k)]
    np.testing.assert_allclose(clusters(points)[1], want, rtol=1e-5)
    whole, _ = clusters(points, prominence=saddle / (8 + k) - 1e-6)
    assert len(whole) == 1  # it is one joint where less of a saddle is enough


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


def test_one_neighbour_that_differs_does_not_count():
    starts = np.arange(20)[:, None] * [0.01, 0, 0]
    ends = np.zeros((20, 3))
    ends[10] = 1
    want = np.ones(20)
    want[10] = 0.03
    np.testing.assert_allclose(agreement(starts, ends), want)


def test_a_bridge_adds_no_joint():
    starts, ends = bridge()
    joints, _ = clusters(ends, agreement(starts, ends))
    np.testing.assert_allclose(sorted(joints[:, 0]), [0, 0.12], atol=0.01)


def test_few_points_still_give_a_joint():
    joints, _ = clusters(np.array([[0.1, 0.2, 0.3]]))
    np.testing.assert_allclose(joints, [[0.1, 0.2, 0.3]], rtol=1e-6)


def test_the_order_of_points_does_not_matter():
    rng = np.random.default_rng(0)
    points = np.concatenate([0.01 * rng.normal(size=(300, 3)) + c for c in (0, 0.15, 0.3)])
    shuffled = points[rng.permutation(len(points))]
    np.testing.assert_allclose(
        sorted(clusters(shuffled)[0].tolist()),
        sorted(clusters(points)[0].tolist()),
        atol=1e-6,
    )
