"""A picture of a rigged mesh: skeleton inside the translucent mesh from two sides, and a pose."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from geoflow.files import check_target, write_atomically
from geoflow.joints.rig import RiggedMesh, upright
from geoflow.joints.skin import pose_mesh
from geoflow.render.sheet import BACKGROUND, CLAY, require_rendering

BONE, JOINT = (0.16, 0.33, 0.62), (0.85, 0.35, 0.13)
FRONT, SIDE = (0.0, 0.0, 1.0), (1.0, 0.0, 0.15)


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
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"path must end in .png; it is {path.name!r}; rename it")
    check_target(path, overwrite=overwrite)
    require_rendering()
    vertices, joints = upright(rig.vertices, rig.up), upright(rig.joints, rig.up)
    used = vertices[np.unique(rig.faces)]
    centre = (used.min(0) + used.max(0)) / 2
    scale = 1 / np.ptp(used, axis=0).max()
    vertices, joints = (vertices - centre) * scale, (joints - centre) * scale
    turns = example_pose(rig.names, rig.parents)
    posed, bent = pose_mesh(vertices, joints, rig.parents, rig.skin, turns)
    views = [
        (vertices, joints, FRONT, 0.35),
        (vertices, joints, SIDE, 0.35),
        (posed, bent, FRONT, 1.0),
    ]
    tiles = [_view(v, rig.faces, j, rig.parents, way, size, solid) for v, j, way, solid in views]
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(tiles, 1)).save(buffer, "PNG")
    write_atomically(path, buffer.getvalue(), sync=False)
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


def add_skeleton(
    plotter: Any, joints: np.ndarray, parents: np.ndarray, bone: float, joint: float
) -> None:
    """Tubes of radius `bone` from joint to joint, and balls of radius `joint`."""
    import pyvista

    for k, p in enumerate(parents):
        if p >= 0 and np.linalg.norm(joints[k] - joints[p]) > 1e-6:
            tube = pyvista.Line(joints[p], joints[k]).tube(radius=bone)
            plotter.add_mesh(tube, color=BONE)
    for place in joints:
        plotter.add_mesh(pyvista.Sphere(radius=joint, center=place), color=JOINT)


def _view(
    vertices: np.ndarray,
    faces: np.ndarray,
    joints: np.ndarray,
    parents: np.ndarray,
    way: tuple[float, float, float],
    size: int,
    opacity: float,
) -> np.ndarray:
    """(size, size, 3) uint8 of one view along -way."""
    import pyvista
    from vtkmodules.vtkCommonCore import vtkLogger

    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_ERROR)
    plotter: Any = pyvista.Plotter(off_screen=True, window_size=[size, size])
    try:
        plotter.set_background(BACKGROUND)
        packed = np.column_stack((np.full(len(faces), 3), faces)).ravel()
        mesh = pyvista.PolyData(vertices.astype(np.float32), packed)
        plotter.add_mesh(mesh, color=CLAY, opacity=opacity)
        if opacity < 1:
            add_skeleton(plotter, joints, parents, 0.005, 0.012)
        plotter.camera.parallel_projection = True
        plotter.camera.focal_point = (0, 0, 0)
        plotter.camera.position = tuple(4 * np.array(way))
        plotter.camera.up = (0, 1, 0)
        plotter.camera.parallel_scale = 0.62
        plotter.reset_camera_clipping_range()
        return np.asarray(plotter.screenshot(return_img=True))[..., :3]
    finally:
        plotter.close()
