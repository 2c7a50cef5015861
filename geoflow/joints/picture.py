"""A picture of a rigged mesh: skeleton inside the translucent mesh from two sides, and a pose."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from geoflow.files import write_atomically
from geoflow.geometry.frames import to_y_up
from geoflow.joints.rig import RiggedMesh
from geoflow.render.studio import CLAY, Part, Studio
from geoflow.render.tiles import check_png, join_tiles

BONE, JOINT = (0.16, 0.33, 0.62), (0.85, 0.35, 0.13)
FRONT, SIDE = 0.0, 81.5  # degrees of azimuth


def render_rig(
    path: str | Path, rig: RiggedMesh, *, size: int = 480, overwrite: bool = False
) -> Path:
    """Draws three views side by side, `size` pixels each; returns the path.

    Raises:
        ValueError: not a .png, no such folder, or the file exists and `overwrite` is False.
        RuntimeError: this machine cannot draw off screen; the text says what to install.
    """
    import pyvista

    path = Path(path)
    check_png(path, overwrite=overwrite)
    vertices, joints = to_y_up(rig.vertices, rig.up), to_y_up(rig.joints, rig.up)
    used = vertices[np.unique(rig.faces)]
    centre, scale = (used.min(0) + used.max(0)) / 2, 1 / np.ptp(used, axis=0).max()
    vertices, joints = (vertices - centre) * scale, (joints - centre) * scale
    rig = replace(rig, vertices=vertices, joints=joints, up="y")
    posed = pose_mesh(rig, example_pose(rig.names, rig.parents))
    posed -= (posed.min(0) + posed.max(0)) / 2
    posed /= max(1, np.ptp(posed, axis=0).max())
    bones = skeleton_parts(joints, rig.parents, 0.005, 0.012)
    tiles = []
    with Studio(size, soft=False) as studio:
        for azimuth, body, inside, look in (
            (FRONT, vertices, bones, {"opacity": 0.35}),
            (SIDE, vertices, bones, {"opacity": 0.35}),
            (FRONT, posed, [], {}),
        ):
            surface = pyvista.PolyData.from_regular_faces(body.astype(np.float32), rig.faces)
            parts = [(surface, {"color": CLAY, **look}), *inside]
            tiles.append(studio.draw(parts, azimuth=azimuth, elevation=0, half_height=0.62))
    write_atomically(path, join_tiles(tiles, columns=3), sync=False)
    return path


def example_pose(names: list[str], parents: np.ndarray) -> dict[int, np.ndarray]:
    """Joint -> (3, 3): elbows bend by 30 degrees and knees by 40; of creatures, joints by 12."""
    from scipy.spatial.transform import Rotation

    bends = {"left_elbow": ("z", 30), "right_elbow": ("z", -30), "left_knee": ("x", 40)}
    turns = {names.index(n): bend for n, bend in bends.items() if n in names}
    if "left_elbow" not in names:
        turns = {int(k): ("z", 12) for k in np.flatnonzero(parents >= 0)}
    return {k: Rotation.from_euler(*bend, degrees=True).as_matrix() for k, bend in turns.items()}


def pose_mesh(rig: RiggedMesh, turns: dict[int, np.ndarray]) -> np.ndarray:
    """Linear blend skinning: the vertices (V, 3) of a rig at rest, posed.

    `turns` are joint -> (3, 3) rotation about it, in the frame of the rig.
    """

    @cache
    def move(k: int) -> np.ndarray:
        own = np.eye(4)
        own[:3, :3] = turns.get(k, np.eye(3))
        own[:3, 3] = rig.joints[k] - own[:3, :3] @ rig.joints[k]
        return own if rig.parents[k] < 0 else move(int(rig.parents[k])) @ own

    moves = np.stack([move(k) for k in range(len(rig.joints))])
    moved = np.zeros(rig.vertices.shape)
    for which, weight in zip(rig.skin.joints.T, rig.skin.weights.T, strict=True):
        part = np.einsum("vij,vj->vi", moves[which, :3, :3], rig.vertices) + moves[which, :3, 3]
        moved += weight[:, None] * part
    return moved


def skeleton_parts(
    joints: np.ndarray, parents: np.ndarray, bone: float, joint: float
) -> list[Part]:
    """Tubes of radius `bone` from joint to joint, and balls of radius `joint`, for a `Studio`."""
    import pyvista

    child = np.flatnonzero(parents >= 0)
    child = child[np.linalg.norm(joints[child] - joints[parents[child]], axis=1) > 1e-6]
    ball = pyvista.Sphere(radius=joint)
    balls = pyvista.PolyData(joints).glyph(geom=ball, scale=False, orient=False)
    if not len(child):
        return [(balls, {"color": JOINT})]
    ends = np.stack((joints[parents[child]], joints[child]), axis=1).reshape(-1, 3)
    tubes = pyvista.line_segments_from_points(ends).tube(radius=bone)
    return [(tubes, {"color": BONE}), (balls, {"color": JOINT})]
