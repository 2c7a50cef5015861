"""Distances against brute force, scores against cases worked by hand."""

import numpy as np
import pytest
import torch

from geoflow.geometry import metrics


def brute(a, b):
    squared = ((a[:, None].astype(np.float64) - b[None].astype(np.float64)) ** 2).sum(-1)
    return squared.min(axis=1).mean() + squared.min(axis=0).mean()


def clouds(count, points, seed=0, offset=0.0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, points, 3)) + offset).astype(np.float32)


@pytest.fixture(params=["tree", "difference"])
def method(request, monkeypatch):
    if request.param == "difference":
        monkeypatch.setattr(metrics, "_has_scipy", lambda: False)
    return request.param


def test_chamfer_by_hand(method):
    a = np.array([[0, 0, 0], [1, 0, 0.0]])
    b = np.array([[0, 0, 0], [0, 2, 0], [0, 0, 3.0]])
    # a to b: 0 and 1, mean 0.5. b to a: 0, 4 and 9, mean 13/3.
    assert metrics.chamfer(a, b) == pytest.approx(0.5 + 13 / 3)
    assert metrics.chamfer(torch.tensor(b), a) == pytest.approx(0.5 + 13 / 3)


@pytest.mark.parametrize("chunk", [None, 1, 2, 100])
def test_matrix_against_brute_force(method, chunk):
    a, b = clouds(4, 150), clouds(3, 300, seed=1, offset=0.3)
    matrix = metrics.chamfer_matrix(a, torch.tensor(b), device="cpu", chunk=chunk)
    expected = [[brute(x, y) for y in b] for x in a]
    np.testing.assert_allclose(matrix, expected, rtol=2e-6)


def test_matrix_of_one_set_is_symmetric(method):
    a = clouds(4, 60)
    matrix = metrics.chamfer_matrix(a, device="cpu", chunk=2)
    np.testing.assert_allclose(matrix, metrics.chamfer_matrix(a, a, device="cpu"), atol=1e-7)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert (np.diag(matrix) == 0).all() and (matrix + np.eye(4) > 0).all()


def test_small_distances_far_from_the_origin_keep_their_digits(method):
    """Where |a|^2 + |b|^2 - 2 ab in float32 has lost everything."""
    a = clouds(2, 200) * 1e-3 + np.float32(8)
    b = a + np.float32(2**-14)  # exact in float32 near 8
    matrix = metrics.chamfer_matrix(a, b, device="cpu")
    np.testing.assert_allclose(matrix, [[brute(x, y) for y in b] for x in a], rtol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_gpu_against_cpu():
    a, b = clouds(5, 2048), clouds(4, 2048, seed=1)
    on_gpu = metrics.chamfer_matrix(a, b, device="cuda")
    np.testing.assert_allclose(on_gpu, metrics.chamfer_matrix(a, b, device="cpu"), rtol=1e-5)


def test_progress():
    seen = []
    metrics.chamfer_matrix(
        clouds(3, 5), clouds(2, 5), device="cpu", progress=lambda *at: seen.append(at)
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("a, text", [
    (np.zeros((2, 5, 2)), r"a must have shape \(N, P, 3\)"),
    (np.zeros((0, 5, 3)), "none of them 0"),
    (np.full((2, 5, 3), np.nan), "a must be finite"),
])  # fmt: skip
def test_matrix_refuses(a, text):
    with pytest.raises(ValueError, match=text):
        metrics.chamfer_matrix(a, clouds(1, 5), device="cpu")


def test_chunk_refused():
    with pytest.raises(ValueError, match="chunk must be at least 1"):
        metrics.chamfer_matrix(clouds(1, 5), clouds(1, 5), chunk=0)


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


def test_nearest_and_coverage_by_hand():
    matrix = np.array([[1.0, 2.0, 9.0, 7.0], [3.0, 0.5, 8.0, 9.0], [4.0, 0.25, 6.0, 8.0]])
    index, distance = metrics.nearest(matrix)
    np.testing.assert_array_equal(index, [0, 1, 1])
    np.testing.assert_array_equal(distance, [1.0, 0.5, 0.25])
    coverage, mmd = metrics.coverage_mmd(matrix)
    assert coverage == 0.5  # 0 and 1 of four are reached
    assert mmd == pytest.approx((1 + 0.25 + 6 + 7) / 4)
    with pytest.raises(ValueError, match="distance matrix must be"):
        metrics.nearest(np.zeros((0, 3)))
