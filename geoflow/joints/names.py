"""Names for the joints of humanoids.

Left is +x: a character with y up that faces +z has its left hand there, on the right of a picture
taken from the front. Names are those of SMPL: pelvis, left_hip, left_knee, left_ankle, left_foot,
spine_1, ..., neck, head, left_collar, left_shoulder, left_elbow, left_wrist.
"""

from __future__ import annotations

import itertools

import numpy as np

SIDES = ("left", "right")
LEG = ("hip", "knee", "ankle", "foot", "toe")
ARM = ("collar", "shoulder", "elbow", "wrist", "hand")
HEAD = ("neck", "head")


def name_joints(joints: np.ndarray, parents: np.ndarray) -> list[str]:
    """Names of all joints; `joint_0` and so on where the tree is no humanoid's.

    A humanoid has a root that three branches leave, one up and two down to either side, and a
    joint above it that two arms leave to either side. Joints (J, 3) are y up, facing +z, of any
    scale; parents (J,) -1 for the root. No two names are the same.
    """
    found = humanoid(joints, parents)
    return [found.get(k, f"joint_{k}") for k in range(len(joints))]


def humanoid(joints: np.ndarray, parents: np.ndarray) -> dict[int, str]:
    """Joint -> name of those that `name_joints` knows; empty if this is no humanoid."""
    return _Tree(np.asarray(joints, float), np.asarray(parents)).names()


class _Tree:
    def __init__(self, joints: np.ndarray, parents: np.ndarray) -> None:
        self.joints, self.parents = joints, parents
        self.children = [np.flatnonzero(parents == k).tolist() for k in range(len(joints))]

    def below(self, k: int) -> list[int]:
        """A joint and all its descendants."""
        out = [k]
        for j in out:
            out += self.children[j]
        return out

    def limb(self, k: int) -> list[int]:
        """From a joint on to the descendant farthest from it."""
        under = self.below(k)
        end = max(under, key=lambda j: float(np.linalg.norm(self.joints[j] - self.joints[k])))
        path = [end]
        while path[-1] != k:
            path.append(int(self.parents[path[-1]]))
        return path[::-1]

    def reach(self, k: int, axis: int) -> float:
        """The coordinate of a limb's end."""
        return float(self.joints[self.limb(k)[-1], axis])

    def pair(self, branches: list[int], middle: float) -> tuple[int, int] | None:
        """The branches that end farthest to the left and to the right of x = middle."""
        if len(branches) < 2:
            return None
        left = max(branches, key=lambda k: self.reach(k, 0))
        right = min(branches, key=lambda k: self.reach(k, 0))
        spread = (self.reach(left, 0) - middle, middle - self.reach(right, 0))
        if left == right or min(spread) <= 0.3 * max(spread):
            return None
        return left, right

    def names(self) -> dict[int, str]:
        """See `humanoid`."""
        roots = np.flatnonzero(self.parents < 0)
        if len(roots) != 1 or len(self.children[roots[0]]) < 3:
            return {}
        root = int(roots[0])
        middle, height = self.joints[root, :2]
        branches = self.children[root]
        legs = self.pair([k for k in branches if self.reach(k, 1) < height], middle)
        upward = [k for k in branches if max(self.joints[self.below(k), 1]) > height]
        upward = [k for k in upward if legs is None or k not in legs]
        if legs is None or not upward:
            return {}
        spine, arms = [max(upward, key=lambda k: max(self.joints[self.below(k), 1]))], None
        while arms is None and self.children[spine[-1]]:
            beside = self.children[spine[-1]]
            arms = self.pair(beside, middle)
            if arms is None:
                spine.append(min(beside, key=lambda k: abs(self.reach(k, 0) - middle)))
        if arms is None:
            return {}
        names = {root: "pelvis"} | {k: f"spine_{n + 1}" for n, k in enumerate(spine)}
        neck = [k for k in self.children[spine[-1]] if k not in arms]
        neck = [k for k in neck if self.joints[k, 1] > self.joints[spine[-1], 1]]
        if neck:
            names |= self._chain("", self.limb(max(neck, key=lambda k: self.reach(k, 1))), HEAD)
        for side, leg, arm in zip(SIDES, legs, arms, strict=True):
            names |= self._chain(f"{side}_", self.limb(leg), LEG)
            inner, path = self._arm(arm, middle)
            names |= {inner[0]: "head"} if inner and not neck else {}
            names |= self._chain(f"{side}_", path, ARM)
        return names

    def _arm(self, k: int, middle: float) -> tuple[list[int], list[int]]:
        """Joints of the trunk that an arm hangs on by mistake, and its own: three at least."""
        path, aside = self.limb(k), abs(self.reach(k, 0) - middle)
        first = 0
        while len(path) - first > 3 and abs(self.joints[path[first], 0] - middle) < 0.05 * aside:
            first += 1
        return path[:first], path[first:]

    def _chain(self, side: str, path: list[int], words: tuple[str, ...]) -> dict[int, str]:
        """Names along a limb; an arm of three joints has no collar, a head of one no neck."""
        if len(path) <= {ARM: 3, HEAD: 1}.get(words, 0):
            words = words[1:]
        more = (f"{words[-1]}_{n}" for n in itertools.count(1))
        return {k: side + word for k, word in zip(path, itertools.chain(words, more), strict=False)}
