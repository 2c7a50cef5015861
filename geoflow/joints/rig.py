"""From a mesh to a rigged mesh: `rig_mesh(predictor, vertices, faces)`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geoflow.files import check_target, write_atomically
from geoflow.geometry.frames import fit_frame
from geoflow.geometry.pointcloud import sample_surface
from geoflow.geometry.visible import sample_outside
from geoflow.io.arrays import check_mesh
from geoflow.joints.glb import rigged_glb
from geoflow.joints.model import MOST_POINTS, JointPredictor
from geoflow.joints.names import name_joints
from geoflow.joints.skin import Skin, skin_mesh

SUFFIXES = (".glb", ".txt", ".json")


@dataclass(frozen=True)
class RiggedMesh:
    """A mesh with a skeleton, in the mesh's own frame.

    Attributes:
        vertices: (V, 3) float64, faces: (F, 3) int64, as they were given.
        joints: (J, 3) float64; parents: (J,) int64, -1 for the root.
        confidence: (J,) float32 in [0, 1].
        names: J names; left is the character's own left.
        skin: joints and weights of every vertex.
        up: "y" (facing +z) or "z" (facing -y).
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
    """Finds joints, tree, names and skinning weights.

    Args:
        predictor: from `load_joint_predictor`.
        vertices, faces: (V, 3), (F, 3), of any scale, open or closed, of any number of parts.
        up: "y": the character faces +z; "z": it faces -y, as in Blender.
        steps, category, seed: see `JointPredictor.predict`; the seed also draws surface points.
        check: called before the network, after each of its calls and before skinning, with any
            arguments; may raise, to stop.

    Returns:
        the rig in the frame of the mesh.

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
    found = predictor.predict(
        points, normals, steps=steps, category=category, seed=seed, on_step=check
    )
    check()
    joints = found.joints.astype(np.float64)
    skin = skin_mesh(standing, faces, joints, found.parents)
    placed = frame.back(joints)
    names = name_joints(joints, found.parents)
    return RiggedMesh(vertices, faces, placed, found.parents, found.confidence, names, skin, up)


def rignet_text(rig: RiggedMesh) -> str:
    """RigNet's text: lines of joints, root, skin and hierarchy."""
    names, above = rig.names, list(zip(rig.names, rig.parents, strict=True))
    lines = [
        f"joints {n} {x:.8g} {y:.8g} {z:.8g}"
        for n, (x, y, z) in zip(names, rig.joints, strict=True)
    ]
    lines += [f"root {n}" for n, p in above if p < 0]
    for k, (which, weights) in enumerate(zip(rig.skin.joints, rig.skin.weights, strict=True)):
        pairs = [f"{names[j]} {w:.6g}" for j, w in zip(which, weights, strict=True) if w > 0]
        lines.append(f"skin {k} " + " ".join(pairs))
    lines += [f"hier {names[p]} {n}" for n, p in above if p >= 0]
    return "\n".join(lines) + "\n"


def skeleton_json(rig: RiggedMesh) -> str:
    """Joints, parents, names and confidence; no weights."""
    table = {
        "up": rig.up,
        "names": rig.names,
        "parents": rig.parents.tolist(),
        "joints": rig.joints.tolist(),
        "confidence": [round(float(c), 4) for c in rig.confidence],
    }
    return json.dumps(table, indent=1) + "\n"


def write_rig(path: str | Path, rig: RiggedMesh, *, overwrite: bool = False) -> Path:
    """Writes .glb, .txt (RigNet's) or .json, whole or not at all.

    A .glb is y up for its readers, whatever the mesh's own frame; the others are in that frame.

    Raises:
        ValueError: another suffix, no such folder, or the file exists and `overwrite` is False.
        OSError: the disk is full or the folder not writable.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"path must end in one of {' '.join(SUFFIXES)}; got {path.name!r}")
    check_target(path, overwrite=overwrite)
    if suffix == ".glb":
        arrays = (rig.vertices, rig.faces, rig.joints, rig.parents)
        data = rigged_glb(*arrays, rig.skin, rig.names, rig.up)
    else:
        data = (rignet_text(rig) if suffix == ".txt" else skeleton_json(rig)).encode()
    write_atomically(path, data, sync=False)
    return path
