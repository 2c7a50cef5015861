"""How far shapes are from each other: Chamfer and earth mover's distances of point clouds.

`chamfer_matrix` and `emd_matrix` compare every shape of one set with every shape of another;
`chamfer_matrices` finds only the nearest ones, which is all that the scores of
`geoflow.scores.sets` read, in a fraction of the time. `mean_nearest` is for two large clouds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from torch import Tensor

from geoflow.scores.nearest import Progress, directed, nearest_chamfer, silent
from geoflow.scores.sets import Matrix

Clouds = NDArray[Any] | Tensor
Device = str | torch.device
Rows = Callable[[int, int], ArrayLike]  # (i, start) -> distances of first[i] to second[start:]
PAIRS = 2**27  # of points, compared at once on a GPU: about 2 GB


def mean_nearest(a: Clouds, b: Clouds) -> tuple[float, float]:
    """(P, 3), (Q, 3) -> mean distance (not squared) from a to b's nearest point, and from b to a's.

    For clouds of 500,000 points and more: k-d trees on all cores take 2 s. The unit is the points'.
    Raises ValueError where a cloud is empty, not (P, 3) or not finite.
    """
    x, y = (_checked(c[None], name)[0].numpy(force=True) for c, name in ((a, "a"), (b, "b")))
    to_b, to_a = KDTree(y).query(x, workers=-1)[0], KDTree(x).query(y, workers=-1)[0]
    return float(np.mean(to_b)), float(np.mean(to_a))


def chamfer_matrix(
    a: Clouds, b: Clouds | None = None, *, device: Device = "cpu", progress: Progress = silent
) -> Matrix:
    """(N, P, 3), (M, Q, 3) -> (N, M) mean squared nearest distances, a to b plus b to a.

    On a CPU by k-d trees. On a GPU by differences in float32, never by the matrix product
    |a|^2 + |b|^2 - 2 ab, which cancels; by pytorch3d's kernel where it is installed, to the same
    result but for rounding.

    Args:
        a: (N, P, 3) clouds; the distances' unit is theirs squared.
        b: (M, Q, 3) clouds; None compares `a` with itself at half the cost.
        device: Where to compute.
        progress: Called with (rows done, N).

    Raises:
        ValueError: A set is empty, not (N, P, 3) or not finite.
    """
    first = _checked(a, "a").to(device)
    second = first if b is None else _checked(b, "b").to(device)
    method = _by_tree if first.device.type == "cpu" else _by_difference
    return _fill(method(first, second), first, second, progress)


def chamfer_matrices(
    a: Clouds, b: Clouds, *, device: Device = "cpu", progress: Progress = silent
) -> tuple[Matrix, Matrix, Matrix]:
    """(N, P, 3), (M, Q, 3) -> Chamfer distances a-a (N, N), a-b (N, M), b-b (M, M), as scores need.

    On a CPU an entry is infinite where it is certainly neither the smallest of its row (leaving out
    the diagonal) nor, in a-b, of its column: 1-NNA, coverage and MMD come out as from
    `chamfer_matrix`, some twenty times as fast. On a GPU every entry is computed. Arguments and
    errors as there; `progress` counts the steps of all three.
    """
    if torch.device(device).type != "cpu":
        return three_matrices(chamfer_matrix, a, b, progress, device=device)
    n, both = len(a), (*_checked(a, "a"), *_checked(b, "b"))
    whole = nearest_chamfer([c.double().numpy(force=True) for c in both], n, progress)
    return whole[:n, :n], whole[:n, n:], whole[n:, n:]


def emd_matrix(a: Clouds, b: Clouds | None = None, *, progress: Progress = silent) -> Matrix:
    """(N, P, 3), (M, P, 3) -> (N, M) mean distances of the best one-to-one assignment of points.

    Exact (scipy's Jonker-Volgenant). The distance is not squared, in the points' unit. Published
    figures mostly come from approximate GPU code and are not comparable. A pair of 2,048 points
    takes one core 1 to 6 s and 100 MB, one of 512 points 0.05 s. Arguments and errors as of
    `chamfer_matrix`; ValueError too where their numbers of points differ.
    """
    first = _checked(a, "a")
    second = first if b is None else _checked(b, "b")
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            "a and b must have as many points a cloud; they have "
            f"{first.shape[1]} and {second.shape[1]}; sample them alike"
        )
    return _fill(_by_assignment(first, second), first, second, progress)


def three_matrices(
    matrix: Callable[..., Matrix], a: Clouds, b: Clouds, progress: Progress, **options: Any
) -> tuple[Matrix, Matrix, Matrix]:
    """Distances a-a, a-b and b-b by one of the above, with one count of rows for all."""
    total = 2 * len(a) + len(b)

    def after(before: int) -> Progress:
        return lambda done, _: progress(before + done, total)

    aa = matrix(a, progress=after(0), **options)
    ab = matrix(a, b, progress=after(len(a)), **options)
    return aa, ab, matrix(b, progress=after(2 * len(a)), **options)


def _fill(row: Rows, first: Tensor, second: Tensor, progress: Progress) -> Matrix:
    """All distances; of a set to itself, those right of the diagonal are computed."""
    result = np.zeros((len(first), len(second)))
    for i in range(len(first)):
        start = i + 1 if first is second else 0
        if start < len(second):
            result[i, start:] = row(i, start)
        progress(i + 1, len(first))
    return result + np.triu(result, 1).T if first is second else result


def _by_tree(first: Tensor, second: Tensor) -> Rows:
    a, b = first.double().numpy(), second.double().numpy()
    trees = [KDTree(cloud) for cloud in b]
    own = trees if first is second else [KDTree(cloud) for cloud in a]
    return lambda i, start: [
        directed(a[i], trees[j], -1) + directed(b[j], own[i], -1) for j in range(start, len(b))
    ]


def _by_assignment(first: Tensor, second: Tensor) -> Rows:
    a, b = first.double().numpy(force=True), second.double().numpy(force=True)

    def row(i: int, start: int) -> ArrayLike:
        costs = (cdist(a[i], cloud) for cloud in b[start:])
        return [cost[linear_sum_assignment(cost)].mean() for cost in costs]

    return row


def _by_difference(first: Tensor, second: Tensor) -> Rows:
    to_each = _kernel(first.device)
    chunk = max(1, PAIRS // (first.shape[1] * second.shape[1]))

    def row(i: int, start: int) -> ArrayLike:
        parts = [to_each(first[i], part) for part in second[start:].split(chunk)]
        return torch.cat(parts).double().numpy(force=True)

    return row


def _kernel(device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """(P, 3), (M, Q, 3) -> (M,): by pytorch3d on a GPU where it imports, else by differences."""
    if device.type != "cuda":
        return _chamfer_to_each
    try:
        from pytorch3d.ops import knn_points  # pyright: ignore[reportMissingImports]
    except ImportError:
        return _chamfer_to_each

    def by_pytorch3d(cloud: Tensor, others: Tensor) -> Tensor:
        same = cloud.expand(len(others), -1, -1).contiguous()
        squared = [knn_points(x, y, K=1).dists for x, y in ((same, others), (others, same))]
        return squared[0].mean(dim=(1, 2)) + squared[1].mean(dim=(1, 2))

    return by_pytorch3d


def _chamfer_to_each(cloud: Tensor, others: Tensor) -> Tensor:
    squared = (cloud[:, None, 0] - others[:, None, :, 0]).square_()
    for axis in (1, 2):
        difference = cloud[:, None, axis] - others[:, None, :, axis]
        squared.addcmul_(difference, difference)
    return squared.amin(dim=2).mean(dim=1) + squared.amin(dim=1).mean(dim=1)


def _checked(clouds: Clouds, name: str) -> Tensor:
    """(N, P, 3) as a float32 tensor where it was."""
    tensor = torch.as_tensor(clouds).detach().to(dtype=torch.float32)
    if tensor.ndim != 3 or tensor.shape[2] != 3 or 0 in tensor.shape:
        raise ValueError(
            f"{name} must have shape (N, P, 3), none of them 0; it is {tuple(tensor.shape)}; "
            "stack clouds of the same number of points"
        )
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError(f"{name} must be finite; it holds NaN or infinity; drop those shapes")
    return tensor
