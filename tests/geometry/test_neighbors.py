"""Farthest points and nearest neighbours against brute force; torch-cluster where installed."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from geoflow.geometry import neighbors


def clouds(batch, points, seed=0):
    return torch.randn(batch, points, 3, generator=torch.Generator().manual_seed(seed))


def lattice(side):
    """(1, side^3, 3), shuffled: full of ties."""
    axis = torch.arange(side, dtype=torch.float32)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(1, -1, 3)
    return grid[:, torch.randperm(side**3, generator=torch.Generator().manual_seed(0))]


CASES = {
    "normal": clouds(3, 120),
    "ties": lattice(5),
    "duplicates": clouds(2, 10).repeat(1, 6, 1),
    "one point": torch.ones(2, 9, 3),
    "far": clouds(2, 60) + 1000,
}


def squared(a, b):
    """(M, 3), (N, 3) -> (M, N), in the order of additions that the module promises."""
    difference = (a[:, None] - b[None]).numpy() ** 2
    return difference[..., 0] + difference[..., 1] + difference[..., 2]


def brute_fps(points, count):
    chosen = [0]
    distances = squared(points, points)
    while len(chosen) < count:
        chosen.append(int(distances[chosen].min(axis=0).argmax()))
    return chosen


def slow_fps(src, batch, ratio, random_start):
    """Stands in for torch-cluster's: flat, concatenated, the ceiling of ratio * size each."""
    assert random_start is False
    count, out = int(np.ceil(ratio * float((batch == 0).sum()))), []
    for b in range(int(batch.max()) + 1):
        own = (batch == b).nonzero().ravel()
        out += own[brute_fps(src[own], count)].tolist()
    return torch.tensor(out)


def careless_knn(x, y, k, batch_x, batch_y):
    """Stands in for torch-cluster's: right sets in no special order, ties taken from the end."""
    rows, columns = [], []
    for i, point in enumerate(y):
        own = (batch_x == batch_y[i]).nonzero().ravel().flip(0)
        order = np.argsort(squared(point[None], x[own])[0], kind="stable")[:k]
        columns += own[torch.tensor(order).flip(0)].tolist()
        rows += [i] * k
    return torch.tensor([rows, columns])


STAND_IN = SimpleNamespace(fps=slow_fps, knn=careless_knn)
REAL = neighbors._torch_cluster()
needs_cluster = pytest.mark.skipif(REAL is None, reason="torch-cluster is not installed")


@pytest.fixture(params=[None, "stand-in", pytest.param("torch-cluster", marks=needs_cluster)])
def method(request, monkeypatch):
    module = {None: None, "stand-in": STAND_IN, "torch-cluster": REAL}[request.param]
    monkeypatch.setattr(neighbors, "_torch_cluster", lambda: module)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_fps_against_brute_force(method, case, count):
    points = CASES[case]
    found = neighbors.fps(points, count)
    assert found.dtype == torch.int64
    assert found.tolist() == [brute_fps(cloud, count) for cloud in points]


def test_fps_of_all_points_is_a_permutation(method):
    points = clouds(2, 30)
    assert (neighbors.fps(points, 30).sort(dim=1).values == torch.arange(30)).all()


def test_fps_by_hand(method):
    line = torch.tensor([[[3.0, 0, 0], [0, 0, 0], [10, 0, 0], [5, 0, 0]]])
    # 10 is farthest from 3; then 0 (3 away from 3); then 5.
    assert neighbors.fps(line, 4).tolist() == [[0, 2, 1, 3]]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k", [1, 4, 9])
def test_knn_against_brute_force(method, case, k):
    points = CASES[case]
    queries = torch.cat([points[:, :5], clouds(len(points), 4, seed=1)], dim=1)
    distances, index = neighbors.knn(queries, points, k)
    for b, (q, p) in enumerate(zip(queries, points, strict=True)):
        expected = squared(q, p)
        order = np.argsort(expected, axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(index[b], order)
        np.testing.assert_array_equal(distances[b], np.take_along_axis(expected, order, 1))


def test_knn_by_hand(method):
    points = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 0, 3]]])
    distances, index = neighbors.knn(torch.tensor([[[0.0, 0, 1]]]), points, 3)
    assert distances.tolist() == [[[1, 2, 2]]] and index.tolist() == [[[0, 1, 2]]]


def test_knn_in_chunks(monkeypatch):
    points, queries = clouds(2, 50), clouds(2, 33, seed=1)
    whole = neighbors._knn_by_torch(queries, points, 5)
    monkeypatch.setattr(neighbors, "PAIRS", 2 * 50 * 4)
    for part, expected in zip(neighbors._knn_by_torch(queries, points, 5), whole, strict=True):
        assert torch.equal(part, expected)


@pytest.mark.gpu
def test_gpu_against_cpu():
    for points in CASES.values():
        found = neighbors.fps(points.cuda(), 7).cpu()
        assert torch.equal(found, neighbors.fps(points, 7))
        on_gpu = neighbors.knn(points.cuda(), points.cuda(), 9)
        for there, here in zip(on_gpu, neighbors.knn(points, points, 9), strict=True):
            assert torch.equal(there.cpu(), here)


def test_no_gradients():
    points = clouds(1, 9).requires_grad_()
    assert not neighbors.knn(points, points, 2)[0].requires_grad


@pytest.mark.parametrize("points, text", [
    (torch.zeros(5, 3), r"points must have shape \(B, N, 3\)"),
    (torch.zeros(1, 0, 3), "none of them 0"),
    (torch.full((1, 5, 3), torch.nan), "points must be finite"),
])  # fmt: skip
def test_refuses_clouds(points, text):
    with pytest.raises(ValueError, match=text):
        neighbors.fps(points, 1)
    with pytest.raises(ValueError, match=text):
        neighbors.knn(clouds(1, 5), points, 1)


def test_refuses_counts_and_batches():
    points = clouds(2, 5)
    for count in (0, 6):
        with pytest.raises(ValueError, match=rf"count must be in 1\.\.5.*it is {count}"):
            neighbors.fps(points, count)
        with pytest.raises(ValueError, match=r"k must be in 1\.\.5"):
            neighbors.knn(points, points, count)
    with pytest.raises(ValueError, match="one batch size and device"):
        neighbors.knn(points[:1], points, 1)
