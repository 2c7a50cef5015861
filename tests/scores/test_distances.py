"""Distances against brute force and cases worked by hand; pruned search against all pairs."""

import itertools
import sys
import time
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

import geoflow.scores.nearest as nearest_shapes
from geoflow.scores import distances
from geoflow.scores import sets as metrics


def brute(a, b):
    squared = ((a[:, None].astype(np.float64) - b[None].astype(np.float64)) ** 2).sum(-1)
    return squared.min(axis=1).mean() + squared.min(axis=0).mean()


def clouds(count, points, seed=0, offset=0.0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, points, 3)) + offset).astype(np.float32)


def chamfer(a, b):
    """Of two clouds."""
    return distances.chamfer_matrix(a[None], b[None])[0, 0]


def emd(a, b):
    return distances.emd_matrix(a[None], b[None])[0, 0]


@pytest.fixture(params=["tree", "difference"])
def method(request, monkeypatch):
    """What a CPU does, and what a GPU does."""
    if request.param == "difference":
        monkeypatch.setattr(distances, "_by_tree", distances._by_difference)
    return request.param


def test_chamfer_by_hand(method):
    a = np.array([[0, 0, 0], [1, 0, 0.0]])
    b = np.array([[0, 0, 0], [0, 2, 0], [0, 0, 3.0]])
    # a to b: 0 and 1, mean 0.5. b to a: 0, 4 and 9, mean 13/3.
    assert chamfer(a, b) == pytest.approx(0.5 + 13 / 3)
    assert chamfer(torch.tensor(b), a) == pytest.approx(0.5 + 13 / 3)


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_matrix_against_brute_force(method, at_once, monkeypatch):
    monkeypatch.setattr(distances, "PAIRS", at_once * 150 * 300)
    a, b = clouds(4, 150), clouds(3, 300, seed=1, offset=0.3)
    matrix = distances.chamfer_matrix(a, torch.tensor(b))
    expected = [[brute(x, y) for y in b] for x in a]
    np.testing.assert_allclose(matrix, expected, rtol=2e-6)


def test_matrix_of_one_set_is_symmetric(method):
    a = clouds(4, 60)
    matrix = distances.chamfer_matrix(a)
    np.testing.assert_allclose(matrix, distances.chamfer_matrix(a, a), atol=1e-7)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert (np.diag(matrix) == 0).all() and (matrix + np.eye(4) > 0).all()


def test_small_distances_far_from_the_origin_keep_their_digits(method):
    """Where |a|^2 + |b|^2 - 2 ab in float32 has lost everything."""
    a = clouds(2, 200) * 1e-3 + np.float32(8)
    b = a + np.float32(2**-14)  # exact in float32 near 8
    matrix = distances.chamfer_matrix(a, b)
    np.testing.assert_allclose(matrix, [[brute(x, y) for y in b] for x in a], rtol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_gpu_against_cpu():
    a, b = clouds(5, 2048), clouds(4, 2048, seed=1)
    on_gpu = distances.chamfer_matrix(a, b, device="cuda")
    np.testing.assert_allclose(on_gpu, distances.chamfer_matrix(a, b), rtol=1e-5)


def test_progress():
    seen = []
    distances.chamfer_matrix(clouds(3, 5), clouds(2, 5), progress=lambda *at: seen.append(at))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("a, text", [
    (np.zeros((2, 5, 2)), r"a must have shape \(N, P, 3\)"),
    (np.zeros((0, 5, 3)), "none of them 0"),
    (np.full((2, 5, 3), np.nan), "a must be finite"),
])  # fmt: skip
def test_matrix_refuses(a, text):
    with pytest.raises(ValueError, match=text):
        distances.chamfer_matrix(a, clouds(1, 5))


def scores(matrices):
    aa, ab, bb = matrices
    return metrics.one_nna(aa, ab, bb), *metrics.coverage_mmd(ab)


@pytest.mark.parametrize("case", ["shells", "far", "twins", "outlier", "points"])
def test_nearest_only_finds_what_all_pairs_give(case):
    """Shapes of many sizes, far from the origin, tied, with a point far away, or of no extent."""
    rng = np.random.default_rng(0)
    directions = clouds(24, 120) / np.linalg.norm(clouds(24, 120), axis=2, keepdims=True)
    shapes = directions * rng.uniform(0.3, 1.0, (24, 1, 3)).astype(np.float32)
    if case == "far":
        shapes = shapes + np.float32(1000)
    if case == "twins":
        shapes[1::3] = shapes[::3]  # in a set and across both
    if case == "outlier":
        shapes[7, 3] = 1e6
    if case == "points":
        shapes = np.zeros((24, 16, 3), np.float32)
    a, b = shapes[:10], shapes[10:]
    pruned = distances.chamfer_matrices(a, b)
    full = [distances.chamfer_matrix(*pair) for pair in ((a,), (a, b), (b,))]
    assert scores(pruned) == scores(full)
    for found, expected in zip(pruned, full, strict=True):
        known = np.isfinite(found)
        np.testing.assert_array_equal(found[known], expected[known])
    for within in (pruned[0], pruned[2]):
        np.testing.assert_array_equal(within, within.T)
    np.testing.assert_array_equal(pruned[1].argmin(axis=1), full[1].argmin(axis=1))
    if case == "shells":
        assert np.isfinite(pruned[1]).mean() < 0.7  # so that something was saved


def test_bounds_are_below_the_directed_distances():
    from scipy.spatial import KDTree

    shapes = list(clouds(12, 80).astype(np.float64) * np.linspace(0.05, 1, 12)[:, None, None])
    trees = [KDTree(shape) for shape in shapes]
    bounds = nearest_shapes._directed_bounds(shapes, trees, nearest_shapes.silent)
    exact = np.array([[np.square(t.query(s)[0]).mean() for t in trees] for s in shapes])
    assert (bounds <= exact).all()
    step = np.median([np.ptp(s, axis=0).max() for s in shapes]) / nearest_shapes.CELLS
    near = exact < step**2
    assert (exact - bounds)[near].max() < 0.75 * step**2  # the most that interpolation can err


def test_three_matrices_of_every_pair_are_counted_as_one():
    a, b, seen = clouds(3, 20), clouds(2, 20, seed=1), []
    aa, ab, bb = distances.three_matrices(
        distances.chamfer_matrix, a, b, lambda *at: seen.append(at), device="cpu"
    )
    np.testing.assert_array_equal(ab, distances.chamfer_matrix(a, b))
    assert aa.shape == (3, 3) and bb.shape == (2, 2)
    assert seen == [(i, 8) for i in range(1, 9)]


def test_nearest_only_counts_to_the_end_and_stops_at_an_error():
    seen = []
    distances.chamfer_matrices(clouds(3, 20), clouds(2, 20), progress=lambda *at: seen.append(at))
    assert seen == [(i, 10) for i in range(1, 11)]

    def interrupt(done, total):
        raise KeyboardInterrupt("by the user")

    with pytest.raises(KeyboardInterrupt, match="by the user"):
        distances.chamfer_matrices(clouds(3, 20), clouds(2, 20), progress=interrupt)
    begun = []
    with pytest.raises(KeyboardInterrupt, match="by the user"):
        nearest_shapes._in_threads(lambda i: (begun.append(i), time.sleep(0.01)), 500, interrupt, 0)
    assert len(begun) < 100  # what waited for a thread is not begun


def test_emd_against_every_permutation():
    a, b = clouds(1, 6)[0], clouds(1, 6, seed=1)[0]
    costs = np.linalg.norm(a[:, None].astype(np.float64) - b[None], axis=2)
    best = min(costs[range(6), list(p)].mean() for p in itertools.permutations(range(6)))
    assert emd(a, b) == pytest.approx(best, rel=1e-6)


def test_emd_by_hand():
    a = np.array([[0, 0, 0], [1, 0, 0.0]])
    b = np.array([[2, 0, 0], [0, 0, 4.0]])
    # 0 to b1 (4) and 1 to b0 (1): 2.5. The other way round 2 and sqrt(17).
    assert emd(a, b) == 2.5
    # One point of each must go far, which the Chamfer distance of these does not see.
    heap = np.array([[0, 0, 0], [0, 0, 0], [9, 0, 0.0]])
    assert emd(heap, heap[[0, 2, 2]]) == 3 and chamfer(heap, heap[1:]) == 0


def test_emd_matrix():
    a, b, seen = clouds(3, 20), clouds(2, 20, seed=1), []
    matrix = distances.emd_matrix(a, b, progress=lambda *at: seen.append(at))
    expected = [[emd(x, y) for y in b] for x in a]
    np.testing.assert_array_equal(matrix, expected)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    own = distances.emd_matrix(a)
    np.testing.assert_allclose(own, distances.emd_matrix(a, a), atol=1e-9)
    np.testing.assert_array_equal(own, own.T)
    with pytest.raises(ValueError, match="as many points"):
        distances.emd_matrix(a, b[:, :10])


def slow_knn_points(p1, p2, K):
    squared = (p1[:, :, None] - p2[:, None]).square().sum(-1)
    return SimpleNamespace(dists=squared.sort(dim=2).values[:, :, :K])


@pytest.mark.parametrize("installed", [False, True], ids=["stand-in", "pytorch3d"])
def test_pytorch3d_gives_the_same_distances(installed, monkeypatch):
    if installed:
        pytest.importorskip("pytorch3d.ops")
    else:
        ops = ModuleType("pytorch3d.ops")
        ops.knn_points = slow_knn_points
        monkeypatch.setitem(sys.modules, "pytorch3d", ModuleType("pytorch3d"))
        monkeypatch.setitem(sys.modules, "pytorch3d.ops", ops)
    by_kernel = distances._kernel(torch.device("cuda"))
    assert by_kernel is not distances._chamfer_to_each
    assert distances._kernel(torch.device("cpu")) is distances._chamfer_to_each
    a, b = torch.tensor(clouds(1, 50)[0]), torch.tensor(clouds(4, 70, seed=1))
    np.testing.assert_allclose(by_kernel(a, b), distances._chamfer_to_each(a, b), rtol=1e-5)


def test_without_pytorch3d_differences_serve(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch3d", None)
    monkeypatch.setitem(sys.modules, "pytorch3d.ops", None)
    assert distances._kernel(torch.device("cuda")) is distances._chamfer_to_each


def test_mean_nearest_is_not_squared_and_goes_both_ways():
    a = np.array([[0, 0, 0], [10, 0, 0]], float)
    b = np.array([[0, 3, 0], [10, 0, 4], [10, 0, 12]], float)
    there, back = distances.mean_nearest(a, torch.tensor(b))
    assert there == pytest.approx((3 + 4) / 2) and back == pytest.approx((3 + 4 + 12) / 3)


def test_mean_nearest_refuses_bad_clouds():
    with pytest.raises(ValueError, match="must be finite"):
        distances.mean_nearest(np.full((4, 3), np.nan), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="shape"):
        distances.mean_nearest(np.zeros((4, 2)), np.zeros((4, 3)))
