"""From a character's surface to its skeleton: `load_joint_predictor("characters").predict(...)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from geoflow.checks import at_least, one_of
from geoflow.flow.condition import Condition
from geoflow.flow.noise import draw_noise
from geoflow.geometry.frames import fit_frame
from geoflow.joints.clusters import agreement, cluster_joints
from geoflow.joints.names import humanoid
from geoflow.joints.tree import body_parents, build_tree
from geoflow.model.config import Part, read_part
from geoflow.model.model import FlowModel

MOST_POINTS = 4096
LEAST_POINTS = 64
BODY_JOINTS = 22
FINER = (0.79, 0.64, 0.53, 0.44, 0.36)
"""What the clustering's widths are multiplied by, in turn, where joints of a body are missing."""
MERGED = 2
"""Joints that may be missing where no body was asked for: toys lack more, and have other joints."""

Width = Annotated[float, Field(gt=0, lt=1)]


class Clustering(Part, extra="forbid"):
    """How travelled points become joints: the part "clustering" of config.json; tuned afterwards.

    Attributes:
        width: of `agreement`.
        bandwidth, prominence, least: of `cluster_joints`.
    """

    width: Width = 0.015
    bandwidth: Width = 0.012
    prominence: Width = 0.7
    least: Width = 0.0025


class JointData(Part):
    """The part "data" of config.json."""

    categories: list[str] = Field(default_factory=list)


@dataclass(frozen=True)
class Skeleton:
    """Joints of a character.

    Attributes:
        joints: (J, 3) float32 in the frame of the points.
        parents: (J,) int64, -1 for the root.
        confidence: (J,) float32 in [0, 1].
    """

    joints: np.ndarray
    parents: np.ndarray
    confidence: np.ndarray


class JointPredictor(FlowModel):
    """Finds the joints of a character from points of its surface, see `FlowModel`."""

    network = "JointTransformer"

    def read(self, config: dict[str, Any]) -> None:
        self.categories = read_part(config, "data", JointData, optional=True).categories
        self.clustering = read_part(config, "clustering", Clustering, optional=True)

    def travel(
        self,
        points: np.ndarray,
        normals: np.ndarray,
        *,
        steps: int = 2,
        category: str = "any",
        seed: int = 0,
        **options: Any,
    ) -> np.ndarray:
        """Where surface points travel to, before clustering: (N, 3) float32.

        Points (N, 3) must be in the training frame: y up, facing +z, longest side 1.8, centred;
        normals (N, 3) outward and of unit length. For the rest see `predict`.
        """
        at_least("seed", seed, 0)
        one_of("category", category, ["any", *self.categories])
        index = (*self.categories, "any").index(category)
        surface = np.concatenate((points, normals), 1).astype(np.float32)
        context = torch.from_numpy(surface)[None].to(self.device)
        cond = Condition(torch.tensor([index], device=self.device), context)
        ends = self.carry(draw_noise(seed, 0, (1, len(points), 3)), steps, cond, **options)
        return ends[0].float().cpu().numpy()

    def predict(
        self,
        points: np.ndarray,
        normals: np.ndarray,
        *,
        steps: int = 2,
        cumulative: bool = True,
        category: str = "any",
        seed: int = 0,
        on_step: Callable[[int, Tensor], None] | None = None,
    ) -> Skeleton:
        """Finds joints and tree, in the frame of the points.

        Args:
            points: (N, 3) surface samples, y up, facing +z. They are brought to longest side 1.8
                and back; of more than 4,096 an even part is used.
            normals: (N, 3) outward normals, of any length but 0.
            steps: network calls, 1 or 2 for the cumulative map.
            cumulative: False samples with r = t, the ordinary multi-step way.
            category: "body" asks for the 22 joints of a human body, "creature" for any rig; "any"
                leaves it open. Joints that lie close are told apart if that makes a body of 22,
                with "any" only where one or two are missing.
            seed: of the noise.
            on_step: called with (calls made, state) after each call; may raise to stop.

        Raises:
            ValueError: other shapes, fewer than 64 points, NaN, no extent, an unknown category.
        """
        points, normals = _checked(points, normals)
        frame = fit_frame(points)
        if len(points) > MOST_POINTS:
            keep = np.random.default_rng(seed).choice(len(points), MOST_POINTS, replace=False)
            points, normals = points[keep], normals[keep]
        points = frame.into_cube(points)
        how = {"steps": steps, "category": category, "seed": seed}
        ends = self.travel(points, normals, **how, cumulative=cumulative, on_step=on_step)
        found = self._skeleton(ends, points, normals, category)
        # `back` rounds elsewhere
        placed = found.joints / (frame.longest / frame.side) + frame.centre
        return replace(found, joints=placed.astype(np.float32))

    def _skeleton(
        self, ends: np.ndarray, points: np.ndarray, normals: np.ndarray, category: str
    ) -> Skeleton:
        """Of points that travelled; a finer clustering where that makes a body, see `predict`."""
        how, weights = self.clustering, agreement(points, ends, self.clustering.width)

        def cluster(finer: float) -> tuple[np.ndarray, np.ndarray]:
            prominence, least = 1 - (1 - how.prominence) * finer, how.least * finer
            width = how.bandwidth * finer
            return cluster_joints(ends, weights, width, prominence=prominence, least=least)

        def tree(joints: np.ndarray) -> np.ndarray:
            parents = build_tree(joints, points, normals)
            return parents if category == "creature" else body_parents(joints, parents)

        found = cluster(1)
        most = {"any": MERGED, "creature": 0}.get(category, BODY_JOINTS)
        if 0 < BODY_JOINTS - len(found[0]) <= most:
            finer = map(cluster, FINER)
            joints, sure = next((c for c in finer if len(c[0]) >= BODY_JOINTS), found)
            if len(joints) == BODY_JOINTS:
                parents = tree(joints)
                if category == "body" or humanoid(joints, parents):
                    return Skeleton(joints, parents, sure)
        return Skeleton(found[0], tree(found[0]), found[1])


def _checked(points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64, normals of unit length; `fit_frame` checks what is left of the points."""
    points, normals = np.asarray(points, np.float64), np.asarray(normals, np.float64)
    if points.shape != normals.shape or points.shape[1:] != (3,):
        raise ValueError(
            f"points and normals must be as many, (N, 3); got {points.shape} and {normals.shape}"
        )
    if len(points) < LEAST_POINTS:
        raise ValueError(
            f"a surface must have at least {LEAST_POINTS} points; got {len(points)}; sample more"
        )
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    if not ((length > 0) & (length < np.inf)).all():
        raise ValueError("normals must be finite and not zero; drop the points of degenerate faces")
    return points, normals / length
