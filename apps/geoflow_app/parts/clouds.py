"""Clouds of a session and the surfaces made of them: read, kept, shown. No gradio in here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import geoflow
from geoflow import SurfaceMesh
from geoflow.shapes import Scan
from geoflow_app.parts.files import MAX_MEGABYTES, own_axis, plain_stem
from geoflow_app.parts.scenes import add_parts
from geoflow_app.server.sessions import Item, Job
from geoflow_app.server.studio import SHOWN, Studio

KIND = "surface"  # the category of a surface's item
DOT, DOT_SIZE = (0.03, 0.22, 0.24, 1.0), 0.011  # colour; radius, the longest side is 1.8
ROUND = 200  # up to so many points are drawn larger


@dataclass(frozen=True)
class Cloud:
    """A file's points.

    Attributes:
        path, up: what was asked for.
        scan: what the network reads of them.
        given: points in the file.
        faces: that the points were drawn from; 0 for a cloud.
    """

    path: Path
    up: str
    scan: Scan
    given: int
    faces: int


def read(job: Job, studio: Studio, path: Path, up: str) -> Cloud:
    """A user's file, read in a process of its own; once, while the session asks for no other.

    Raises:
        ValueError: it cannot be read, or is no cloud that the network can use.
    """
    up = own_axis(path, up)
    known = job.session.cloud
    if isinstance(known, Cloud) and (known.path, known.up) == (path, up):
        return known
    points, given, faces = geoflow.io.read_user_cloud(path, megabytes=MAX_MEGABYTES)
    job.check()
    try:
        scan = studio.scan(points, up)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    job.session.cloud = cloud = Cloud(path, up, scan, given, faces)
    return cloud


def remember(job: Job, studio: Studio, path: Path, points: np.ndarray) -> None:
    """Points of ours, y up, just written to that file: `read` need not open it."""
    job.check()
    job.session.cloud = Cloud(path, "y", studio.scan(points, "y"), len(points), 0)


def store_surface(job: Job, cloud: Cloud, mesh: SurfaceMesh, seconds: float) -> Item:
    """Writes a surface's arrays, in the cloud's frame, and the .glb files of it and the points."""
    frame = cloud.scan.frame
    facts: dict[str, Any] = {
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "size": np.ptp(geoflow.geometry.to_y_up(mesh.vertices, frame.up), axis=0).tolist(),
        "closed": mesh.watertight,
        "seconds": round(seconds, 2),
    }
    title, stem = f"surface of {cloud.path.name[:60]}", f"{plain_stem(cloud.path)}_{KIND}"
    arrays = {"vertices": mesh.vertices, "faces": mesh.faces}
    item = job.item(title, stem, facts, arrays, "_shown.glb", category=KIND, frame=frame)
    normals = geoflow.geometry.to_y_up(mesh.normals, frame.up)
    geoflow.write_mesh(item.glb, frame.into_cube(mesh.vertices), mesh.faces, normals, colour=SHOWN)
    item.cloud = write_points(item.glb.with_name(f"{item.stem}_points.glb"), cloud.scan)
    return item


def write_points(path: Path, scan: Scan) -> Path:
    """A .glb of the points in the cube, y up, facing +z: a small icosahedron for each."""
    import trimesh

    points = scan.points.double().numpy()
    size = DOT_SIZE * max(1.0, ROUND / len(points)) ** 0.5
    dot = trimesh.creation.icosphere(0, size)
    corners, faces = np.asarray(dot.vertices), np.asarray(dot.faces)
    scene = trimesh.Scene()
    add_parts(scene, "points", [(corners + point, faces) for point in points], DOT)
    data: Any = scene.export(file_type="glb", include_normals=True)
    geoflow.files.write_atomically(path, data, sync=False)
    return path
