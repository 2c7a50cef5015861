"""How close two sets of shapes are: the PVD protocol, on point clouds.

Whole sets are compared (never mini-batches), 2,048 points a shape. A set's distances to another are
an (N, M) matrix, computed once by `geoflow.scores.distances`; the scores read such matrices.

    aa, ab, bb = chamfer_matrices(a, b)  # a generated, b held out
    one_nna(aa, ab, bb)      # 0.5: the sets cannot be told apart; 1.0: perfectly told apart
    coverage_mmd(ab)

`jsd` compares the occupancies of the sets; `f_score` and `normal_consistency` compare two shapes.
A new distance is another function that returns such a matrix; a new score one that reads it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.special import rel_entr

from geoflow.checks import at_least, one_of
from geoflow.geometry.frames import fit_frame

Array = NDArray[np.floating[Any]]
Matrix = NDArray[np.float64]


def one_nna(matrix_aa: Matrix, matrix_ab: Matrix, matrix_bb: Matrix) -> float:
    """(N, N), (N, M), (M, M) -> leave-one-out 1-nearest-neighbour accuracy on the union, 0 to 1.

    Every shape is labelled by its nearest other shape; the score is the share labelled rightly.
    0.5 is best. A tie between both sets counts half. Raises ValueError where the shapes do not fit
    each other, a set has fewer than two shapes, or a distance is NaN.
    """
    aa, ab, bb = (_matrix(m) for m in (matrix_aa, matrix_ab, matrix_bb))
    n, m = ab.shape
    if aa.shape != (n, n) or bb.shape != (m, m) or min(n, m) < 2:
        raise ValueError(
            "matrices must be (N, N), (N, M), (M, M) with N, M >= 2; they are "
            f"{aa.shape}, {ab.shape}, {bb.shape}; pass distances a-a, a-b and b-b in this order"
        )
    # Nothing is its own neighbour.
    own = np.concatenate([(x + np.diag([np.inf] * len(x))).min(axis=1) for x in (aa, bb)])
    other = np.concatenate([ab.min(axis=1), ab.min(axis=0)])
    return float(np.mean((own < other) + 0.5 * (own == other)))


def coverage_mmd(matrix_ab: Matrix) -> tuple[float, float]:
    """(N generated, M reference) -> coverage and minimum matching distance.

    Coverage: the share of reference shapes that are the nearest one of some generated shape; higher
    is better. MMD: the mean over reference shapes of the distance to their nearest generated shape;
    lower is better. Raises ValueError where the matrix is empty, not two-dimensional or holds NaN.
    """
    distances = _matrix(matrix_ab)
    covered = np.unique(distances.argmin(axis=1))
    return len(covered) / distances.shape[1], float(distances.min(axis=0).mean())


def normalise_sets(
    generated: Array, reference: Array, how: str = "set"
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, P, 3), (M, Q, 3) in one unit -> both as the distances should see them.

    "set" moves and scales both sets by the mean and the one standard deviation of all of the
    reference's points, as PointFlow and PVD do, so that size and place count. "shape" centres the
    bounding box of every cloud and scales its longest side to 2. "none" leaves them. Raises
    ValueError where `how` is another word, or the points to scale by have no extent.
    """
    one_of("how", how, ("set", "shape", "none"))
    sets = [np.asarray(s, np.float64) for s in (generated, reference)]
    if how == "shape":
        sets = [np.stack([fit_frame(c, longest=2.0).into_cube(c) for c in s]) for s in sets]
    elif how == "set":
        place = sets[1].mean(axis=(0, 1))
        scale = float(np.sqrt(np.square(sets[1] - place).mean()))
        if not (np.isfinite(scale) and scale > 0):
            raise ValueError(
                f"reference must be finite and have an extent; its deviation is {scale:g}; "
                "check its files"
            )
        sets = [(s - place) / scale for s in sets]
    return sets[0].astype(np.float32), sets[1].astype(np.float32)


def jsd(generated: Array, reference: Array, resolution: int = 28) -> float:
    """(N, P, 3), (M, Q, 3) -> Jensen-Shannon divergence of the sets' occupancies, 0 to 1 bit.

    Every point counts for the nearest node of a grid of `resolution`^3 nodes over the cube
    [-0.5, 0.5]^3, without those outside of the ball in it (Achlioptas et al. 2018, as in PVD). The
    ball is the reference's: its bounding box's centre, out to its farthest point. 0 is best.
    Raises ValueError where `resolution` is below 2, or the reference has no extent.
    """
    at_least("resolution", resolution, 2)
    axis = np.linspace(-0.5, 0.5, resolution)
    nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    tree = KDTree(nodes[np.linalg.norm(nodes, axis=1) <= 0.5 + 1e-9])
    whole = np.asarray(reference, dtype=np.float64).reshape(-1, 3)
    centre = (whole.min(axis=0) + whole.max(axis=0)) / 2
    radius = float(np.linalg.norm(whole - centre, axis=1).max())
    if not (np.isfinite(radius) and radius > 0):
        raise ValueError(f"reference must have an extent; its radius is {radius:g}")

    def occupancy(clouds: Array) -> Matrix:
        points = (np.asarray(clouds, dtype=np.float64).reshape(-1, 3) - centre) / (2 * radius)
        return np.bincount(tree.query(points, workers=-1)[1], minlength=tree.n) / len(points)

    p, q = occupancy(generated), occupancy(reference)
    middle = (p + q) / 2
    nats = (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2
    return float(np.clip(nats / np.log(2), 0.0, 1.0))


def f_score(a: Array, b: Array, threshold: float) -> float:
    """(P, 3), (Q, 3) -> harmonic mean of precision and recall, 0 to 1; 1 is best.

    Precision is the share of a's points within `threshold` (the points' unit) of a point of b,
    recall the share of b's within it of a (Knapitsch et al. 2017). Raises ValueError where
    `threshold` is not positive.
    """
    if not threshold > 0:
        raise ValueError(f"threshold must be positive; it is {threshold}; 2 % of the size is usual")
    there, back = KDTree(b).query(a)[0], KDTree(a).query(b)[0]
    precision, recall = (float(np.mean(d <= threshold)) for d in (there, back))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def normal_consistency(a: Array, normals_a: Array, b: Array, normals_b: Array) -> float:
    """(P, 3) points and unit normals, (Q, 3) likewise -> how well the normals agree, 0 to 1.

    The mean of |cosine| between a point's normal and its nearest point's, both ways (Mescheder et
    al. 2019): the normals' sign does not count. 1 is best; random normals have 0.5.
    """

    def one_way(x: Array, normals_x: Array, y: Array, normals_y: Array) -> float:
        return float(np.abs((normals_x * normals_y[KDTree(y).query(x)[1]]).sum(axis=1)).mean())

    return (one_way(a, normals_a, b, normals_b) + one_way(b, normals_b, a, normals_a)) / 2


def _matrix(matrix: Matrix) -> Matrix:
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.ndim != 2 or matrix.size == 0 or np.isnan(matrix).any():
        raise ValueError(
            f"a distance matrix must be (N, M), not empty, without NaN; it is {matrix.shape} with "
            f"{int(np.isnan(matrix).sum())} NaN; pass chamfer_matrix's result"
        )
    return matrix
