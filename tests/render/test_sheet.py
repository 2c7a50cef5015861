"""Contact sheets: the right shape in the right tile, seen from the front."""

import subprocess
import sys

import numpy as np
import pytest

from geoflow.geometry import mesh
from geoflow.io import meshes as export
from geoflow.io.ply import ply_header, ply_rows
from geoflow.render import sheet as render


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
    return np.abs(tile - np.round(255 * np.array(render.BACKGROUND))).max(axis=2) > 20


needs_opengl = pytest.mark.skipif(
    render._rendering_error() is not None, reason=str(render._rendering_error())
)


def test_camera_looks_at_the_front_from_a_little_right_and_above():
    axes = render.camera_axes()
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)
    right, up, back = axes
    assert back[2] > 0.7 and 0 < back[0] < back[2] and 0 < back[1] < back[2]
    assert right[0] > 0 and up[1] > 0.8 and right[1] == 0


@pytest.mark.parametrize("seed", range(3))
def test_points_fill_the_view(seed):
    points = np.random.default_rng(seed).normal(size=(50, 3)) * [1, 3, 0.5] + [9, -4, 2]
    position = render.fit_view(points, margin=1.1)
    seen = points - position
    assert (seen[:, 2] < 0).all()
    plane = seen[:, :2] / -seen[:, 2:] / np.tan(np.radians(render.VIEW_ANGLE / 2))
    extent = plane.max(axis=0), plane.min(axis=0)
    np.testing.assert_allclose(np.abs(extent).max(), 1 / 1.1)
    np.testing.assert_allclose(extent[0], -extent[1], atol=1e-9)  # centred both ways


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
    vertices, faces, normals = render._balls(points)
    assert vertices.shape == normals.shape == (36, 3) and faces.shape == (60, 3)
    assert mesh.is_watertight(faces) and mesh.signed_volume(vertices, faces) > 0
    centres = vertices.reshape(3, 12, 3).mean(axis=1)
    np.testing.assert_allclose(centres, points, atol=1e-9)
    radius = 100 * render.BALL
    np.testing.assert_allclose(vertices - np.repeat(points, 12, 0), radius * normals, atol=1e-9)
    outward = mesh.vertex_normals(vertices, faces)
    assert (np.einsum("ij,ij->i", outward, normals) > 0.99).all()
    many = np.random.default_rng(0).normal(size=(render.MOST_BALLS + 5, 3))
    assert len(render._balls(many)[0]) == 12 * render.MOST_BALLS
    one = render._balls(np.ones((1, 3)))
    assert np.isfinite(one[0]).all() and np.ptp(one[0]) > 0


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
    render._rendering_error.cache_clear()
    died = subprocess.CompletedProcess([], -11, "", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: died)
    try:
        with pytest.raises(RuntimeError, match=r"signal 11; .*libegl1") as caught:
            render.render_sheet([tall()], tmp_path / "a.png")
        assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())
    finally:
        render._rendering_error.cache_clear()


@pytest.mark.parametrize("items, options, text", [
    ([], {}, "at least one mesh"),
    ([tall()], {"columns": 0}, "columns must be at least 1"),
    ([tall()], {"size": 8}, "size must be 32 to 2048"),
    ([tall()], {"labels": ["a", "b"]}, "2 labels, 1 meshes"),
    ([tall()], {"out_png": "a.jpg"}, "must end in .png"),
    ([tall()], {"out_png": "there.png"}, "exists already"),
])  # fmt: skip
def test_arguments_refused_before_drawing(tmp_path, monkeypatch, items, options, text):
    monkeypatch.setattr(render, "_Studio", None)
    (tmp_path / "there.png").write_text("mine")
    out = tmp_path / options.pop("out_png", "a.png")
    with pytest.raises(ValueError, match=text):
        render.render_sheet(items, out, **options)


def test_long_names_are_shortened():
    assert render._shorten("chair_00017", lambda text: len(text) <= 6) == "chair…"
    assert render._shorten("chair", lambda text: len(text) <= 6) == "chair"


def test_import_is_light():
    script = "import sys, geoflow.render.sheet, geoflow.io.meshes, geoflow.geometry.mesh; " \
        "print({'pyvista', 'open3d', 'trimesh', 'scipy', 'torch'} & set(sys.modules))"  # fmt: skip
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr


def test_an_array_is_a_cloud():
    points = np.random.default_rng(0).uniform(size=(50, 3))
    vertices, faces, normals = render._as_arrays(points)
    assert vertices.shape == normals.shape == (600, 3) and faces.shape == (1000, 3)
