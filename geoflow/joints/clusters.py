"""From points that gathered at joints to joints.

`cluster_joints` is a density clustering with persistence (ToMATo, Chazal et al. 2013): every
point climbs to the densest of its neighbours, and a peak is a joint of its own only if its
density stands out from the saddle to a higher peak. Mean shift has no such test and splits one
joint into several.
"""

from __future__ import annotations

import numpy as np


def agreement(starts: np.ndarray, ends: np.ndarray, width: float = 0.015) -> np.ndarray:
    """(N, 3) surface points, (N, 3) where they went -> (N,) weights in [0.03, 1].

    Between the regions of two joints points end anywhere on the way from one to the other, and
    a density has a bridge there. Their neighbours on the surface end elsewhere; that gives them
    away. Where the neighbours' ends spread by `width`, a point counts for a third.
    """
    from scipy.spatial import KDTree

    _, near = KDTree(starts).query(starts, k=min(7, len(starts)))
    near = near.reshape(len(starts), -1)
    spread = np.linalg.norm(ends[near] - ends[:, None], axis=2)
    typical = np.sqrt((np.sort(spread, 1)[:, :-1] ** 2).mean(1))  # one neighbour may differ
    return 0.03 + 0.97 * np.exp(-((typical / width) ** 2))


def cluster_joints(
    points: np.ndarray,
    weights: np.ndarray,
    bandwidth: float = 0.012,
    *,
    reach: float = 2.0,
    prominence: float = 0.7,
    least: float = 0.0025,
) -> tuple[np.ndarray, np.ndarray]:
    """Groups points that travelled to joints.

    Args:
        points, weights: (N, 3) finite, where points ended, longest side 1.8; (N,), see `agreement`.
        bandwidth: standard deviation of the density's kernel.
        reach: points nearer than this many bandwidths are neighbours.
        prominence: a peak is joined to a higher one unless the saddle between them is below this
            share of its density.
        least: share of the weight that a joint must gather.

    Returns:
        (J, 3) float32 joints, at least one, those of most points first; and (J,) float32 confidence
        in [0, 1]: the share of a joint's points that lie within two bandwidths of it, times how far
        its density stands out.
    """
    from scipy.spatial import KDTree

    points, weights = points.astype(np.float64), weights.astype(np.float64)
    pairs = KDTree(points).query_pairs(reach * bandwidth, output_type="ndarray")
    lengths = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    kernel = np.exp(-0.5 * (lengths / bandwidth) ** 2)
    density = weights.copy()
    density += np.bincount(pairs[:, 0], kernel * weights[pairs[:, 1]], len(points))
    density += np.bincount(pairs[:, 1], kernel * weights[pairs[:, 0]], len(points))
    root, saddle = _climb(pairs, density, prominence)
    peaks, group = np.unique(root, return_inverse=True)
    mass = np.bincount(group, weights)
    order = np.argsort(-mass, kind="stable")
    joints, confidence = [], []
    for k in [k for k in order if mass[k] >= least * weights.sum()] or order[:1]:
        mine = group == k
        # the mean of the dense part: stragglers on the way between joints do not pull
        weight = weights[mine] * density[mine]
        place = weight @ points[mine] / weight.sum()
        close = np.linalg.norm(points[mine] - place, axis=1) < 2 * bandwidth
        joints.append(place)
        confidence.append(close.mean() * (1 - saddle[peaks[k]] / density[peaks[k]]))
    return np.array(joints, np.float32), np.array(confidence, np.float32)


def _climb(
    pairs: np.ndarray, density: np.ndarray, prominence: float
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) the peak of every point, and (N,) the highest saddle of a peak (0 where alone)."""
    count = len(density)
    order = np.argsort(-density, kind="stable")
    rank = np.argsort(order)
    # edges to the denser end, sorted by the point that they are met at
    late = np.where(rank[pairs[:, 0]] > rank[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    soon = pairs.sum(1) - late
    by = np.lexsort((rank[soon], rank[late]))
    late, soon = late[by], soon[by]
    ends = np.searchsorted(rank[late], np.arange(count + 1)).tolist()
    # Lists: Python reads numbers out of them several times faster than out of arrays.
    above, saddle = list(range(count)), [0.0] * count
    level, near = density.tolist(), soon.tolist()

    def top(k: int) -> int:
        while above[k] != k:
            above[k] = above[above[k]]
            k = above[k]
        return k

    for point, start, stop in zip(order.tolist(), ends, ends[1:], strict=False):
        around = near[start:stop]
        if not around:
            continue
        above[point] = mine = top(around[0])
        for other in {top(k) for k in {above[k] for k in around}} - {mine}:
            mine = top(mine)
            low, high = (mine, other) if level[mine] <= level[other] else (other, mine)
            if level[point] >= prominence * level[low]:
                above[low] = high
            else:
                saddle[low] = max(saddle[low], level[point])
                saddle[high] = max(saddle[high], level[point])
    return np.array([top(k) for k in range(count)]), np.array(saddle)
