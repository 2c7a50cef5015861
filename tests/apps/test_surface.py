"""The Surface from points tab through gradio_client, and what it shows and exports."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
import trimesh
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

import geoflow
from geoflow.io.ply import ply_header, ply_rows
from geoflow.shapes.reconstruct import reconstruct

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "apps"))
Y, Z = "y, facing +z", "z, facing -y"
PLAIN = ("any", 1, 0, 64)  # category, steps, seed, resolution


def load(path):
    return trimesh.load_scene(path, process=False).to_mesh()


def write_ply(path, points):
    path.write_bytes(ply_header(len(points), coloured=False) + ply_rows(points))
    return path


def make(client, path, up=Y, how=PLAIN):
    """points, surface, facts, number"""
    return client.predict(handle_file(path), up, *how, api_name="/reconstruct")


def export(client, number, kind, faces=0):
    return client.predict(number, kind, faces, "this shape", api_name="/export_surface")


def error_of(client, *arguments, name="/reconstruct"):
    with pytest.raises(AppError) as caught:
        client.predict(*arguments, api_name=name)
    text = str(caught.value)
    assert "\n" not in text.strip() and "Traceback" not in text and "/tmp" not in text, text
    return text


@pytest.fixture(scope="module")
def example(one_client):
    return one_client.predict(api_name="/example_cloud")[0]


@pytest.fixture(scope="module")
def made(one_client, example):
    return make(one_client, example)


def test_the_example_is_rough_and_has_a_hole():
    from geoflow_app.parts.example_cloud import HOLE, MISSED, NOISE, POINTS, example_cloud

    points = example_cloud()
    assert points.shape == (POINTS, 3) and (points == example_cloud()).all()
    assert (points != example_cloud(1)).any()
    assert np.linalg.norm(points - MISSED, axis=1).min() > HOLE - 5 * NOISE
    assert len(np.unique(points, axis=0)) == POINTS


@pytest.mark.skipif(not geoflow.model.has_checkpoint("objects"), reason="no checkpoint objects")
def test_the_example_is_closed_over_its_hole_by_the_bundled_weights():
    from scipy.spatial import cKDTree

    from geoflow_app.parts.example_cloud import MISSED, example_cloud

    points = example_cloud()
    mesh = reconstruct(geoflow.load_generator("objects", "cpu"), points, resolution=64)
    tree = cKDTree(mesh.vertices)
    assert mesh.watertight and np.quantile(tree.query(points)[0], 0.95) < 0.025
    assert tree.query(MISSED)[0] < 0.05  # the seat goes on where no point is


def test_points_and_surface_are_shown_in_one_frame(one_client, made, tiny, example):
    points, surface, facts, number = made
    assert number > 0 and "example.ply" in facts and "512 read of 512" in facts
    cloud = trimesh.load(example, process=False).vertices
    expected = reconstruct(geoflow.load_generator(tiny, "cpu"), cloud, resolution=64)
    assert f"{len(expected.faces):,} faces" in facts
    assert load(surface).is_watertight and len(load(surface).faces) == len(expected.faces)
    low, high = load(points).bounds
    assert (high - low).max() == pytest.approx(1.8, abs=0.05) and np.abs(low + high).max() < 0.05
    assert len(load(points).faces) == 20 * 512 and Path(points).stat().st_size < 1e6
    written = load(export(one_client, number, "obj"))
    np.testing.assert_allclose(written.vertices, expected.vertices, atol=1e-5)


@pytest.mark.parametrize("kind", ["glb", "obj", "stl", "ply", "3mf"])
def test_each_format(one_client, made, kind):
    path = Path(export(one_client, made[3], kind))
    assert path.suffix == f".{kind}" and path.name.startswith("example_surface_")
    mesh, size = load(path), load(made[1]).extents
    mesh.merge_vertices()
    assert mesh.is_watertight
    if kind in ("stl", "3mf"):
        size = 1000 * size[[0, 2, 1]]
    np.testing.assert_allclose(mesh.extents / mesh.extents.max(), size / size.max(), atol=1e-3)
    assert len(load(export(one_client, made[3], kind, 500)).faces) <= 500


def test_an_unknown_format_is_one_line(one_client, made):
    assert "fbx" in error_of(one_client, made[3], "fbx", 0, "this shape", name="/export_surface")


def test_z_up_is_shown_upright_and_written_in_its_own_frame(one_client, example, made, tmp_path):
    x, y, z = trimesh.load(example, process=False).vertices.T
    turned = write_ply(tmp_path / "z.ply", np.stack((x, -z, y), 1))
    points, surface, _, number = make(one_client, turned, Z)
    np.testing.assert_allclose(load(points).bounds, load(made[0]).bounds, atol=1e-3)
    np.testing.assert_allclose(load(surface).bounds, load(made[1]).bounds, atol=1e-3)
    upright = load(export(one_client, made[3], "ply")).vertices
    own = load(export(one_client, number, "ply")).vertices
    np.testing.assert_allclose(own[:, [0, 2, 1]] * [1, 1, -1], upright, atol=1e-4)
    solids = [load(export(one_client, n, "stl")) for n in (number, made[3])]
    np.testing.assert_allclose(solids[0].bounds, solids[1].bounds, atol=0.1)


def test_points_are_taken_from_a_mesh(one_client, tmp_path):
    trimesh.creation.cylinder(100, 600).export(tmp_path / "can.stl")
    points, _, facts, _ = make(one_client, tmp_path / "can.stl", Y)  # z up, whatever is chosen
    assert "1,024 taken from" in facts
    assert load(points).extents.argmax() == 1 and len(load(points).faces) == 20 * 1024


def test_far_away_and_huge(one_client, example, tmp_path):
    cloud = trimesh.load(example, process=False).vertices
    for name, points in (("far", cloud + 1e6), ("huge", 1e8 * cloud), ("tiny", 1e-6 * cloud)):
        np.savetxt(tmp_path / f"{name}.xyz", points, fmt="%.12g")
        shown, _, _, number = make(one_client, tmp_path / f"{name}.xyz")
        assert load(shown).extents.max() == pytest.approx(1.8, abs=0.05)
        mesh = load(export(one_client, number, "obj", 2000))
        assert len(mesh.faces) <= 2000
        middle = (points.max(0) + points.min(0)) / 2
        assert (np.abs(mesh.bounds.mean(0) - middle) < np.ptp(points, axis=0).max()).all()
        if name == "far":
            text = error_of(one_client, number, "stl", 0, "this shape", name="/export_surface")
            assert "write .obj" in text


def test_a_million_points(one_client, tmp_path):
    points = np.random.default_rng(0).normal(size=(1_000_000, 3))
    begin = time.monotonic()
    _, _, facts, _ = make(one_client, write_ply(tmp_path / "many.ply", points))
    assert "1,024 read of 1,000,000" in facts and time.monotonic() - begin < 30


BAD = {
    "nan.xyz": (b"nan 0 0\n" + b"1 2 3\n" * 20, "finite"),
    "few.xyz": (b"".join(b"%d 0 1\n" % i for i in range(15)), "at least 16 different points"),
    "one.xyz": (b"1 2 3\n" * 100, "at least 16 different points"),
    "empty.ply": (ply_header(0, coloured=False), "empty.ply"),
    "bad.glb": (b"garbage" * 100, "bad.glb"),
    "flat.stl": (trimesh.Trimesh(np.eye(3), [[0, 0, 0]], process=False).export(file_type="stl"),
                 "area"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_line(one_client, tmp_path, name):
    data, word = BAD[name]
    (tmp_path / name).write_bytes(data)
    text = error_of(one_client, handle_file(tmp_path / name), Y, *PLAIN)
    assert word in text and name in text


def test_wrong_values_are_one_line(one_client, example):
    file = handle_file(example)
    assert "none was given" in error_of(one_client, None, Y, *PLAIN)
    assert "facing +z" in error_of(one_client, file, "x", *PLAIN)
    assert "vase" in error_of(one_client, file, Y, "bird", 1, 0, 64)
    assert "1 to 8" in error_of(one_client, file, Y, "any", 9, 0, 64)
    assert "seed" in error_of(one_client, file, Y, "any", 1, -1, 64)
    assert "resolution" in error_of(one_client, file, Y, "any", 1, 0, 100)
    arguments = ("glb", 0, "this shape")
    for number in (None, 999):
        text = error_of(one_client, number, *arguments, name="/export_surface")
        assert "Make the surface" in text


def test_a_surface_is_its_sessions_alone(server, made):
    other = Client(server.url, verbose=False, download_files=False)
    text = error_of(other, made[3], "glb", 0, "this shape", name="/export_surface")
    assert "Make the surface" in text
    other.close()


def test_a_stopped_job_ends_between_calls(tmp_path, tiny):
    from geoflow_app.parts.example_cloud import example_cloud
    from geoflow_app.server.sessions import Session, Stopped
    from geoflow_app.server.settings import ShapeSettings
    from geoflow_app.server.studio import Studio

    session, studio = Session(tmp_path / "session"), Studio(geoflow.load_generator(tiny, "cpu"))
    job, scan = session.begin(), studio.scan(example_cloud(), "y")
    mesh, _ = studio.surface(job.check, scan, None, 0, ShapeSettings(8))
    assert mesh.watertight
    session.stop()
    with pytest.raises(Stopped):
        studio.surface(job.check, scan, None, 0, ShapeSettings(8))


def test_shapes_by_way_of_clouds_are_those_of_the_command_line(tmp_path, tiny, tiny_points):
    from geoflow_app.server.sessions import Session
    from geoflow_app.server.settings import ShapeSettings
    from geoflow_app.server.studio import Studio

    grid, points = (geoflow.load_generator(f, "cpu") for f in (tiny, tiny_points))
    studio = Studio(grid)
    assert studio.backbones == ["grid"]  # the bundled points know other categories
    studio._clouds = mesher = geoflow.clouds.CloudMesher(points, grid)
    assert studio.backbones == ["grid", "points"]
    settings = ShapeSettings(2, resolution=64, backbone="points")
    job = Session(tmp_path / "session").begin()
    item, _ = studio.make(job, geoflow.Noise.of_shape(7, 1), "lamp", settings, "a lamp")
    expected = next(mesher.stream([1], steps=2, seed=7, resolution=64))
    assert expected.category == "lamp" and item.mesh().watertight
    np.testing.assert_allclose(item.mesh().vertices, expected.mesh.vertices, atol=1e-6)
    assert studio.frame(job, geoflow.Noise.of_shape(0), "chair", settings)[8:12] == b"WEBP"


def test_no_tab_without_a_network_that_reads_clouds():
    from types import SimpleNamespace

    import gradio_app

    with gradio_app.without_stubs():
        from geoflow_app.tabs import surface
    for reads in (True, False):
        studio = SimpleNamespace(generator=SimpleNamespace(reads_clouds=reads))
        assert surface.ready(SimpleNamespace(studio=studio)) is reads
