"""A picture of a rigged mesh: skeleton inside the translucent mesh from two sides, and a pose."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geoflow.files import write_atomically
from geoflow.geometry.frames import to_y_up
from geoflow.joints.rig import RiggedMesh
from geoflow.joints.skin import pose_mesh
from geoflow.render.studio import CLAY, Part, Studio
from geoflow.render.tiles import check_png, join_tiles

BONE, JOINT = (0.16, 0.33, 0.62), (0.85, 0.35, 0.13)
FRONT, SIDE = 0.0, 81.5  # degrees of azimuth


def render_rig(
    path: str | Path, rig: RiggedMesh, *, size: int = 480, overwrite: bool = False
) -> Path:
    """Draws three views side by side.

    Args:
        path: a .png; its folder must exist.
        rig: what to draw.
        size: pixels of a view.
        overwrite: replace an existing file.

    Returns:
        the path written.

    Raises:
        ValueError: not a .png, no such folder, or the file exists and `overwrite` is False.
        RuntimeError: this machine cannot draw off screen; the text says what to install.
    """
    import pyvista

    path = Path(path)
    check_png(path, overwrite=overwrite)
    vertices, joints = to_y_up(rig.vertices, rig.up), to_y_up(rig.joints, rig.up)
    used = vertices[np.unique(rig.faces)]
    centre = (used.min(0) + used.max(0)) / 2
    scale = 1 / np.ptp(used, axis=0).max()
    vertices, joints = (vertices - centre) * scale, (joints - centre) * scale
    turns = example_pose(rig.names, rig.parents)
    posed, _ = pose_mesh(vertices, joints, rig.parents, rig.skin, turns)
    bones = skeleton_parts(joints, rig.parents, 0.005, 0.012)
    clear, tiles = {"color": CLAY, "opacity": 0.35}, []
    with Studio(size, soft=False) as studio:
        for azimuth, body, inside, look in (
            (FRONT, vertices, bones, clear),
            (SIDE, vertices, bones, clear),
            (FRONT, posed, [], {"color": CLAY}),
        ):
            surface = pyvista.PolyData.from_regular_faces(body.astype(np.float32), rig.faces)
            parts = [(surface, look), *inside]
            tiles.append(studio.draw(parts, azimuth=azimuth, elevation=0, half_height=0.62))
    write_atomically(path, join_tiles(tiles, columns=3), sync=False)
    return path


def example_pose(names: list[str], parents: np.ndarray) -> dict[int, np.ndarray]:
    """Joint -> (3, 3): elbows bend by 30 degrees and knees by 40; of creatures, joints by 12."""
    bends = {"left_elbow": (2, 30), "right_elbow": (2, -30), "left_knee": (0, 40)}
    if "left_elbow" in names:
        return {names.index(n): _turn(*bend) for n, bend in bends.items() if n in names}
    return {int(k): _turn(2, 12) for k in np.flatnonzero(parents >= 0)}


def _turn(axis: int, degrees: float) -> np.ndarray:
    """(3, 3) rotation about a coordinate axis."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out, angle = np.eye(3), np.radians(degrees)
    out[i, i] = out[j, j] = np.cos(angle)
    out[i, j], out[j, i] = -np.sin(angle), np.sin(angle)
    return out


def skeleton_parts(
    joints: np.ndarray, parents: np.ndarray, bone: float, joint: float
) -> list[Part]:
    """Tubes of radius `bone` from joint to joint, and balls of radius `joint`, for a `Studio`."""
    import pyvista

    child = np.flatnonzero(parents >= 0)
    child = child[np.linalg.norm(joints[child] - joints[parents[child]], axis=1) > 1e-6]
    balls = pyvista.PolyData(joints).glyph(
        geom=pyvista.Sphere(radius=joint), scale=False, orient=False
    )
    if not len(child):
        return [(balls, {"color": JOINT})]
    ends = np.stack((joints[parents[child]], joints[child]), axis=1).reshape(-1, 3)
    tubes = pyvista.line_segments_from_points(ends).tube(radius=bone)
    return [(tubes, {"color": BONE}), (balls, {"color": JOINT})]
