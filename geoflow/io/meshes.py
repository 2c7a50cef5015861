"""Meshes to files that DCC tools, slicers and browsers open, and users' files back.

| suffix | axes and unit | normals | for |
|---|---|---|---|
| .obj | right-handed, y up, facing +z, metres | `vn`, always | Blender, Maya, Houdini |
| .glb | the same | yes, and a matte clay material | browsers, game engines |
| .ply | the same, binary | yes | MeshLab, research code |
| .stl | right-handed, z up, facing -y, millimetres | per face | slicers, CAD |
| .3mf | the same | none in the format | slicers |

Files are written whole or not at all, and the same mesh gives the same bytes.
"""

from __future__ import annotations

import os
import pathlib
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from geoflow.checks import one_of
from geoflow.files import check_target, write_atomically
from geoflow.geometry import mesh
from geoflow.geometry.frames import UPS, from_y_up, to_y_up
from geoflow.geometry.pointcloud import sample_surface
from geoflow.io import text as filetext
from geoflow.io.arrays import Faces, FloatArray, IntArray, Points, check_mesh, check_points

PathLike = str | os.PathLike[str]
Colour = tuple[float, float, float, float]

WRITTEN = (".obj", ".glb", ".stl", ".ply", ".3mf")
READ_MESHES = (*WRITTEN, ".off")
READ_POINTS = (".ply", ".xyz", ".obj", ".glb", ".off")
Z_UP = (".stl", ".3mf")
UP_FIXED = (".glb", *Z_UP)  # whatever reads such a file knows its up axis; others leave it open
CLAY = (0.74, 0.70, 0.65, 1.0)  # base colour, linear RGBA
MAX_BYTES = 256 << 20  # users' files, unpacked


class NoFacesError(ValueError):
    """A file that was read as a mesh is a point cloud."""


def write_mesh(
    path: PathLike,
    vertices: FloatArray,
    faces: IntArray,
    normals: FloatArray | None = None,
    *,
    overwrite: bool = False,
    colour: Colour = CLAY,
    up: str = "y",
) -> pathlib.Path:
    """Writes a mesh as .obj, .glb, .stl, .ply or .3mf, whichever the suffix says.

    Args:
        path: Where to; its folder must exist.
        vertices: (V, 3) metres.
        faces: (F, 3) indices, counter-clockwise seen from outside.
        normals: (V, 3) unit vectors; None computes smooth ones.
        overwrite: Replace an existing file.
        colour: Of the material of a .glb, linear RGBA; the other formats have none.
        up: Axis that points up in the arrays: "y", facing +z, or "z", facing -y. What goes to .glb,
            .stl or .3mf is turned to the format's own axes; .obj and .ply keep the arrays.

    Returns:
        The path written.

    Raises:
        ValueError: The suffix is unknown, the mesh is empty, not finite or indexes missing
            vertices, the folder does not exist, or the file exists and `overwrite` is False.
        OSError: The disk is full or the folder not writable. No part of a file is left behind, and
            a file that was there is as it was.
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITTEN:
        raise ValueError(
            f"path must end in one of {' '.join(WRITTEN)}; it is {path.name!r}; rename it"
        )
    one_of("up", up, UPS)
    check_target(path, overwrite=overwrite)
    check_mesh(vertices, faces)
    if normals is None:
        normals = mesh.vertex_normals(vertices, faces)
    elif normals.shape != vertices.shape or not np.isfinite(normals).all():
        raise ValueError(
            f"normals must be finite, of the vertices' shape {vertices.shape}; they are "
            f"{normals.shape}; pass None to have them computed"
        )
    if suffix in UP_FIXED:
        vertices, normals = (to_y_up(array, up) for array in (vertices, normals))
    if suffix in Z_UP:
        vertices = 1000.0 * from_y_up(vertices, "z")
    if suffix == ".obj":
        data = filetext.obj(vertices, faces, normals)
    elif suffix == ".3mf":
        data = filetext.three_mf(vertices, faces)
    else:
        data = _encode_with_trimesh(suffix, vertices, faces, normals, colour)
    write_atomically(path, data, sync=False)
    return path


def _encode_with_trimesh(
    suffix: str, vertices: FloatArray, faces: IntArray, normals: FloatArray, colour: Colour
) -> bytes:
    """.glb, .ply or .stl bytes."""
    import trimesh
    from trimesh.visual.material import PBRMaterial
    from trimesh.visual.texture import TextureVisuals

    base = np.round(255 * np.array(colour)).astype(np.uint8)
    look = {"metallicFactor": 0.0, "roughnessFactor": 0.8, "doubleSided": False}
    visual = TextureVisuals(material=PBRMaterial(name="clay", baseColorFactor=base, **look))
    known = {"vertex_normals": normals, "visual": visual, "process": False}
    options = {".glb": {"include_normals": True}, ".ply": {"vertex_normal": True}}
    whole: Any = trimesh.Trimesh(vertices, faces, **known)
    data = whole.export(file_type=suffix[1:], **options.get(suffix, {}))
    assert isinstance(data, bytes)
    return data


def read_mesh(path: PathLike) -> tuple[Points, Faces]:
    """A user's mesh file -> vertices (V, 3), faces (F, 3), y up; nothing is welded or repaired.

    The inverse of `write_mesh`: .stl and .3mf are taken to be z up in millimetres and turned to y
    up in metres; the other formats' coordinates are returned as they are. References to other files
    (materials, textures, buffers) are not followed. Raises ValueError where the file is missing,
    too large, of an unknown suffix or damaged, NoFacesError where it has no faces.
    """
    return read_surface(path)[:2]


def read_surface(path: PathLike) -> tuple[Points, Faces, Points | None]:
    """As `read_mesh`, and the vertex normals (V, 3) where they are sure: in our own .obj files."""
    own = _read_own_obj(pathlib.Path(path))
    return own if own is not None else (*join_parts(path), None)


def join_parts(
    path: PathLike, see: Callable[[Any, Faces], None] = lambda part, faces: None
) -> tuple[Points, Faces]:
    """As `read_mesh`, by trimesh whatever the file.

    `see` is called with every part that has faces, in order, and its faces (F, 3), whose indices
    are the part's own and whose order is that of the result.
    """
    path = pathlib.Path(path)
    name, vertices, faces, offset = path.name, [], [], 0
    for part, transform in load_parts(path, READ_MESHES):
        own = np.asarray(getattr(part, "faces", ()))
        if len(own) == 0:
            continue
        corners = np.asarray(part.vertices, dtype=np.float64)
        check_mesh(corners, own, name)
        vertices.append(corners @ transform[:3, :3].T + transform[:3, 3])
        if np.linalg.det(transform[:3, :3]) < 0:  # a mirrored part would come out inside out
            own = own[:, ::-1]
        own = own.astype(np.int64)
        see(part, own)
        faces.append(own + offset)
        offset += len(corners)
    if not faces:
        raise NoFacesError(f"{name}: must hold faces; it has none; point clouds go to read_points")
    whole, all_faces = np.concatenate(vertices), np.concatenate(faces)
    if path.suffix.lower() in Z_UP:
        whole = 1e-3 * to_y_up(whole, "z")
    check_mesh(whole, all_faces, name)
    return whole, all_faces


def _read_own_obj(path: pathlib.Path) -> tuple[Points, Faces, Points] | None:
    """vertices, faces and normals of a file that `write_mesh` wrote as .obj; None for others."""
    if path.suffix.lower() != ".obj" or not path.is_file() or path.stat().st_size > MAX_BYTES:
        return None
    with open(path, "rb") as file:
        head = file.read(len(filetext.OBJ_HEAD))
        own = filetext.parse_obj(head + file.read()) if head == filetext.OBJ_HEAD else None
    if own is not None:
        check_mesh(own[0], own[1], path.name)
    return own


def read_points(path: PathLike) -> tuple[Points, Points | None]:
    """A user's point cloud -> points (N, 3), unit normals (N, 3) or None if the file has none.

    Points that lack a usable normal make the whole file's normals None. A mesh file gives its
    vertices; sample its surface instead with `read_mesh` and `pointcloud.sample_surface`. Raises
    ValueError where the file is missing, too large, of an unknown suffix, damaged or empty.
    """
    name = pathlib.Path(path).name
    points, normals = [], []
    for part, transform in load_parts(path, READ_POINTS):
        part_points = np.asarray(part.vertices, dtype=np.float64).reshape(-1, 3)
        points.append(part_points @ transform[:3, :3].T + transform[:3, 3])
        part_normals = _stored_normals(part)
        if part_normals is None or part_normals.shape != part_points.shape:
            part_normals = np.full_like(part_points, np.nan)
        # Normals turn by the inverse transpose, so that they stay perpendicular.
        normals.append(part_normals @ np.linalg.pinv(transform[:3, :3]))
    whole = np.concatenate(points) if points else np.zeros((0, 3))
    check_points(whole, name)
    directions = np.concatenate(normals)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 1e-12)).all():
        return whole, None
    return whole, directions / lengths


def read_cloud(path: PathLike, count: int) -> tuple[Points, int]:
    """A user's point cloud, or points of a mesh file's surface.

    Args:
        path: as for `read_points` or `read_mesh`.
        count: points to draw from a mesh, evenly over its area.

    Returns:
        points (N, 3), y up in metres where the file is .stl or .3mf, and how many faces they were
        drawn from: 0 for a cloud.

    Raises:
        ValueError: The file is missing, too large, of an unknown suffix, damaged or empty, a
            coordinate is not finite, or a mesh has no area.
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    known = sorted({*READ_POINTS, *READ_MESHES})
    if suffix not in known:
        raise ValueError(
            f"{path.name}: a cloud must end in one of {' '.join(known)}; convert it to .ply"
        )
    points, _, found = sample_file(path, count)
    return points, len(found[1]) if found else 0


def sample_file(
    path: PathLike, count: int, seed: int | np.random.Generator = 0
) -> tuple[Points, Points | None, tuple[Points, Faces] | None]:
    """As `read_cloud`, but points, their normals if known, and the mesh they are drawn from."""
    vertices, faces, normals = read_shape(path)
    if faces is None:
        return vertices, normals, None
    try:
        return *sample_surface(vertices, faces, count, seed), (vertices, faces)
    except ValueError as error:
        raise ValueError(f"{pathlib.Path(path).name}: {error}") from None


def read_shape(path: PathLike) -> tuple[Points, Faces | None, Points | None]:
    """As `read_surface`; where there are no faces, as `read_points`: points, None, normals."""
    suffix = pathlib.Path(path).suffix.lower()
    if suffix in READ_MESHES or suffix not in READ_POINTS:
        try:
            return read_surface(path)
        except NoFacesError:
            if suffix not in READ_POINTS:
                raise
    points, normals = read_points(path)
    return points, None, normals


def _stored_normals(part: Any) -> FloatArray | None:
    """(N, 3) normals the file brought along; None if it brought none."""
    ply = part.metadata.get("_ply_raw", {}).get("vertex", {}).get("data")
    if ply is not None:
        try:
            return np.stack([np.asarray(ply[k], np.float64).ravel() for k in ("nx", "ny", "nz")], 1)
        except (KeyError, ValueError, IndexError):
            return None
    cache = getattr(part, "_cache", {})
    return np.asarray(cache["vertex_normals"], float) if "vertex_normals" in cache else None


def load_parts(path: PathLike, suffixes: tuple[str, ...]) -> list[tuple[Any, Points]]:
    """The file's geometries and their 4 x 4 transforms, unchecked but for size and suffix."""
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        raise ValueError(
            f"{path.name}: must end in one of {' '.join(suffixes)}; convert it to .glb or .ply"
        )
    if not path.is_file():
        raise ValueError(f"{str(path)!r} must be an existing file; it is not; check the path")
    size = path.stat().st_size
    try:
        if suffix == ".3mf":
            with zipfile.ZipFile(path) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
        if size <= MAX_BYTES:
            return _load_with_trimesh(path, suffix[1:])
    except Exception as error:  # trimesh raises whatever its parsers run into
        reason = (str(error).splitlines() or [""])[0][:120]
        raise ValueError(
            f"{path.name}: cannot be read as {suffix} ({type(error).__name__}: {reason}); "
            "export it again"
        ) from error
    raise ValueError(
        f"{path.name}: must be at most {MAX_BYTES >> 20} MB; it is {size >> 20} MB; simplify it"
    )


def _load_with_trimesh(path: pathlib.Path, kind: str) -> list[tuple[Any, Points]]:
    """Given an open file, trimesh has no folder to resolve a file's references in."""
    import trimesh

    options: dict[str, Any] = {"skip_materials": True} if kind == "obj" else {}
    with warnings.catch_warnings(action="ignore"), open(path, "rb") as file:
        scene = trimesh.load_scene(file, file_type=kind, process=False, **options)
        nodes = [scene.graph[node] for node in scene.graph.nodes_geometry]
        return [(scene.geometry[name], np.asarray(place, np.float64)) for place, name in nodes]
