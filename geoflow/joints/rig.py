"""From a mesh to a rigged mesh: `rig_mesh(predictor, vertices, faces)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from geoflow.geometry.frames import fit_frame, from_y_up
from geoflow.geometry.pointcloud import sample_surface
from geoflow.geometry.visible import sample_outside
from geoflow.io.arrays import check_mesh
from geoflow.joints.model import MOST_POINTS, JointPredictor
from geoflow.joints.names import name_joints
from geoflow.joints.skin import Skin, skin_mesh


@dataclass(frozen=True)
class RiggedMesh:
    """A mesh with a skeleton, in the mesh's own frame.

    Attributes:
        vertices: (V, 3) float64, faces: (F, 3) int64, as they were given.
        joints: (J, 3) float64; parents: (J,) int64, -1 for the root.
        confidence: (J,) float32 in [0, 1].
        names: J names; left is the character's own left.
        skin: joints and weights of every vertex.
        up: "y", facing +z, or "z", facing -y, as in Blender.
    """

    vertices: np.ndarray
    faces: np.ndarray
    joints: np.ndarray
    parents: np.ndarray
    confidence: np.ndarray
    names: list[str]
    skin: Skin
    up: str


def rig_mesh(
    predictor: JointPredictor,
    vertices: np.ndarray,
    faces: np.ndarray,
    *,
    up: str = "y",
    steps: int = 2,
    category: str = "any",
    seed: int = 0,
    check: Callable[..., None] | None = None,
) -> RiggedMesh:
    """Finds joints, tree, names and skinning weights, in the frame of the mesh.

    Args:
        predictor, up: from `load_joint_predictor`; see `RiggedMesh`.
        vertices, faces: (V, 3), (F, 3), of any scale, open or closed, of any number of parts.
        steps, category, seed: see `JointPredictor.predict`; the seed also draws surface points.
        check: called before the network, after each of its calls and before skinning, with any
            arguments; may raise, to stop.

    Raises:
        ValueError: arrays that do not fit, no area, an unknown `up` or category.
    """
    vertices, faces = np.asarray(vertices, np.float64), np.asarray(faces)
    check_mesh(vertices, faces)
    frame = fit_frame(vertices[np.unique(faces)], up)
    standing = frame.into_cube(vertices)
    rng = np.random.default_rng(seed)
    try:
        points, normals, _ = sample_outside(standing, faces, MOST_POINTS, rng)
    except ValueError:  # hardly anything is seen from outside; or no face has an area
        points, normals = sample_surface(standing, faces, MOST_POINTS, rng)
    check = check or (lambda *_: None)
    check()
    how = {"steps": steps, "category": category, "seed": seed, "on_step": check}
    found = predictor.predict(points, normals, **how)
    check()
    joints, parents = found.joints.astype(np.float64), found.parents
    skin = skin_mesh(standing, faces, joints, parents)
    placed = from_y_up(joints / (frame.longest / frame.side), up) + frame.centre
    names = name_joints(joints, parents)
    return RiggedMesh(vertices, faces, placed, parents, found.confidence, names, skin, up)
