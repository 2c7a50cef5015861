"""Rigged meshes of a session: kept on disk, shown with their skeleton, exported. No gradio here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import geoflow
from geoflow.checks import one_of
from geoflow_app.parts.scenes import add_parts
from geoflow_app.server.sessions import Item, Job

FORMATS = ("glb", "txt", "json")
KIND = "rig"  # the category of a rig's item
MOST_SHOWN = 30_000  # faces in the viewer
SKIN, BONE, JOINT = (0.27, 0.30, 0.27, 0.30), (0.05, 0.16, 0.42, 1.0), (0.85, 0.22, 0.04, 1.0)
BONE_WIDTH, JOINT_SIZE = 0.009, 0.012  # of the longest side
WAIST = 0.2  # where along a bone it is widest


def store_rig(job: Job, rig: geoflow.RiggedMesh, title: str, stem: str, seconds: float) -> Item:
    """Writes a rig's arrays, and the .glb that shows it, into the session's folder."""
    arrays = {
        "vertices": rig.vertices, "faces": rig.faces, "joints": rig.joints, "parents": rig.parents,
        "confidence": rig.confidence, "names": np.array(rig.names), "up": np.array(rig.up),
        "skin_joints": rig.skin.joints, "skin_weights": rig.skin.weights,
    }  # fmt: skip
    size = 100 * np.ptp(geoflow.geometry.to_y_up(rig.vertices, rig.up), axis=0)
    facts = {
        "vertices": len(rig.vertices),
        "faces": len(rig.faces),
        "size_cm": [round(float(side), 2) for side in size],
        "joints": len(rig.joints),
        "names": [n for n in rig.names if not n.startswith("joint_")],
        "seconds": round(seconds, 2),
    }
    item = job.item(title, f"{stem}_{KIND}", facts, arrays, "_shown.glb", category=KIND)
    geoflow.files.write_atomically(item.glb, shown_glb(rig), sync=False)
    return item


def read_rig(item: Item) -> geoflow.RiggedMesh:
    """The rig of an item, read back."""
    with np.load(item.arrays, allow_pickle=False) as stored:
        skin = geoflow.joints.Skin(stored["skin_joints"], stored["skin_weights"])
        return geoflow.RiggedMesh(
            vertices=stored["vertices"],
            faces=stored["faces"],
            joints=stored["joints"],
            parents=stored["parents"],
            confidence=stored["confidence"],
            names=stored["names"].tolist(),
            skin=skin,
            up=str(stored["up"]),
        )


def export_rig(job: Job, item: Item, kind: str) -> Path:
    """A rig as a file in the session's folder.

    Args:
        kind: one of FORMATS.

    Raises:
        ValueError: an unknown format.
    """
    job.check()
    one_of("format", kind, FORMATS)
    path = job.session.folder / f"{item.stem}.{kind}"
    return geoflow.write_rig(path, read_rig(item), overwrite=True)


def shown_glb(rig: geoflow.RiggedMesh) -> bytes:
    """The translucent mesh with octahedra for bones and balls for joints, y up, facing +z."""
    import trimesh

    vertices, faces = fewer_faces(geoflow.geometry.to_y_up(rig.vertices, rig.up), rig.faces)
    joints = geoflow.geometry.to_y_up(rig.joints, rig.up)
    longest = float(np.ptp(vertices, axis=0).max())
    bones = [
        bone(joints[p], joints[k], BONE_WIDTH * longest)
        for k, p in enumerate(rig.parents)
        if p >= 0 and np.linalg.norm(joints[k] - joints[p]) > 1e-6 * longest
    ]
    ball = trimesh.creation.icosphere(1, JOINT_SIZE * longest)
    balls = [(np.asarray(ball.vertices) + joint, np.asarray(ball.faces)) for joint in joints]
    scene = trimesh.Scene()
    add_parts(scene, "mesh", [(vertices, faces)], SKIN)
    add_parts(scene, "bones", bones, BONE)
    add_parts(scene, "joints", balls, JOINT)
    data: Any = scene.export(file_type="glb", include_normals=True)
    return data


def bone(start: np.ndarray, end: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """An octahedron from joint to joint, each side with corners of its own so that it looks flat.

    Args:
        start, end: (3,), apart from each other.
        width: from its axis to its four middle corners.
    """
    way = (end - start) / np.linalg.norm(end - start)
    aside = np.cross(way, np.eye(3)[np.abs(way).argmin()])
    aside /= np.linalg.norm(aside)
    other = np.cross(way, aside)
    middle = start + WAIST * (end - start)
    ring = [middle + width * d for d in (aside, other, -aside, -other)]
    sides = [
        side
        for a, b in zip(ring, ring[1:] + ring[:1], strict=True)
        for side in ((a, b, end), (b, a, start))
    ]
    return np.array(sides).reshape(-1, 3), np.arange(24).reshape(-1, 3)


def fewer_faces(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most MOST_SHOWN faces of any mesh, open or closed: its vertices are put on a grid."""
    low, longest = vertices.min(0), float(np.ptp(vertices, axis=0).max())
    cells, made, left = 256, vertices, faces
    while len(left) > MOST_SHOWN:
        _, index = np.unique(
            np.floor((vertices - low) * (cells / longest)).astype(np.int64),
            axis=0,
            return_inverse=True,
        )
        index = index.ravel()
        count = np.bincount(index)
        made = np.stack([np.bincount(index, vertices[:, i]) / count for i in range(3)], 1)
        left = index[faces]
        left = left[(left != np.roll(left, 1, axis=1)).all(1)]
        _, once = np.unique(np.sort(left, axis=1), axis=0, return_index=True)
        left, cells = left[np.sort(once)], cells * 3 // 4
    return made, left
