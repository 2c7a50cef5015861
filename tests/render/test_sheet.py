"""Contact sheets: the right shape in the right tile, seen from the front."""

import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from geoflow.cli import app
from geoflow.geometry import mesh
from geoflow.io import meshes as export
from geoflow.io.ply import ply_header, ply_rows
from geoflow.render import sheet as render
from geoflow.render import studio


def box(low, high):
    low, high = np.array(low, float), np.array(high, float)
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    faces = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
             [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]  # fmt: skip
    return low + corners * (high - low), np.array(faces)


def tall():
    return box((0, 0, 0), (1, 8, 1))


def wide():
    return box((0, 0, 0), (8, 1, 1))


def read_png(path):
    from PIL import Image

    with Image.open(path) as image:
        assert image.format == "PNG" and image.mode == "RGB"
        return np.asarray(image).astype(int)


def covered(tile):
    return np.abs(tile - np.round(255 * np.array(studio.BACKGROUND))).max(axis=2) > 20


needs_opengl = pytest.mark.skipif(
    studio._rendering_error() is not None, reason=str(studio._rendering_error())
)


@needs_opengl
def test_sheet(tmp_path):
    path = export.write_mesh(tmp_path / "a_tall_thing.stl", *tall())
    smooth = mesh.SurfaceMesh(*wide(), mesh.vertex_normals(*wide()), 0, True, 8.0)
    seen = []
    out = render.render_sheet(
        [wide(), path, smooth], tmp_path / "sheet.png", columns=2, size=96,
        progress=lambda *at: seen.append(at),
    )  # fmt: skip
    assert seen == [(1, 3), (2, 3), (3, 3)]
    sheet = read_png(out)
    caption = sheet.shape[0] // 2 - 96
    assert sheet.shape == (2 * (96 + caption), 192, 3) and caption > 0
    tiles = [covered(sheet[:96, :96]), covered(sheet[:96, 96:]),
             covered(sheet[96 + caption : 192 + caption, :96])]  # fmt: skip
    for tile, upright in zip(tiles, [False, True, False], strict=True):
        rows, columns = np.flatnonzero(tile.any(axis=1)), np.flatnonzero(tile.any(axis=0))
        sides = np.ptp(rows), np.ptp(columns)
        assert sides[0] > sides[1] if upright else sides[1] > sides[0]
        assert 78 < max(sides) < 94  # fills its tile, within the margin
        assert abs(rows.mean() - 47.5) < 3 and abs(columns.mean() - 47.5) < 3
    assert covered(sheet[96 : 96 + caption]).any()  # the names
    assert not covered(sheet[96 + caption :, 96:]).any()  # the empty fourth tile
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a_tall_thing.stl", "sheet.png"]


def test_balls_are_closed_and_face_outward():
    points = np.array([[0, 0, 0], [3, 0, 0], [0, 100, 0]], float)
    balls = render._balls(points * 1e3 + 1e6)
    vertices, faces = np.asarray(balls.points, float), balls.regular_faces
    assert vertices.shape == (36, 3) and faces.shape == (60, 3)
    assert mesh.is_watertight(faces) and mesh.signed_volume(vertices, faces) > 0
    centres = vertices.reshape(3, 12, 3).mean(axis=1)
    np.testing.assert_allclose(centres, (points - [1.5, 50, 0]) / 100, atol=1e-6)
    normals = balls.point_data.active_normals
    np.testing.assert_allclose(
        vertices - np.repeat(centres, 12, 0), render.BALL * normals, atol=1e-7
    )
    many = np.random.default_rng(0).normal(size=(render.MOST_BALLS + 5, 3))
    assert render._balls(many).n_points == 12 * render.MOST_BALLS
    one = render._balls(np.ones((1, 3)))
    assert np.isfinite(one.points).all() and np.ptp(one.points) > 0


def test_a_surface_is_of_unit_size_without_vertices_that_no_face_uses():
    vertices, faces = box((1, 2, 3), (2, 4, 4))
    vertices = np.concatenate([[[1e3, 0, 0]], vertices])
    normals = np.zeros((9, 3)) + np.arange(9)[:, None]
    surface = render._surface(vertices, faces + 1, normals)
    np.testing.assert_allclose(surface.points.max(axis=0), [0.25, 0.5, 0.25])
    np.testing.assert_allclose(surface.points.min(axis=0), [-0.25, -0.5, -0.25])
    np.testing.assert_array_equal(surface.point_data.active_normals, normals[1:])
    sharp = render._surface(vertices, faces + 1, None)
    assert sharp.n_points == 24  # every corner once for each of its three sides


def test_a_file_of_single_triangles_is_smooth_where_it_is_not_sharp():
    import pyvista

    ball = pyvista.Sphere(theta_resolution=24, phi_resolution=24)
    soup = np.asarray(ball.points)[ball.regular_faces].reshape(-1, 3)
    surface = render._surface(soup, np.arange(len(soup)).reshape(-1, 3), None)
    assert surface.n_points == ball.n_points
    outward = 2 * np.asarray(surface.points)
    assert (np.sum(outward * surface.point_data.active_normals, axis=1) > 0.99).all()


@needs_opengl
def test_a_studio_draws_all_parts_where_they_are_and_forgets_them():
    import pyvista

    def part(x, y, z, colour):
        cube = pyvista.Cube(center=(x, y, z), x_length=0.5, y_length=0.5, z_length=0.5)
        return cube, {"color": colour, "lighting": False}

    parts = [part(0.5, 0.25, 0, "red"), part(0, 0, 0.75, "blue")]
    with studio.Studio(64, soft=False) as window:
        view = {"elevation": 0, "half_height": 1.0}
        front = window.draw(parts, azimuth=0, **view).astype(int)
        side = window.draw(parts[:1], azimuth=90, **view).astype(int)
    with studio.Studio(64) as window:
        fitted = window.draw(parts[1:]).astype(int)

    def extent(mask):
        rows, columns = np.nonzero(mask)
        return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1

    red, blue = (front[..., 0] - front[..., 2] > 150), (front[..., 2] - front[..., 0] > 150)
    np.testing.assert_allclose(extent(red), [16, 32, 40, 56], atol=1)
    np.testing.assert_allclose(extent(blue), [24, 40, 24, 40], atol=1)
    np.testing.assert_allclose(extent(side[..., 0] - side[..., 2] > 150), [16, 32, 24, 40], atol=1)
    assert not (side[..., 2] - side[..., 0] > 50).any()  # the blue one was of the first picture
    tall = extent(fitted[..., 2] - fitted[..., 0] > 50)
    assert tall[1] - tall[0] > 50  # in perspective, it fills the picture


@needs_opengl
def test_clouds_are_drawn_where_their_points_are(tmp_path):
    rng = np.random.default_rng(0)
    points = (rng.uniform(size=(600, 3)) * [0.1, 1, 0.1]).astype(np.float32)
    data = ply_header(len(points), coloured=False) + ply_rows(points)
    (tmp_path / "tall.ply").write_bytes(data)
    out = render.render_sheet([tmp_path / "tall.ply"], tmp_path / "a.png", labels=False, size=96)
    tile = covered(read_png(out))
    rows, columns = np.flatnonzero(tile.any(axis=1)), np.flatnonzero(tile.any(axis=0))
    assert 78 < np.ptp(rows) < 94 and np.ptp(columns) < 30
    empty = ply_header(0, coloured=False)
    (tmp_path / "empty.ply").write_bytes(empty)
    with pytest.raises(ValueError, match=r"empty\.ply"):
        render.render_sheet([tmp_path / "empty.ply"], tmp_path / "b.png")


@needs_opengl
def test_the_front_is_what_is_drawn(tmp_path):
    """A knob on the front face is seen, the same knob on the back is not."""
    cube = box((-1, -1, -1), (1, 1, 1))
    pictures = []
    for z in (1.0, -1.2):
        knob = box((-0.3, -0.3, z), (0.3, 0.3, z + 0.2))
        both = np.concatenate([cube[0], knob[0]]), np.concatenate([cube[1], knob[1] + 8])
        out = render.render_sheet([both], tmp_path / f"{z}.png", labels=False, size=96)
        pictures.append(read_png(out)[40:58, 30:50])
    assert pictures[0].std() > 3 * pictures[1].std()


def test_machines_without_opengl_get_one_line(tmp_path, monkeypatch):
    studio._rendering_error.cache_clear()
    died = subprocess.CompletedProcess([], -11, "", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: died)
    try:
        with pytest.raises(RuntimeError, match=r"signal 11; .*libegl1") as caught:
            render.render_sheet([tall()], tmp_path / "a.png")
        assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())
    finally:
        studio._rendering_error.cache_clear()


@pytest.mark.parametrize("items, options, text", [
    ([], {}, "at least one mesh"),
    ([tall()], {"columns": 0}, "columns must be at least 1"),
    ([tall()], {"size": 8}, "size must be 32 to 2048"),
    ([tall()], {"labels": ["a", "b"]}, "2 labels, 1 meshes"),
    ([tall()], {"out_png": "a.jpg"}, "must end in .png"),
    ([tall()], {"out_png": "there.png"}, "exists already"),
])  # fmt: skip
def test_arguments_refused_before_drawing(tmp_path, monkeypatch, items, options, text):
    monkeypatch.setattr(render, "Studio", None)
    (tmp_path / "there.png").write_text("mine")
    out = tmp_path / options.pop("out_png", "a.png")
    with pytest.raises(ValueError, match=text):
        render.render_sheet(items, out, **options)


@pytest.mark.parametrize("out, text", [
    ("none/x.png", "must exist"), ("folder.png", "is a folder"), ("there.png", "--overwrite"),
])  # fmt: skip
def test_the_command_finds_a_bad_target_before_it_looks_for_shapes(tmp_path, out, text):
    (tmp_path / "there.png").write_text("mine")
    (tmp_path / "folder.png").mkdir()  # and no shapes, which would be the error otherwise
    result = CliRunner().invoke(app, ["render", str(tmp_path), "-o", str(tmp_path / out)])
    (line,) = result.stderr.splitlines()
    assert result.exit_code == 1 and text in line and "generate some" not in line
    assert (tmp_path / "there.png").read_text() == "mine"


def test_import_is_light():
    script = "import sys, geoflow.render.sheet, geoflow.io.meshes, geoflow.geometry.mesh; " \
        "print({'pyvista', 'open3d', 'trimesh', 'scipy', 'torch'} & set(sys.modules))"  # fmt: skip
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr
