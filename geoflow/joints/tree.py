"""From joints to a tree, and the order of a human body's."""

from __future__ import annotations

import numpy as np

from geoflow.joints.names import ARM, LEG, SIDES, humanoid

MIDDLE = 0.05
"""Joints nearer than this to the plane of symmetry lie on it."""
_LIMBS = 14  # joints of two legs and two arms, without the collars


def check_tree(parents: np.ndarray, name: str = "parents") -> None:
    """(J,) indices of joints, -1 for a root: every joint must lead to one.

    Raises:
        ValueError: no joints, an index out of range, or a cycle; the text starts with `name`.
    """
    if not parents.size:
        raise ValueError(f"{name} must hold at least one joint; they hold none")
    low, high = parents.min(), parents.max()
    if low < -1 or high >= len(parents):
        raise ValueError(f"{name} must be -1 or below {len(parents)}; they span {low}..{high}")
    at = parents
    for _ in parents:
        at = np.where(at >= 0, parents[at], -1)
    if at.max() >= 0:
        raise ValueError(f"{name} must form a tree; they hold a cycle")


def inside_share(
    ends: np.ndarray, points: np.ndarray, normals: np.ndarray, samples: int = 9
) -> np.ndarray:
    """(E, 2, 3) ends of straight bones -> (E,) how much of each lies inside a body, in [0, 1].

    A place is inside if most of the 8 nearest outward unit normals, (N, 3) as the surface's points,
    point away from it. So many samples are looked at on a bone, its ends left out.
    """
    from scipy.spatial import KDTree

    share = (np.arange(samples) + 0.5) / samples
    places = ends[:, :1] + share[:, None] * (ends[:, 1:] - ends[:, :1])
    flat = places.reshape(-1, 3)
    _, near = KDTree(points).query(flat, k=min(8, len(points)))
    near = near.reshape(len(flat), -1)
    away = ((points[near] - flat[:, None]) * normals[near]).sum(2) > 0
    return (away.mean(1) > 0.5).reshape(len(ends), samples).mean(1)


def build_tree(
    joints: np.ndarray, points: np.ndarray, normals: np.ndarray, outside: float = 1.0
) -> np.ndarray:
    """Parents of joints: the minimum spanning tree of bones that stay inside the body.

    A bone costs its length, more where it leaves the body (`outside` times the share), 1.4 times
    where it leaves the plane x = 0 in which a character that faces +z is symmetric, and 3 times
    where it crosses it: limbs hang together before they hang on the trunk.

    The root is the lowest and rearmost joint on the plane where three bones meet: the hips. A
    chain, as of a fish, starts at its front. Otherwise it is the most central joint.

    Args:
        joints: (J, 3), J at least 1, longest side 1.8, y up, facing +z.
        points, normals: (N, 3) surface samples and outward unit normals.

    Returns:
        (J,) int64 parents, -1 for the root.
    """
    count = len(joints)
    if count == 1:
        return np.array([-1])
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    first, second = np.triu_indices(count, 1)
    length = np.linalg.norm(joints[first] - joints[second], axis=1)
    inside = inside_share(np.stack((joints[first], joints[second]), 1), points, normals)
    side = joints[:, 0] - (points[:, 0].min() + points[:, 0].max()) / 2
    side = np.sign(side) * (np.abs(side) >= MIDDLE)
    leaves = np.where((side[first] == 0) != (side[second] == 0), 1.4, 1.0)
    leaves = np.where(side[first] * side[second] < 0, 3.0, leaves)
    cost = np.zeros((count, count))
    cost[first, second] = length * (1 + outside * (1 - inside)) * leaves + 1e-6
    span = minimum_spanning_tree(cost).toarray()
    span = np.maximum(span, span.T)
    root = _root(joints, span, side == 0)
    _, parents = breadth_first_order(span, root, directed=False)
    parents = parents.astype(np.int64)
    parents[root] = -1
    return parents


def _root(joints: np.ndarray, span: np.ndarray, middle: np.ndarray) -> int:
    """The joint where a skeleton begins, see `build_tree`."""
    from scipy.sparse.csgraph import dijkstra

    meeting = (span > 0).sum(1)
    hips = middle & (meeting >= 3)
    if hips.any():
        return int(np.argmin(np.where(hips, joints[:, 1] + joints[:, 2], np.inf)))
    if middle.all():
        return int(np.argmax(np.where(meeting == 1, joints[:, 2], -np.inf)))
    ways = dijkstra(span, directed=False).sum(1)
    return int(np.argmin(np.where(middle, ways, ways + 1e6 * bool(middle.any()))))


def body_parents(joints: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """The tree of a human body, made of a first tree that follows its legs and arms.

    Between the shoulders joints lie so close that a spanning tree hangs one collar on the other,
    or on the neck, or takes one for the root. The order there is known beforehand: the collars
    leave the spine below them.

    Joints are (J, 3), y up, facing +z, of any scale, parents (J,), -1 for the root; returns those
    given where no root makes the limbs and collars of a body.
    """
    place, given = np.asarray(joints, float), np.asarray(parents)
    if not _LIMBS + 6 <= len(place) <= _LIMBS + 8:
        return given
    for root in np.argsort(given >= 0, kind="stable").tolist():  # the given root first
        found = _as_body(place, _rerooted(given, root))
        if found is not None:
            return found
    return given


def _rerooted(parents: np.ndarray, root: int) -> np.ndarray:
    """The same tree hung up on another joint."""
    out, k, above = parents.copy(), root, -1
    while k >= 0:
        out[k], above, k = above, k, int(parents[k])
    return out


def _as_body(place: np.ndarray, parents: np.ndarray) -> np.ndarray | None:
    """(J,) parents with the trunk of a body between the limbs of a humanoid; None if it is none."""
    named = humanoid(place, parents)
    names = {name: k for k, name in named.items()}
    legs = [[names.get(f"{side}_{part}", -1) for part in LEG[:4]] for side in SIDES]
    arms = [[k for k, n in named.items() if n.startswith(side) and n.split("_")[1] in ARM][-3:]
            for side in SIDES]  # fmt: skip
    limbs = [k for limb in (*legs, *arms) for k in limb]
    trunk = [k for k in range(len(place)) if k not in limbs and k != names.get("pelvis")]
    if "pelvis" not in names or -1 in limbs or len(set(limbs)) != _LIMBS:
        return None
    root, shoulders = names["pelvis"], [arm[0] for arm in arms]
    apart = np.linalg.norm(place[trunk][:, None] - place[shoulders], axis=2)
    total = apart[:, :1] + apart[:, 1]
    np.fill_diagonal(total, np.inf)
    collars = [trunk[k] for k in np.unravel_index(total.argmin(), total.shape)]
    middle = [k for k in trunk if k not in collars]
    axis, across = place[shoulders].mean(0) - place[root], place[shoulders[0]] - place[shoulders[1]]
    aside = (place[collars] - place[middle].mean(0)) @ across / (across @ across)
    height = place @ axis
    middle.sort(key=lambda k: height[k])
    chest = int(sum(height[k] < height[collars].mean() for k in middle))
    reaches = [np.linalg.norm(np.diff(place[arm], axis=0), axis=1) for arm in arms]
    good = [
        aside[0] > 0.05 and aside[1] < -0.05 and chest > 0,
        min(height[middle]) > height[root],
        sum(k not in parents for k in middle) == 1,  # the head: no ears, no tail
        all(lower > 0.55 * upper for upper, lower in reaches),  # forearms, not hands
    ]
    if not all(good):
        return None
    out = np.full(len(place), -1, np.int64)
    chains = [[root, *middle], *([root, *leg] for leg in legs)]
    chains += [[middle[chest - 1], c, *arm] for c, arm in zip(collars, arms, strict=True)]
    for chain in chains:
        out[chain[1:]] = chain[:-1]
    return out
