"""How close two sets of shapes are: the PVD protocol, on point clouds.

Whole sets are compared (never mini-batches), 2,048 points a shape. A set's distances to another are
an (N, M) matrix, computed once by `chamfer_matrix`; the scores read such matrices.

    aa, ab, bb = chamfer_matrix(a), chamfer_matrix(a, b), chamfer_matrix(b)
    one_nna(aa, ab, bb)      # 0.5: the sets cannot be told apart; 1.0: perfectly told apart
    coverage_mmd(ab)         # a generated, b held out

A new distance is another function that returns such a matrix; a new score one that reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Clouds = NDArray[Any] | torch.Tensor
Matrix = NDArray[np.float64]
Progress = Callable[[int, int], None]


def chamfer(a: Clouds, b: Clouds) -> float:
    """(P, 3), (Q, 3) -> mean squared nearest distance from a to b plus that from b to a.

    The unit is the points' squared.

    Raises:
        ValueError: A cloud is empty, not (P, 3) or not finite.
    """
    return float(chamfer_matrix(_tensor(a)[None], _tensor(b)[None], device="cpu")[0, 0])


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
    cancels. On a CPU by k-d trees where scipy is installed (five times as fast), else the same way.

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
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
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
    for i, cloud in enumerate(first):
        others = second[i + 1 :] if symmetric else second
        parts = [_chamfer_to_each(cloud, part) for part in others.split(chunk) if len(part)]
        yield torch.cat(parts).cpu().double().numpy() if parts else np.empty(0)


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


def one_nna(matrix_aa: Matrix, matrix_ab: Matrix, matrix_bb: Matrix) -> float:
    """(N, N), (N, M), (M, M) -> leave-one-out 1-nearest-neighbour accuracy on the union, 0 to 1.

    Every shape is labelled by its nearest other shape; the score is the share labelled rightly.
    0.5 is best. A tie between both sets counts half.

    Raises:
        ValueError: The shapes do not fit each other, a set has fewer than two shapes, or a distance
            is NaN.
    """
    aa, ab, bb = (_matrix(m) for m in (matrix_aa, matrix_ab, matrix_bb))
    n, m = ab.shape
    if aa.shape != (n, n) or bb.shape != (m, m) or min(n, m) < 2:
        raise ValueError(
            "matrices must be (N, N), (N, M), (M, M) with N, M >= 2; they are "
            f"{aa.shape}, {ab.shape}, {bb.shape}; pass distances a-a, a-b and b-b in this order"
        )
    own = np.concatenate([_without_diagonal(aa).min(axis=1), _without_diagonal(bb).min(axis=1)])
    other = np.concatenate([ab.min(axis=1), ab.min(axis=0)])
    return float(np.mean((own < other) + 0.5 * (own == other)))


def nearest(matrix: Matrix) -> tuple[NDArray[np.int64], Matrix]:
    """(N, M) -> per row the column that is nearest (N,), and its distance (N,).

    The nearest training shape of each generated one, say, to see whether it was copied.

    Raises:
        ValueError: The matrix is empty, not two-dimensional or holds NaN.
    """
    distances = _matrix(matrix)
    index = distances.argmin(axis=1)
    return index, distances[np.arange(len(index)), index]


def coverage_mmd(matrix_ab: Matrix) -> tuple[float, float]:
    """(N generated, M reference) -> coverage and minimum matching distance.

    Coverage: the share of reference shapes that are the nearest one of some generated shape; higher
    is better. MMD: the mean over reference shapes of the distance to their nearest generated shape;
    lower is better.

    Raises:
        ValueError: The matrix is empty, not two-dimensional or holds NaN.
    """
    distances = _matrix(matrix_ab)
    covered = np.unique(distances.argmin(axis=1))
    return len(covered) / distances.shape[1], float(distances.min(axis=0).mean())


def _matrix(matrix: Matrix) -> Matrix:
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.ndim != 2 or matrix.size == 0 or np.isnan(matrix).any():
        raise ValueError(
            f"a distance matrix must be (N, M), not empty, without NaN; it is {matrix.shape} with "
            f"{int(np.isnan(matrix).sum())} NaN; pass chamfer_matrix's result"
        )
    return matrix


def _without_diagonal(matrix: Matrix) -> Matrix:
    """(N, N) copy whose diagonal is infinite: nothing is its own neighbour."""
    matrix = matrix.copy()
    np.fill_diagonal(matrix, np.inf)
    return matrix
