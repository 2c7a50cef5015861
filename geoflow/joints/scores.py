"""Scores of a predicted skeleton against a reference one, as RigNet's family reports them.

All lengths are in the frame of the characters: longest side 1.8. CD-J2J is returned for a
longest side of 1; times 100 it is the per cent that papers print.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geoflow.geometry.frames import LONGEST
from geoflow.io.meshes import check_points


class JointScores(NamedTuple):
    """Scores of one character."""

    cd_j2j: float  # see `cd_j2j`
    iou: float  # 2 matched / (predicted + reference) joints
    precision: float  # matched / predicted
    recall: float  # matched / reference


def cd_j2j(predicted: np.ndarray, reference: np.ndarray) -> float:
    """(P, 3), (R, 3) joints -> CD-J2J for a longest side of 1.

    Half the sum of the mean distance from a predicted joint to the nearest reference joint and
    the mean distance from a reference joint to the nearest predicted one [Xu et al. 2020, 5].

    Raises:
        ValueError: a set is empty, not (J, 3), or not finite.
    """
    distances = _distances(predicted, reference)
    return float(distances.min(1).mean() + distances.min(0).mean()) / 2 / LONGEST


def match_joints(
    predicted: np.ndarray, reference: np.ndarray, feature_size: np.ndarray
) -> np.ndarray:
    """(P, 3), (R, 3), (R,) -> (M, 2) int64 rows of predicted and reference that belong together.

    The pairing, by the Hungarian method, has the least sum of all distances; the tolerance, half of
    the local shape diameters `feature_size`, is applied afterwards, as in RigNet's evaluation.
    Forbidding far pairs beforehand could only match more.

    Raises:
        ValueError: shapes do not fit, or a feature size is not positive.
    """
    from scipy.optimize import linear_sum_assignment

    distances = _distances(predicted, reference)
    size = np.asarray(feature_size, np.float64)
    if size.shape != (len(reference),) or not (size > 0).all():
        raise ValueError(
            f"feature_size must be {len(reference)} positive lengths, one a reference joint; "
            f"got shape {size.shape}, least {size.min(initial=np.inf):g}"
        )
    rows, columns = linear_sum_assignment(distances)
    good = distances[rows, columns] <= size[columns] / 2
    return np.stack((rows[good], columns[good]), 1)


def joint_scores(
    predicted: np.ndarray, reference: np.ndarray, feature_size: np.ndarray
) -> JointScores:
    """All scores of one character; arguments as in `match_joints`."""
    matched = len(match_joints(predicted, reference, feature_size))
    p, r, off = len(predicted), len(reference), cd_j2j(predicted, reference)
    return JointScores(off, 2 * matched / (p + r), matched / p, matched / r)


def mean_scores(scores: list[JointScores]) -> JointScores:
    """The mean over characters; raises ValueError for an empty list."""
    if not scores:
        raise ValueError("scores must hold at least one character's; got none")
    return JointScores(*np.mean(scores, axis=0).tolist())


def tree_recall(
    parents: np.ndarray, reference_parents: np.ndarray, matches: np.ndarray
) -> tuple[int, int]:
    """Reference edges in the predicted tree, of all whose ends are matched; in any direction.

    Parents are (P,), (R,), -1 for the root; `matches` is (M, 2) from `match_joints`.
    """
    of = {int(r): int(p) for p, r in matches}
    edges = {frozenset((k, int(p))) for k, p in enumerate(parents) if p >= 0}
    known = [
        frozenset((of[k], of[int(p)]))
        for k, p in enumerate(reference_parents)
        if p >= 0 and k in of and int(p) in of
    ]
    return sum(edge in edges for edge in known), len(known)


def _distances(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(P, R) Euclidean distances, float64."""
    check_points(predicted, "predicted joints")
    check_points(reference, "reference joints")
    return np.linalg.norm(predicted[:, None].astype(np.float64) - reference, axis=2)


def joint_diameters(
    joints: np.ndarray, parents: np.ndarray, points: np.ndarray, width: float = 0.03
) -> np.ndarray:
    """The local shape diameter at every joint: RigNet's feature size [Xu et al. 2020, 5].

    Rays leave the joint at right angles to a bone; here the samples in a thin slab around that
    plane stand for the surface, the nearest in each of 16 sectors for where a ray ends.

    Args:
        joints, parents, points: (J, 3); (J,) -1 for a root; (N, 3) surface samples.
        width: half the slab's thickness, in the same unit.

    Returns:
        (J,) float32 twice the median distance over the sectors, mean over the bones of a joint.
    """
    sizes = np.zeros(len(joints), np.float32)
    for j, joint in enumerate(joints):
        ends = [*joints[parents == j]]
        if parents[j] >= 0:
            ends.append(2 * joint - joints[parents[j]])
        found = [_radius(points - joint, end - joint, width) for end in ends]
        found = [radius for radius in found if radius > 0]
        nearest = np.linalg.norm(points - joint, axis=1).min()
        sizes[j] = 2 * (np.mean(found) if found else nearest)
    return sizes


def _radius(offsets: np.ndarray, bone: np.ndarray, width: float) -> float:
    """Median of the nearest distances in 16 sectors around a bone; 0 where nothing is near."""
    length = np.linalg.norm(bone)
    axis = bone / max(length, 1e-9)
    slab = offsets[np.abs(offsets @ axis) < width]
    if length < 1e-9 or not len(slab):
        return 0.0
    side = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    side /= np.linalg.norm(side)
    x, y = slab @ side, slab @ np.cross(axis, side)
    sector = ((np.arctan2(y, x) / (2 * np.pi) + 0.5) * 16).astype(int) % 16
    nearest = np.full(16, np.inf)
    np.minimum.at(nearest, sector, np.hypot(x, y))
    return float(np.median(nearest[np.isfinite(nearest)]))
