"""Contact sheets of meshes and clouds: `render_sheet(paths, "sheet.png")`."""

from __future__ import annotations

import math
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoflow.checks import at_least
from geoflow.files import write_atomically
from geoflow.geometry.mesh import SurfaceMesh
from geoflow.io import meshes as export
from geoflow.render.studio import BACKGROUND, CLAY, Studio
from geoflow.render.tiles import check_png, join_tiles

# Vertices, faces (None: a cloud) and, where a mesh is known to be smooth, normals.
Array = NDArray[Any]
Arrays = tuple[Array, Array | None, Array | None]
Renderable = str | os.PathLike[str] | SurfaceMesh | tuple[Array, Array] | Array

LIT = {"ambient": 0.3, "diffuse": 0.85, "specular": 0.08, "specular_power": 12}
LOOK: dict[str, Any] = {"color": CLAY, "smooth_shading": True, **LIT}
BALL, MOST_BALLS = 0.01, 8192  # radius of a cloud's point, of its longest side; points drawn
SHARP_ANGLE = 40.0  # degrees between faces above which files' edges stay sharp


def render_sheet(
    items: Sequence[Renderable],
    out_png: str | os.PathLike[str],
    *,
    columns: int | None = None,
    labels: bool | Sequence[str] = True,
    size: int = 256,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> pathlib.Path:
    """Draws every mesh in a tile of one PNG, seen from the front, a little right and above.

    Args:
        items: Mesh files, .ply clouds, `SurfaceMesh`es, (vertices (V, 3), faces (F, 3)) or points
            (N, 3); y up, facing +z. Of a cloud's points at most 8,192 are drawn, as small balls.
        out_png: The picture to write, whole or not at all; returned.
        columns: Tiles a row; None makes the sheet about as wide as high.
        labels: True writes file names or numbers below the shapes; or the texts themselves.
        size: Side of a tile, pixels. Every shape is scaled to fill its tile.
        overwrite: Replace an existing picture.
        progress: Called with (tiles done, all).

    Raises:
        ValueError: Nothing to draw, a file that `read_mesh` refuses, an argument out of its range,
            or the picture exists and `overwrite` is False.
        RuntimeError: This machine cannot draw off screen; the text says what to install.
    """
    out_png = pathlib.Path(out_png)
    check_png(out_png, overwrite=overwrite)
    if len(items) == 0:
        raise ValueError("items must hold at least one mesh; it is empty; name some mesh files")
    columns = columns if columns is not None else math.ceil(math.sqrt(len(items)))
    at_least("columns", columns, 1)
    if not 32 <= size <= 2048:
        raise ValueError(f"size must be 32 to 2048 pixels; it is {size}; 256 is usual")
    names = [_name(*item) for item in enumerate(items)] if labels is True else list(labels or ())
    if names and len(names) != len(items):
        raise ValueError(f"labels must be one per mesh; {len(names)} labels, {len(items)} meshes")
    tiles = []
    with Studio(size) as studio:
        for i, arrays in enumerate(_read_ahead(items)):
            tiles.append(studio.draw([(_surface(*arrays), LOOK)]))
            if progress is not None:
                progress(i + 1, len(items))
    paper = [round(255 * value) for value in BACKGROUND]
    write_atomically(out_png, join_tiles(tiles, columns, names, paper), sync=False)
    return out_png


def _name(number: int, item: Renderable) -> str:
    """The name of a file, the number of another item."""
    return pathlib.Path(item).stem if isinstance(item, str | os.PathLike) else str(number)


def _as_arrays(item: Renderable) -> Arrays:
    if isinstance(item, SurfaceMesh):
        return item.vertices, item.faces, item.normals
    if isinstance(item, np.ndarray):
        return item, None, None
    if isinstance(item, str | os.PathLike):
        return export.read_shape(item)
    vertices, faces = np.asarray(item[0]), np.asarray(item[1])
    export.check_mesh(vertices, faces)
    return vertices, faces, None


def _read_ahead(items: Sequence[Renderable]) -> Iterator[Arrays]:
    """`_as_arrays` of every item; the next file is read while one is drawn."""
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(_as_arrays, items[0])
        for item in items[1:]:
            now, ahead = ahead, pool.submit(_as_arrays, item)
            yield now.result()
        yield ahead.result()


def _surface(vertices: Array, faces: Array | None, normals: Array | None) -> Any:
    """A pyvista.PolyData around the origin, of longest side 1; a cloud's points become balls."""
    import pyvista

    if faces is None:
        return _balls(vertices)
    used, faces = np.unique(faces, return_inverse=True)
    data = pyvista.PolyData.from_regular_faces(_unit(vertices[used]), faces.reshape(-1, 3))
    if normals is not None:
        data.point_data.active_normals = normals[used].astype(np.float32)
        return data
    # Files often repeat a vertex per face (.stl, .glb); normals are smooth only across shared ones.
    # Without normals they are computed, smooth but at sharp edges.
    data, sharp = data.clean(tolerance=1e-6), {"split_vertices": True, "feature_angle": SHARP_ANGLE}
    return data.compute_normals(cell_normals=False, consistent_normals=False, **sharp)


def _balls(points: Array) -> Any:
    """(N, 3) -> an icosahedron at each point, with the normals of a ball."""
    import pyvista

    if len(points) > MOST_BALLS:
        points = np.random.default_rng(0).choice(points, MOST_BALLS, replace=False)
    ball = pyvista.Icosahedron(radius=BALL)
    ball.clear_data()
    ball.point_data.active_normals = ball.points / BALL
    return pyvista.PolyData(_unit(points)).glyph(geom=ball, scale=False, orient=False)


def _unit(points: Array) -> NDArray[np.float32]:
    """(V, 3) -> the same around the origin, their longest side 1."""
    low, high = points.min(axis=0), points.max(axis=0)
    scale = max(float((high - low).max()), 1e-12)
    return ((points - (low + high) / 2) / scale).astype(np.float32)
