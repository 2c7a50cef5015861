"""Users' files, and shapes to files in every format and to zips with a manifest."""

from __future__ import annotations

import json
import os
import re
import zipfile
from pathlib import Path
from typing import Any

from geoflow import SurfaceMesh, __version__, write_mesh
from geoflow.checks import one_of
from geoflow.geometry import simplify
from geoflow.io import Z_UP, check_digits
from geoflow_app.server.sessions import Item, Job

FORMATS = ("glb", "obj", "stl", "ply", "3mf")
MIN_FACES = 50
MESHES = [".obj", ".glb", ".stl", ".ply", ".3mf", ".off"]
"""Endings of the mesh files that are read."""
MAX_MEGABYTES = 50  # of a user's file


def plain_stem(path: Path) -> str:
    """The name of a user's file without its ending, in letters, digits and dashes."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", path.stem).strip("-")[:40] or "mesh"


def own_axis(path: Path, up: str) -> str:
    """The up axis of what is read from a user's file: those that are z up are turned by it."""
    return "y" if path.suffix.lower() in Z_UP else up


def export_one(job: Job, item: Item, kind: str, faces: int | None) -> Path:
    """One shape as one file in the session's folder.

    Args:
        kind: one of FORMATS.
        faces: at most so many; None keeps all.

    Raises:
        ValueError: an unknown format, one whose numbers are too coarse, or a number of faces that
            cannot be reached.
    """
    mesh = _reduced(job, item, kind, faces)
    path = job.session.folder / f"{item.stem}{_mark(mesh, faces)}.{kind}"
    up = "y"
    if item.frame is not None:
        check_digits(path.suffix, item.frame)
        up = item.frame.up
    write_mesh(path, mesh.vertices, mesh.faces, mesh.normals, up=up, overwrite=True)
    return path


def export_all(job: Job, items: list[Item], kind: str, faces: int | None, head: dict) -> Path:
    """Many shapes and manifest.json in one zip.

    Args:
        head: what the manifest begins with: checkpoint, device.

    Raises:
        ValueError: there are none, or as `export_one`.
    """
    if not items:
        raise ValueError("a zip needs at least one shape; the gallery is empty; generate some")
    folder, shapes = job.session.folder, []
    path = folder / f"geoflow_{len(items)}_{'shapes' if items[1:] else 'shape'}_{kind}.zip"
    temporary = folder / f".{path.name}.{job.session.number()}.tmp"
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive:
            for item in items:
                mesh = _reduced(job, item, kind, faces)
                single = folder / f".{item.stem}.{job.session.number()}.{kind}"
                try:
                    write_mesh(single, mesh.vertices, mesh.faces, mesh.normals)
                    archive.write(single, f"{item.stem}.{kind}")
                finally:
                    single.unlink(missing_ok=True)
                shapes.append(_entry(item, mesh, f"{item.stem}.{kind}"))
            manifest = {"geoflow": __version__, **head, "format": kind, "target_faces": faces}
            text = json.dumps(manifest | {"shapes": shapes}, indent=1)
            archive.writestr("manifest.json", text + "\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _reduced(job: Job, item: Item, kind: str, faces: int | None) -> SurfaceMesh:
    job.check()
    one_of("format", kind, FORMATS)
    mesh = item.mesh()
    if faces is None or len(mesh.faces) <= faces:
        return mesh
    if not mesh.watertight:
        raise ValueError(
            f"reducing faces needs a closed mesh; {item.title} has holes or doubled edges; "
            "set faces to 0 to keep them all"
        )
    return simplify(mesh, faces)


def _mark(mesh: SurfaceMesh, faces: int | None) -> str:
    return "" if faces is None else f"_{len(mesh.faces)}faces"


def _entry(item: Item, mesh: SurfaceMesh, name: str) -> dict[str, Any]:
    """What makes the shape again: noise is a list of (weight, seed, index), see geoflow.Noise."""
    made: dict[str, Any] = {}
    if item.settings is not None and item.noise is not None:
        made = {"category": item.category, "noise": [list(t) for t in item.noise.terms]}
        made |= vars(item.settings)
    return {
        "file": name,
        "title": item.title,
        **made,
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "watertight": mesh.watertight,
        "volume": round(mesh.volume, 9),
    }
