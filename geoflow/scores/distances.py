"""How far two shapes are from each other: Chamfer and earth mover's distance of point clouds.

`chamfer_matrix` and `emd_matrix` compare every shape of one set with every shape of another;
`chamfer_matrices` finds only the nearest ones, which is all that the scores of
`geoflow.scores.sets` read, in a fraction of the time. `mean_nearest` is for two large clouds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from geoflow.scores.nearest import Matrix, Progress, nearest_chamfer

Clouds = NDArray[Any] | torch.Tensor


def chamfer(a: Clouds, b: Clouds) -> float:
    """(P, 3), (Q, 3) -> mean squared nearest distance from a to b plus that from b to a.

    The unit is the points' squared.

    Raises:
        ValueError: A cloud is empty, not (P, 3) or not finite.
    """
    return float(chamfer_matrix(_tensor(a)[None], _tensor(b)[None], device="cpu")[0, 0])


def mean_nearest(
    a: Clouds, b: Clouds, *, device: str | torch.device | None = None
) -> tuple[float, float]:
    """(P, 3), (Q, 3) -> mean distance (not squared) from a to b's nearest point, and from b to a's.

    For clouds of 500,000 points and more: k-d trees on all cores take 2 s; where scipy is missing,
    differences in chunks on `device`. The unit is the points'.

    Raises:
        ValueError: A cloud is empty, not (P, 3) or not finite.
    """
    first, second = _checked(_tensor(a)[None], "a")[0], _checked(_tensor(b)[None], "b")[0]
    if _has_scipy():
        from scipy.spatial import KDTree

        x, y = first.cpu().double().numpy(), second.cpu().double().numpy()
        to_b, to_a = KDTree(y).query(x, workers=-1)[0], KDTree(x).query(y, workers=-1)[0]
        return float(to_b.mean()), float(to_a.mean())
    first, second = first.to(_device(device)), second.to(_device(device))
    return _mean_to_nearest(first, second), _mean_to_nearest(second, first)


def _mean_to_nearest(a: torch.Tensor, b: torch.Tensor) -> float:
    chunk = max(1, 2**28 // len(b))
    exact = "donot_use_mm_for_euclid_dist"  # |a|^2 + |b|^2 - 2 ab cancels
    parts = [torch.cdist(part, b, compute_mode=exact).amin(1).double() for part in a.split(chunk)]
    return float(torch.cat(parts).mean())


def chamfer_matrix(
    a: Clouds,
    b: Clouds | None = None,
    *,
    device: str | torch.device | None = None,
    chunk: int | None = None,
    progress: Progress | None = None,
) -> Matrix:
    """(N, P, 3), (M, Q, 3) -> (N, M) Chamfer distances, as `chamfer` between every two clouds.

    On a GPU by differences in float32, never by the matrix product |a|^2 + |b|^2 - 2 ab, which
    cancels; by pytorch3d's kernel where it is installed, to the same result but for rounding. On a
    CPU by k-d trees where scipy is installed (five times as fast), else by differences.

    Args:
        a: (N, P, 3) clouds.
        b: (M, Q, 3) clouds; None compares `a` with itself at half the cost.
        device: Where to compute; None takes the GPU if there is one.
        chunk: Clouds of b per step on a torch device; None fits about 2 GB.
        progress: Called with (rows done, N).

    Raises:
        ValueError: A set is empty, not (N, P, 3) or not finite; or `chunk` is below 1.
    """
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be at least 1; it is {chunk}; None chooses one")
    device = _device(device)
    first = _checked(a, "a")
    second = first if b is None else _checked(b, "b")
    if device.type == "cpu" and _has_scipy():
        rows = _rows_by_tree(first, second, symmetric=b is None)
    else:
        rows = _rows_by_difference(first.to(device), second.to(device), chunk, b is None)
    result = np.zeros((len(first), len(second)))
    for i, row in enumerate(rows):
        result[i, len(second) - len(row) :] = row
        if progress is not None:
            progress(i + 1, len(first))
    if b is None:
        result += np.triu(result, 1).T
    return result


def chamfer_matrices(
    a: Clouds,
    b: Clouds,
    *,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> tuple[Matrix, Matrix, Matrix]:
    """(N, P, 3), (M, Q, 3) -> Chamfer distances a-a (N, N), a-b (N, M), b-b (M, M), as scores need.

    On a CPU with scipy an entry is infinite where it is certainly neither the smallest of its row
    (leaving out the diagonal) nor, in a-b, of its column: 1-NNA, coverage and MMD come out as from
    `chamfer_matrix`, some twenty times as fast. Elsewhere every entry is computed.

    Args:
        a: (N, P, 3) clouds.
        b: (M, Q, 3) clouds.
        device: Where to compute; None takes the GPU if there is one.
        progress: Called with (steps done, all).

    Raises:
        ValueError: A set is empty, not (N, P, 3) or not finite.
    """
    first, second, device = _checked(a, "a"), _checked(b, "b"), _device(device)
    n = len(first)
    if device.type == "cpu" and _has_scipy():
        clouds = [c.cpu().double().numpy() for c in (*first, *second)]
        groups = [np.arange(n), np.arange(n, len(clouds))]
        whole = nearest_chamfer(clouds, groups, progress)
        return whole[:n, :n], whole[:n, n:], whole[n:, n:]
    return _three(chamfer_matrix, first, second, progress, device=device)


def _three(
    matrix: Callable[..., Matrix], a: Any, b: Any, progress: Progress | None, **options: Any
) -> tuple[Matrix, Matrix, Matrix]:
    """Distances a-a, a-b and b-b, with one count of rows for all."""
    total = 2 * len(a) + len(b)

    def count(before: int) -> Progress:
        return lambda done, _: progress(before + done, total) if progress is not None else None

    aa = matrix(a, progress=count(0), **options)
    ab = matrix(a, b, progress=count(len(a)), **options)
    return aa, ab, matrix(b, progress=count(2 * len(a)), **options)


def emd(a: Clouds, b: Clouds) -> float:
    """(P, 3), (P, 3) -> mean distance of the best one-to-one assignment of a's points to b's.

    Exact (scipy's Jonker-Volgenant). The distance is not squared, in the points' unit. Published
    figures mostly come from approximate GPU code and are not comparable.

    Raises:
        ValueError: A cloud is empty, not (P, 3) or not finite; or their sizes differ.
    """
    return float(emd_matrix(_tensor(a)[None], _tensor(b)[None])[0, 0])


def emd_matrix(a: Clouds, b: Clouds | None = None, *, progress: Progress | None = None) -> Matrix:
    """(N, P, 3), (M, P, 3) -> (N, M) earth mover's distances, as `emd` between every two clouds.

    A pair of 2,048 points takes one core 1 to 6 s and 100 MB, one of 512 points 0.05 s.

    Args:
        a: (N, P, 3) clouds.
        b: (M, P, 3) clouds; None compares `a` with itself at half the cost.
        progress: Called with (rows done, N).

    Raises:
        ValueError: A set is empty, not (N, P, 3) or not finite; or their numbers of points differ.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    first = _checked(a, "a").cpu().double().numpy()
    second = first if b is None else _checked(b, "b").cpu().double().numpy()
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            "a and b must have as many points a cloud; they have "
            f"{first.shape[1]} and {second.shape[1]}; sample them alike"
        )
    result = np.zeros((len(first), len(second)))
    for i, cloud in enumerate(first):
        for j in range(i + 1 if b is None else 0, len(second)):
            cost = cdist(cloud, second[j])
            result[i, j] = cost[linear_sum_assignment(cost)].mean()
        if progress is not None:
            progress(i + 1, len(first))
    return result + np.triu(result, 1).T if b is None else result


def emd_matrices(
    a: Clouds, b: Clouds, *, progress: Progress | None = None
) -> tuple[Matrix, Matrix, Matrix]:
    """(N, P, 3), (M, P, 3) -> earth mover's distances a-a (N, N), a-b (N, M), b-b (M, M).

    Raises:
        ValueError: As `emd_matrix`.
    """
    return _three(emd_matrix, _checked(a, "a"), _checked(b, "b"), progress)


def _device(device: str | torch.device | None) -> torch.device:
    """None: the GPU if there is one."""
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def _tensor(clouds: Clouds) -> torch.Tensor:
    return torch.as_tensor(clouds).detach().to(dtype=torch.float32)


def _checked(clouds: Clouds, name: str) -> torch.Tensor:
    """(N, P, 3) as a float32 tensor where it was."""
    tensor = _tensor(clouds)
    if tensor.ndim != 3 or tensor.shape[2] != 3 or 0 in tensor.shape:
        raise ValueError(
            f"{name} must have shape (N, P, 3), none of them 0; it is {tuple(tensor.shape)}; "
            "stack clouds of the same number of points"
        )
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError(f"{name} must be finite; it holds NaN or infinity; drop those shapes")
    return tensor


def _has_scipy() -> bool:
    try:
        import scipy.spatial  # noqa: F401
    except ImportError:
        return False
    return True


def _rows_by_tree(first: torch.Tensor, second: torch.Tensor, symmetric: bool) -> Iterator[Matrix]:
    """Yields the matrix's rows; with `symmetric`, only the part right of the diagonal."""
    from scipy.spatial import KDTree

    a, b = first.cpu().double().numpy(), second.cpu().double().numpy()
    trees = [KDTree(cloud) for cloud in b]
    for i, cloud in enumerate(a):
        tree = trees[i] if symmetric else KDTree(cloud)
        row = np.empty(len(b) - (i + 1 if symmetric else 0))
        for k, j in enumerate(range(len(b) - len(row), len(b))):
            to_b, _ = trees[j].query(cloud, workers=-1)
            to_a, _ = tree.query(b[j], workers=-1)
            row[k] = np.square(to_b).mean() + np.square(to_a).mean()
        yield row


def _rows_by_difference(
    first: torch.Tensor, second: torch.Tensor, chunk: int | None, symmetric: bool
) -> Iterator[Matrix]:
    """Yields the matrix's rows; with `symmetric`, only the part right of the diagonal."""
    if chunk is None:
        chunk = max(1, 2**27 // (first.shape[1] * second.shape[1]))
    kernel = _pytorch3d_kernel() if first.is_cuda else None
    to_each = _chamfer_to_each if kernel is None else functools.partial(_chamfer_by_kernel, kernel)
    for i, cloud in enumerate(first):
        others = second[i + 1 :] if symmetric else second
        parts = [to_each(cloud, part) for part in others.split(chunk) if len(part)]
        yield torch.cat(parts).cpu().double().numpy() if parts else np.empty(0)


def _pytorch3d_kernel() -> Callable[..., Any] | None:
    """pytorch3d.ops.knn_points, or None where pytorch3d does not import."""
    try:
        from pytorch3d.ops import knn_points  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    return knn_points


def _chamfer_by_kernel(
    knn_points: Callable[..., Any], cloud: torch.Tensor, others: torch.Tensor
) -> torch.Tensor:
    """(P, 3), (M, Q, 3) -> (M,); the kernel's `dists` (M, P, 1) are squared."""
    same = cloud.expand(len(others), -1, -1).contiguous()
    to_others, to_cloud = (knn_points(x, y, K=1).dists for x, y in ((same, others), (others, same)))
    return to_others.mean(dim=(1, 2)) + to_cloud.mean(dim=(1, 2))


def _chamfer_to_each(cloud: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """(P, 3), (M, Q, 3) -> (M,), in blocks of P that stay in a CPU's cache."""
    block = len(cloud) if cloud.is_cuda else 128
    nearest_to_others: torch.Tensor | None = None
    nearest_to_cloud = []
    for points in cloud.split(block):
        squared: torch.Tensor | None = None
        for axis in range(3):
            difference = points[None, :, None, axis] - others[:, None, :, axis]
            if squared is None:
                squared = difference.square_()
            else:
                squared.addcmul_(difference, difference)
        assert squared is not None
        nearest_to_cloud.append(squared.amin(dim=2))
        low = squared.amin(dim=1)
        nearest_to_others = (
            low if nearest_to_others is None else torch.minimum(nearest_to_others, low)
        )
    assert nearest_to_others is not None
    return torch.cat(nearest_to_cloud, dim=1).mean(dim=1) + nearest_to_others.mean(dim=1)
