"""Contact sheets of meshes and clouds: `render_sheet(paths, "sheet.png")`.

Off screen through VTK (pyvista), which ends the whole process with a segmentation fault where it
finds no OpenGL. So the first call tries a small picture in another process.
"""

from __future__ import annotations

import functools
import io
import itertools
import math
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoflow.files import check_target, write_atomically
from geoflow.geometry import mesh
from geoflow.io import meshes as export

Image = NDArray[np.uint8]
Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]
Renderable = (
    str | os.PathLike[str] | mesh.SurfaceMesh | tuple[NDArray[Any], NDArray[Any]] | NDArray[Any]
)

BACKGROUND = (0.925, 0.925, 0.92)
CLAY = (0.86, 0.83, 0.79)
AZIMUTH, ELEVATION, VIEW_ANGLE = 32.0, 22.0, 24.0  # degrees; azimuth 0 looks at the front (+z)
SUPERSAMPLING = 2
# Direction towards the light in the camera's frame (right, up, back), and its strength.
LIGHTS = (((-0.6, 0.65, 0.9), 0.86), ((0.9, 0.2, 0.6), 0.24), ((0.0, 1.0, -0.4), 0.2))
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
        out_png: The picture to write; whole or not at all.
        columns: Tiles a row; None makes the sheet about as wide as high.
        labels: True writes file names or numbers below the shapes; or the texts themselves.
        size: Side of a tile, pixels. Every shape is scaled to fill its tile.
        overwrite: Replace an existing picture.
        progress: Called with (tiles done, all).

    Returns:
        The path written.

    Raises:
        ValueError: Nothing to draw, a file that `export.read_mesh` refuses, an argument out of its
            range, or the picture exists and `overwrite` is False.
        RuntimeError: This machine cannot draw off screen; the text says what to install.
    """
    out_png = pathlib.Path(out_png)
    names = _names(items, labels)
    columns = columns if columns is not None else math.ceil(math.sqrt(len(items)))
    _check_arguments(out_png, columns, size, overwrite)
    require_rendering()
    tiles = []
    with _Studio(size) as studio:
        for i, arrays in enumerate(_read_ahead(items)):
            tiles.append(studio.draw(*arrays))
            if progress is not None:
                progress(i + 1, len(items))
    write_atomically(out_png, _compose(tiles, names, columns), sync=False)
    return out_png


@functools.cache
def _rendering_error() -> str | None:
    """None if a small picture can be drawn in another process, else the reason. Tried once."""
    script = (
        "import pyvista as p; q = p.Plotter(off_screen=True, window_size=(32, 32)); "
        "q.add_mesh(p.Sphere(), color='red'); "
        "raise SystemExit(0 if q.screenshot(return_img=True).std() > 1 else 'the picture is blank')"
    )
    try:
        result = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
        )
    except subprocess.TimeoutExpired:
        return "a test picture took more than 120 s"
    if result.returncode == 0:
        return None
    if result.returncode < 0:
        return f"a test picture ended with signal {-result.returncode}"
    return (result.stderr.strip().splitlines() or ["no message"])[-1][:160]


def require_rendering() -> None:
    """Returns where off-screen rendering works.

    Raises:
        RuntimeError: It does not; one line says why and what to install.
    """
    reason = _rendering_error()
    if reason is not None:
        raise RuntimeError(
            f"rendering needs pyvista and EGL or OSMesa; {reason}; "
            "pip install pyvista, and apt install libegl1 libgl1-mesa-dri (or libosmesa6)"
        )


def _check_arguments(out_png: pathlib.Path, columns: int, size: int, overwrite: bool) -> None:
    if out_png.suffix.lower() != ".png":
        raise ValueError(f"out_png must end in .png; it is {out_png.name!r}; rename it")
    check_target(out_png, overwrite=overwrite)
    if columns < 1:
        raise ValueError(f"columns must be at least 1; it is {columns}; None chooses")
    if not 32 <= size <= 2048:
        raise ValueError(f"size must be 32 to 2048 pixels; it is {size}; 256 is usual")


def _names(items: Sequence[Renderable], labels: bool | Sequence[str]) -> list[str] | None:
    if len(items) == 0:
        raise ValueError("items must hold at least one mesh; it is empty; name some mesh files")
    if labels is False:
        return None
    if labels is True:
        return [
            pathlib.Path(item).stem if isinstance(item, str | os.PathLike) else str(i)
            for i, item in enumerate(items)
        ]
    if len(labels) != len(items):
        raise ValueError(f"labels must be one per mesh; {len(labels)} labels, {len(items)} meshes")
    return list(labels)


def _as_arrays(item: Renderable) -> Arrays:
    """vertices, faces and, where the mesh is known to be smooth, normals."""
    if isinstance(item, mesh.SurfaceMesh):
        return item.vertices, item.faces, item.normals
    if isinstance(item, np.ndarray):
        return _balls(item)
    if isinstance(item, str | os.PathLike):
        try:
            return export.read_surface(item)
        except export.NoFacesError:
            if pathlib.Path(item).suffix.lower() not in export.READ_POINTS:
                raise
            return _balls(export.read_points(item)[0])
    vertices, faces = np.asarray(item[0]), np.asarray(item[1])
    export.check_mesh(vertices, faces)
    return vertices, faces, None


def _balls(points: NDArray[np.float64]) -> Arrays:
    """(N, 3) -> an icosahedron at each point, with the normals of a ball."""
    if len(points) > MOST_BALLS:
        keep = np.random.default_rng(0).choice(len(points), MOST_BALLS, replace=False)
        points = points[keep]
    golden = (1 + math.sqrt(5)) / 2
    signs = np.array([[a, b * golden] for a in (-1, 1) for b in (-1, 1)])
    flat = np.insert(signs, 0, 0.0, axis=1)  # (0, +-1, +-golden) and its cyclic permutations
    corners = np.concatenate([np.roll(flat, turn, axis=1) for turn in range(3)])
    corners /= np.linalg.norm(corners[0])
    # Three corners are a face where all are neighbours; neighbours' cosine is 1 / sqrt(5).
    near = np.isclose(corners @ corners.T, 1 / math.sqrt(5))
    faces = np.array(
        [f for f in itertools.combinations(range(12), 3) if near[np.ix_(f, f)].sum() == 6]
    )
    inward = np.linalg.det(corners[faces]) < 0
    faces[inward] = faces[inward, ::-1]
    radius = BALL * max(float(np.ptp(points, axis=0).max()), 1e-12)
    vertices = (points[:, None] + radius * corners).reshape(-1, 3)
    shifts = 12 * np.arange(len(points))[:, None, None]
    return vertices, (shifts + faces).reshape(-1, 3), np.tile(corners, (len(points), 1))


def _read_ahead(items: Sequence[Renderable]) -> Iterator[Arrays]:
    """`_as_arrays` of every item; the next file is read while one is drawn."""
    with ThreadPoolExecutor(1) as pool:
        reading = [pool.submit(_as_arrays, item) for item in items[:1]]
        for item in items[1:]:
            reading.append(pool.submit(_as_arrays, item))
            yield reading.pop(0).result()
        yield reading.pop().result()


def camera_axes() -> NDArray[np.float64]:
    """(3, 3) unit rows: right, up and back (towards the camera) of the view, in world axes."""
    azimuth, elevation = math.radians(AZIMUTH), math.radians(ELEVATION)
    back = np.array(
        [
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
            math.cos(azimuth) * math.cos(elevation),
        ]
    )
    right = np.array([math.cos(azimuth), 0.0, -math.sin(azimuth)])
    return np.stack([right, np.cross(back, right), back])


def fit_view(points: NDArray[np.floating[Any]], margin: float = 1.12) -> NDArray[np.float64]:
    """(V, 3) in camera axes -> the camera's position there, so that the points fill the view."""
    slope = math.tan(math.radians(VIEW_ANGLE / 2)) / margin
    rows = np.ascontiguousarray(points.T)  # reductions along rows are ten times as fast
    across, back = rows[:2], rows[2]
    # An edge of the view is a line back * slope +- across = constant; the points touch it here.
    high, low = (back * slope + across).max(axis=1), (back * slope - across).max(axis=1)
    distance = float((high + low).max()) / (2 * slope)
    centre = (high - low) / 2
    for _ in range(12):  # the shorter direction has room: centre what is seen in it
        seen = (across - centre[:, None]) / (distance - back)
        centre = centre + distance * (seen.max(axis=1) + seen.min(axis=1)) / 2
    return np.array([*centre, distance])


class _Studio:
    """One VTK window in which shape after shape is drawn; opening one takes longer than drawing."""

    def __init__(self, size: int) -> None:
        import pyvista
        from vtkmodules.vtkCommonCore import vtkLogger

        # Without a display VTK warns on stderr before it takes EGL, which then works.
        vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_ERROR)
        self.size = size
        side = size * SUPERSAMPLING
        # Any: pyvista's decorated methods confuse type checkers.
        self.plotter: Any = pyvista.Plotter(
            off_screen=True, window_size=[side, side], lighting="none"
        )
        self.plotter.disable_anti_aliasing()  # SUPERSAMPLING does it; both cost a fifth more
        self.plotter.set_background(BACKGROUND)
        axes = camera_axes()
        for direction, strength in LIGHTS:
            light = pyvista.Light(position=tuple(np.array(direction) @ axes), intensity=strength)
            light.positional = False
            self.plotter.add_light(light)
        self.plotter.enable_ssao(radius=0.12, bias=0.005, kernel_size=16, blur=True)

    def __enter__(self) -> _Studio:
        return self

    def __exit__(self, *_: object) -> None:
        self.plotter.close()

    def draw(
        self, vertices: NDArray[Any], faces: NDArray[Any], normals: NDArray[Any] | None
    ) -> Image:
        """(V, 3), (F, 3), (V, 3) or None -> (size, size, 3) uint8."""
        from PIL import Image as PillowImage

        used = np.zeros(len(vertices), bool)
        used[faces.ravel()] = True
        low, high = vertices[used].min(axis=0), vertices[used].max(axis=0)
        scale = max(float((high - low).max()), 1e-12)
        vertices = (vertices - (low + high) / 2) / scale
        actor = self.plotter.add_mesh(
            _polydata(vertices, faces, normals),
            color=CLAY,
            smooth_shading=True,
            ambient=0.3,
            diffuse=0.85,
            specular=0.08,
            specular_power=12,
            reset_camera=False,
            render=False,
        )
        axes = camera_axes()
        position = fit_view(vertices[used] @ axes.T)
        camera = self.plotter.camera
        camera.view_angle = VIEW_ANGLE
        camera.position = tuple(position @ axes)
        camera.focal_point = tuple((position - [0.0, 0.0, position[2]]) @ axes)
        camera.up = tuple(axes[1])
        self.plotter.renderer.reset_camera_clipping_range()
        self.plotter.render()  # a second screenshot alone would repeat the first picture
        picture = self.plotter.screenshot(return_img=True)
        self.plotter.remove_actor(actor, render=False)
        small = PillowImage.fromarray(picture[..., :3]).resize(
            (self.size, self.size), PillowImage.Resampling.BOX
        )
        return np.asarray(small)


def _polydata(vertices: NDArray[Any], faces: NDArray[Any], normals: NDArray[Any] | None) -> Any:
    """A pyvista.PolyData; without normals, smooth ones that stay sharp at edges."""
    import pyvista

    data = pyvista.PolyData.from_regular_faces(vertices.astype(np.float32), faces)
    if normals is not None:
        data.point_data["Normals"] = normals.astype(np.float32)
        data.point_data.active_normals_name = "Normals"
        return data
    # Files often repeat a vertex per face (.stl, .glb); normals are smooth only across shared ones.
    data = data.clean(tolerance=1e-6)
    return data.compute_normals(
        cell_normals=False,
        split_vertices=True,
        feature_angle=SHARP_ANGLE,
        consistent_normals=False,
    )


def _compose(tiles: list[Image], names: list[str] | None, columns: int) -> bytes:
    """(size, size, 3) tiles -> the sheet's PNG bytes, names centred below."""
    from PIL import Image as PillowImage
    from PIL import ImageDraw, ImageFont

    size = len(tiles[0])
    font_size = max(10, size // 22)
    caption = 2 * font_size if names else 0
    columns = min(columns, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    paper = tuple(round(255 * value) for value in BACKGROUND)
    sheet = PillowImage.new("RGB", (columns * size, rows * (size + caption)), paper)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(font_size)
    for i, tile in enumerate(tiles):
        left, top = i % columns * size, i // columns * (size + caption)
        sheet.paste(PillowImage.fromarray(tile), (left, top))
        if names:
            at = (left + size / 2, top + size + font_size / 2)
            text = _shorten(names[i], lambda text: font.getlength(text) <= size - font_size)
            pen.text(at, text, fill=(96, 96, 94), font=font, anchor="mm")
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    return buffer.getvalue()


def _shorten(text: str, fits: Callable[[str], bool]) -> str:
    """The text, or as much of its start as fits with an ellipsis."""
    if fits(text):
        return text
    while text and not fits(text + "…"):
        text = text[:-1]
    return text + "…"
