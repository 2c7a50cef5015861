"""From a character's surface to its skeleton: `load_joint_predictor("characters").predict(...)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import ConfigDict, Field
from torch import Tensor

from geoflow.checks import at_least, one_of
from geoflow.flow.condition import Condition
from geoflow.flow.noise import draw_noise
from geoflow.geometry.frames import fit_frame
from geoflow.joints.clusters import Clusters, agreement, cluster_joints
from geoflow.joints.names import is_humanoid
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


class Clustering(Part):
    """How travelled points become joints: the part "clustering" of config.json; tuned afterwards.

    Attributes:
        width: of `agreement`.
        bandwidth, prominence, least: of `cluster_joints`.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

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
        cumulative: bool = True,
        category: str = "any",
        seed: int = 0,
        on_step: Callable[[int, Tensor], None] | None = None,
    ) -> np.ndarray:
        """Where surface points travel to, before clustering.

        Args:
            points: (N, 3) in the training frame: y up, facing +z, longest side 1.8, centred.
            normals: (N, 3) outward unit normals.
            steps: network calls.
            cumulative: True folds the map (with r = t in the last call, if config.json says so),
                False samples with r = t, the multi-step way.
            category: "body" (22 joints), "creature" or "any".
            seed: of the noise.
            on_step: called with (calls made, state) after each call; may raise to stop.

        Returns:
            (N, 3) float32 ends.
        """
        at_least("seed", seed, 0)
        one_of("category", category, ["any", *self.categories])
        index = (*self.categories, "any").index(category)
        surface = np.concatenate((points, normals), 1).astype(np.float32)
        context = torch.from_numpy(surface)[None].to(self.device)
        cond = Condition(torch.tensor([index], device=self.device), context)
        noise = draw_noise(seed, 0, (1, len(points), 3))
        ends = self.carry(noise, steps, cond, cumulative=cumulative, on_step=on_step)
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
        least_confidence: float = 0.0,
        on_step: Callable[[int, Tensor], None] | None = None,
    ) -> Skeleton:
        """Finds joints and tree.

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
            least_confidence: joints below are left out, as long as one is left.
            on_step: see `travel`.

        Returns:
            joints in the frame of the points, parents and confidence.

        Raises:
            ValueError: shapes that do not fit, fewer than 64 points, NaN, no extent, an unknown
                category.
        """
        points, normals = _checked(points, normals)
        frame = fit_frame(points)
        if len(points) > MOST_POINTS:
            keep = np.random.default_rng(seed).choice(len(points), MOST_POINTS, replace=False)
            points, normals = points[keep], normals[keep]
        points = frame.into_cube(points)
        ends = self.travel(
            points,
            normals,
            steps=steps,
            cumulative=cumulative,
            category=category,
            seed=seed,
            on_step=on_step,
        )
        weights = agreement(points, ends, self.clustering.width)
        found = _cluster(ends, weights, self.clustering)
        tree = partial(_tree, points=points, normals=normals, body=category != "creature")
        body, most = None, {"any": MERGED, "creature": 0}.get(category, BODY_JOINTS)
        if 0 < BODY_JOINTS - len(found.joints) <= most:
            body = self._as_body(tree, ends, weights, asked=category == "body")
        found, parents = body or (found, tree(found.joints))
        keep = found.confidence >= min(least_confidence, found.confidence.max())
        joints = found.joints[keep]
        if not keep.all():
            parents = tree(joints)
        placed = frame.back(joints).astype(np.float32)
        return Skeleton(placed, parents, found.confidence[keep])

    def _as_body(
        self,
        tree: Callable[[np.ndarray], np.ndarray],
        ends: np.ndarray,
        weights: np.ndarray,
        *,
        asked: bool,
    ) -> tuple[Clusters, np.ndarray] | None:
        """Clusters and tree at the first finer clustering that gives as many joints as a body.

        None if there is none, or if no body was `asked` for and these joints are no humanoid's.
        """
        for finer in FINER:
            found = _cluster(ends, weights, self.clustering, finer)
            if len(found.joints) == BODY_JOINTS:
                parents = tree(found.joints)
                return (found, parents) if asked or is_humanoid(found.joints, parents) else None
            if len(found.joints) > BODY_JOINTS:
                break
        return None


def _tree(joints: np.ndarray, points: np.ndarray, normals: np.ndarray, *, body: bool) -> np.ndarray:
    """(J,) parents; `body` puts the trunk of what looks like a human body in order."""
    parents = build_tree(joints, points, normals)
    return body_parents(joints, parents) if body else parents


def _cluster(ends: np.ndarray, weights: np.ndarray, how: Clustering, finer: float = 1) -> Clusters:
    """Joints of travelled points; below 1, `finer` tells closer joints apart."""
    return cluster_joints(
        ends,
        weights,
        how.bandwidth * finer,
        prominence=1 - (1 - how.prominence) * finer,
        least=how.least * finer,
    )


def _checked(points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64, normals of unit length."""
    points, normals = np.asarray(points, np.float64), np.asarray(normals, np.float64)
    for name, array in (("points", points), ("normals", normals)):
        if array.ndim != 2 or array.shape[1:] != (3,):
            raise ValueError(f"{name} must have shape (N, 3); got {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite; they hold NaN or infinity; drop those")
    if len(points) != len(normals):
        raise ValueError(
            f"points and normals must be as many; got {len(points)} and {len(normals)}"
        )
    if len(points) < LEAST_POINTS:
        raise ValueError(
            f"a surface must have at least {LEAST_POINTS} points; got {len(points)}; sample more"
        )
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    if not (length > 0).all():
        raise ValueError("normals must not be zero; drop the points of degenerate faces")
    return points, normals / length
