"""Which of many clouds are nearest, exactly, without computing every Chamfer distance.

The squared distance of a point p to a cloud is min_q |p - q|^2 = |p|^2 - f(p), where
f(p) = max_q (2 p.q - |q|^2) is a maximum of linear functions and therefore convex: inside a cell of
a grid f is at most the trilinear interpolation of its values at the corners. So the interpolated
squared distance, less the interpolation error of |p|^2, is a lower bound. Averaged over a cloud's
points it is a product of interpolation weights (of the one cloud) and distances at the grid's nodes
(to the other). The few pairs whose bound is below the best distance found are then computed; where
all distances are alike, as between samplings of one shape, that is every pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.spatial import KDTree

from geoflow.scores.sets import Matrix

Progress = Callable[[int, int], None]  # (done, all)

CELLS = 28  # along the longest side of a typical cloud: fewer loosen the bounds, more cost time
FAR = 5  # cells; beyond, a distance counts as this one, which is a bound as well


def silent(done: int, total: int) -> None:
    """The progress that nobody looks at."""


def directed(cloud: Matrix, tree: Any, workers: int = 1) -> float:
    """(P, 3), a KDTree -> mean squared distance of the points to their nearest in the tree."""
    return float(np.square(tree.query(cloud, workers=workers)[0]).mean())


def nearest_chamfer(clouds: Sequence[Matrix], first: int, progress: Progress = silent) -> Matrix:
    """S float64 clouds (P, 3) -> (S, S) Chamfer distances to the nearest others of either set.

    The `first` clouds are one set, the others another; progress is called with (steps done, all).
    Symmetric, 0 on the diagonal. An entry is the exact distance, or infinite where it is larger
    than the smallest of its row, and of its column, in its set: every cloud's nearest of either set
    is found, ties included.
    """
    trees, count = [KDTree(cloud) for cloud in clouds], len(clouds)
    bounds = _directed_bounds(clouds, trees, progress)
    result = np.full((count, count), np.inf)
    np.fill_diagonal(result, 0.0)

    def fill(i: int) -> None:
        """Computes distances from i in order of their bounds, until no other can be smaller."""
        for others in (np.arange(first), np.arange(first, count)):
            others = others[others != i]
            total = bounds[i, others] + bounds[others, i]
            best, order = result[i, others].min(initial=np.inf), np.argsort(total)
            for j, bound in zip(others[order], total[order], strict=True):
                if bound > best:
                    break
                if np.isfinite(result[i, j]):  # known from j's row
                    continue
                to_j = directed(clouds[i], trees[j])
                if to_j + bounds[j, i] <= best:
                    result[i, j] = result[j, i] = distance = to_j + directed(clouds[j], trees[i])
                    best = min(best, distance)

    _in_threads(fill, count, progress, count)
    return result


def _directed_bounds(clouds: Sequence[Matrix], trees: Sequence[Any], progress: Progress) -> Matrix:
    """(S, S): entry i, j is at most the mean squared distance of i's points to the cloud j."""
    low = np.array([cloud.min(axis=0) for cloud in clouds])
    high = np.array([cloud.max(axis=0) for cloud in clouds])
    side, extent = np.median((high - low).max(axis=1)), (high.max(axis=0) - low.min(axis=0)).max()
    step = float(max(side / CELLS, extent / 2**20)) or 1.0  # 2**20: indices stay below 2**63
    weights, nodes, error = _interpolation(clouds, low.min(axis=0), high.max(axis=0), step)
    bounds = np.empty((len(clouds), len(clouds)))

    def fill(j: int) -> None:
        distance, _ = trees[j].query(nodes, distance_upper_bound=FAR * step)  # else infinite
        squared = np.square(np.minimum(distance, FAR * step))
        bounds[:, j] = (1 - 1e-9) * (weights @ squared) - error  # 1e-9: more than rounding

    _in_threads(fill, len(clouds), progress, 0)
    return bounds


def _interpolation(
    clouds: Sequence[Matrix], low: Matrix, high: Matrix, step: float
) -> tuple[Any, Matrix, Matrix]:
    """Trilinear interpolation on a grid over the box low..high, averaged over a cloud's points.

    Returns sparse weights (S, K) of the K nodes in use; the nodes (K, 3); and (S,) by how much the
    interpolated |p|^2 is too large.
    """
    size = tuple(((high - low) / step).astype(np.int64) + 2)
    corners = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(8, 1, 3)
    columns, values, error = [], [], np.empty(len(clouds))
    for i, cloud in enumerate(clouds):
        part, cell = np.modf((cloud - low) / step)
        error[i] = step**2 * (part * (1 - part)).sum(axis=1).mean()
        node = np.moveaxis(cell.astype(np.int64) + corners, -1, 0)
        weight = np.where(corners == 1, part, 1 - part).prod(axis=2) / len(cloud)
        used, index = np.unique(np.ravel_multi_index(tuple(node), size), return_inverse=True)
        columns.append(used)
        values.append(np.bincount(index.ravel(), weight.ravel()))
    used, index = np.unique(np.concatenate(columns), return_inverse=True)
    starts = np.cumsum([0, *map(len, columns)])
    weights = csr_array((np.concatenate(values), index, starts), shape=(len(clouds), len(used)))
    return weights, np.stack(np.unravel_index(used, size), axis=1) * step + low, error


def _in_threads(work: Callable[[int], None], count: int, progress: Progress, before: int) -> None:
    """Calls work(0..count - 1) in as many threads as torch has; reports steps of 2 count."""
    pool = ThreadPoolExecutor(torch.get_num_threads())
    try:
        for done, _ in enumerate(pool.map(work, range(count)), before + 1):
            progress(done, 2 * count)
    finally:
        pool.shutdown(cancel_futures=True)  # at once on Ctrl-C
