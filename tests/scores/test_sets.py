"""Scores against cases worked by hand, brute force and other code."""

import numpy as np
import pytest

from geoflow.scores import sets as metrics


def line(a, b):
    """Distance matrices of two sets of numbers."""
    a, b = np.array(a, float), np.array(b, float)
    return tuple(np.abs(x[:, None] - y[None]) for x, y in ((a, a), (a, b), (b, b)))


@pytest.mark.parametrize("a, b, expected", [
    ([0, 1, 2], [10, 11, 12], 1.0),      # two heaps: every neighbour is of the own set
    ([0, 10, 20], [1, 11, 21], 0.0),     # pairs: every neighbour is of the other
    ([0, 1, 10], [2.5, 11, 30], 0.5),    # right: 0, 1 and 30
    ([0, 2], [1, 9], 0.0),               # 9's neighbour is 2, 1's is 0 or 2
    ([0, 2], [4, 6], 0.75),              # 0 and 6 right, 2 and 4 tie
])  # fmt: skip
def test_one_nna_by_hand(a, b, expected):
    assert metrics.one_nna(*line(a, b)) == pytest.approx(expected)


def test_one_nna_of_one_distribution_is_a_half_and_sees_a_shift():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(800, 2))

    def score(shift):
        a, b = points[:400], points[400:] + shift
        pair = [(a, a), (a, b), (b, b)]
        return metrics.one_nna(*(np.linalg.norm(x[:, None] - y[None], axis=2) for x, y in pair))

    assert score(0.0) == pytest.approx(0.5, abs=0.06)
    assert score(6.0) > 0.95


def test_one_nna_against_the_pvd_code():
    """PVD's lgan metric: stack the blocks, infinite diagonal, label of the smallest entry."""
    aa, ab, bb = line(*np.random.default_rng(2).normal(size=(2, 30)))
    whole = np.block([[aa, ab], [ab.T, bb]]) + np.diag(np.full(60, np.inf))
    label = np.arange(60) < 30
    assert metrics.one_nna(aa, ab, bb) == np.mean(label[whole.argmin(axis=0)] == label)


def test_one_nna_refuses():
    aa, ab, bb = line([0, 1, 2], [3, 4])
    with pytest.raises(ValueError, match=r"\(N, N\), \(N, M\), \(M, M\)"):
        metrics.one_nna(bb, ab, aa)
    with pytest.raises(ValueError, match="N, M >= 2"):
        metrics.one_nna(*line([0], [3, 4]))
    with pytest.raises(ValueError, match="1 NaN"):
        metrics.one_nna(aa, np.where(ab == ab.max(), np.nan, ab), bb)


def test_coverage_by_hand():
    matrix = np.array([[1.0, 2.0, 9.0, 7.0], [3.0, 0.5, 8.0, 9.0], [4.0, 0.25, 6.0, 8.0]])
    coverage, mmd = metrics.coverage_mmd(matrix)
    assert coverage == 0.5  # 0 and 1 of four are reached
    assert mmd == pytest.approx((1 + 0.25 + 6 + 7) / 4)
    with pytest.raises(ValueError, match="distance matrix must be"):
        metrics.coverage_mmd(np.zeros((0, 3)))


def test_coverage_counts_reference_shapes_that_are_reached():
    """Both generated shapes are nearest to the first of four; each of four is nearest to one."""
    matrix = np.array([[1.0, 2.0, 3.0, 4.0], [1.5, 1.75, 2.5, 6.0]])
    coverage, mmd = metrics.coverage_mmd(matrix)
    assert coverage == 0.25  # of 4, not of 2; nearest of the rows, not of the columns
    assert mmd == pytest.approx((1 + 1.75 + 2.5 + 4) / 4)


# -- normalisation, occupancy, single shapes ------------------------------------------------------


def clouds(count, points, seed=0):
    return np.random.default_rng(seed).normal(size=(count, points, 3))


def test_sets_are_scaled_by_the_reference():
    reference = clouds(4, 500) * 3 + [5, 6, 7]
    generated = reference[:2] + np.array([3, 0, 0])
    a, b = metrics.normalise_sets(generated, reference)
    np.testing.assert_allclose(b.mean(axis=(0, 1)), 0, atol=1e-6)
    assert b.std() == pytest.approx(1) and a.dtype == b.dtype == np.float32
    np.testing.assert_allclose(a - b[:2], np.broadcast_to([1, 0, 0], a.shape), atol=0.02)


def test_shapes_are_scaled_one_by_one():
    generated, reference = clouds(2, 50), clouds(3, 50, seed=1) * 1e-3 + 1e6
    for cloud in (c for s in metrics.normalise_sets(generated, reference, "shape") for c in s):
        assert np.ptp(cloud, axis=0).max() == pytest.approx(2)
        np.testing.assert_allclose(cloud.max(axis=0), -cloud.min(axis=0), atol=1e-6)
    same = metrics.normalise_sets(generated, reference, "none")
    np.testing.assert_array_equal(same[0], generated.astype(np.float32))


def test_normalising_refuses():
    with pytest.raises(ValueError, match="how must be one of set, shape, none"):
        metrics.normalise_sets(clouds(1, 5), clouds(1, 5), "sets")
    with pytest.raises(ValueError, match="reference must be finite and have an extent"):
        metrics.normalise_sets(clouds(1, 5), np.ones((2, 5, 3)))


def test_jsd_by_hand():
    ends = np.array([[[-1, 0, 0], [1, 0, 0.0]]])
    assert metrics.jsd(ends, ends) == 0
    middle = np.zeros((1, 1, 3))
    assert metrics.jsd(middle, ends, resolution=3) == 1  # nothing in common
    # (1/2, 1/2, 0) and (1/2, 0, 1/2): middle (1/2, 1/4, 1/4), half of a bit
    half = np.array([[[-1, 0, 0], [0, 0, 0.0]]])
    assert metrics.jsd(half, ends, resolution=3) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="resolution must be at least 2"):
        metrics.jsd(ends, ends, 1)
    with pytest.raises(ValueError, match="reference must have an extent"):
        metrics.jsd(ends, middle)


def test_jsd_against_brute_force():
    from scipy.spatial.distance import jensenshannon

    a, b = clouds(3, 40), clouds(5, 30, seed=1)
    flat = b.reshape(-1, 3)
    centre = (flat.min(axis=0) + flat.max(axis=0)) / 2
    radius = np.linalg.norm(flat - centre, axis=1).max()
    axis = np.linspace(-0.5, 0.5, 6)
    nodes = np.array([(x, y, z) for x in axis for y in axis for z in axis])
    nodes = nodes[np.linalg.norm(nodes, axis=1) <= 0.5]
    counts = []
    for points in (a.reshape(-1, 3), flat):
        place = (points - centre) / (2 * radius)
        node = np.linalg.norm(place[:, None] - nodes[None], axis=2).argmin(axis=1)
        counts.append(np.bincount(node, minlength=len(nodes)))
    expected = jensenshannon(*counts, base=2) ** 2
    assert metrics.jsd(a, b, resolution=6) == pytest.approx(expected)


def test_f_score_by_hand():
    a = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [9, 0, 0.0]])
    b = np.array([[0, 0.1, 0], [1, 0.3, 0.0]])
    # within 0.2: 0 of a (1/4), the first of b (1/2). Within 0.5: two of a, both of b.
    assert metrics.f_score(a, b, 0.2) == pytest.approx(2 * (1 / 4) * (1 / 2) / (3 / 4))
    assert metrics.f_score(a, b, 0.5) == pytest.approx(2 * (1 / 2) * 1 / (3 / 2))
    assert metrics.f_score(a, b, 0.05) == 0 and metrics.f_score(a, a, 1e-9) == 1
    for threshold in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="threshold must be positive"):
            metrics.f_score(a, b, threshold)


def test_normal_consistency_by_hand():
    a = np.array([[0, 0, 0], [5, 0, 0.0]])
    b = np.array([[0, 0, 0.1], [5, 0, 0.1], [5, 0, 2]])
    x, y, slant = [1, 0, 0.0], [0, 1, 0.0], [0.6, 0.8, 0.0]
    # a to b: |-1| and 0.6. b to a: 1, 0.6 and 0 (nearest is the second of a).
    score = metrics.normal_consistency(
        a, np.array([x, slant]), b, np.array([[-1, 0, 0], x, [0, 0, 1.0]])
    )
    assert score == pytest.approx((0.8 + 1.6 / 3) / 2)
    assert metrics.normal_consistency(a, np.array([x, x]), a, np.array([y, y])) == 0
