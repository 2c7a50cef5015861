"""The Joints tab through gradio_client, and what it shows and exports."""

import json
import sys
import urllib.parse
from pathlib import Path

import httpx
import numpy as np
import pytest
import trimesh
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

import geoflow

pytestmark = pytest.mark.skipif(
    not geoflow.model.has_checkpoint("characters"), reason="the checkpoint characters is not here"
)
Y, Z = "y, facing +z", "z, facing -y"


def load(path):
    return trimesh.load_scene(path, process=False)


def error_of(client, *arguments, name="/joints"):
    with pytest.raises(AppError) as caught:
        client.predict(*arguments, api_name=name)
    text = str(caught.value)
    assert "\n" not in text.strip() and "Traceback" not in text and "/tmp" not in text, text
    return text


@pytest.fixture(scope="module")
def example(one_client):
    return one_client.predict(api_name="/example_character")[0]


@pytest.fixture(scope="module")
def found(one_client, example):
    return one_client.predict(handle_file(example), Y, "body", 1, api_name="/joints")


def test_the_example_is_a_closed_figure():
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "apps"))
    from geoflow_app.parts.example_character import example_character

    mesh = example_character()
    assert mesh.watertight and mesh.volume > 0 and 5_000 < len(mesh.faces) < 15_000
    width, height, depth = np.ptp(mesh.vertices, axis=0)
    assert width > height > 5 * depth


def test_joints_are_shown_inside_the_mesh(found, example):
    glb, facts, number = found
    assert number > 0 and "example.glb" in facts and "left_knee" in facts
    scene, size = load(glb), load(example).extents
    assert set(scene.geometry) == {"mesh", "bones", "joints"}
    assert scene.geometry["mesh"].visual.material.alphaMode == "BLEND"
    assert scene.geometry["mesh"].visual.material.baseColorFactor[3] < 128
    np.testing.assert_allclose(scene.extents, size, atol=1e-3)
    low, high = scene.geometry["mesh"].bounds
    for name in ("bones", "joints"):
        bounds = scene.geometry[name].bounds
        assert (bounds[0] > low - 0.02).all() and (bounds[1] < high + 0.02).all()
    assert Path(glb).stat().st_size < 2e6


def test_z_up_stands_upright(one_client, example, found, tmp_path):
    mesh = load(example).to_mesh()
    turned = np.stack((mesh.vertices[:, 0], -mesh.vertices[:, 2], mesh.vertices[:, 1]), 1)
    trimesh.Trimesh(turned, mesh.faces, process=False).export(tmp_path / "z.ply")
    trimesh.Trimesh(1000 * turned, mesh.faces, process=False).export(tmp_path / "z.stl")
    for name in ("z.ply", "z.stl"):
        glb, facts, _ = one_client.predict(
            handle_file(tmp_path / name), Z, "body", 1, api_name="/joints"
        )
        np.testing.assert_allclose(load(glb).extents, load(found[0]).extents, atol=1e-3)
        assert "left_knee" in facts


@pytest.mark.parametrize("kind", ["glb", "txt", "json"])
def test_each_format(one_client, found, kind):
    path = Path(one_client.predict(found[2], kind, api_name="/export_rig"))
    assert path.suffix == f".{kind}" and path.name.startswith("example_rig_")
    if kind == "glb":
        assert len(load(path).to_mesh().faces) > 5_000
        assert b"left_knee" in path.read_bytes() and b"JOINTS_0" in path.read_bytes()
    elif kind == "txt":
        words = [line.split()[0] for line in path.read_text().splitlines()]
        assert words.count("root") == 1 and words.count("hier") == words.count("joints") - 1
    else:
        table = json.loads(path.read_text())
        assert len(table["joints"]) == len(table["names"]) and table["up"] == "y"


def test_wrong_values_are_one_line(one_client, example, found, tmp_path):
    file = handle_file(example)
    assert "none was given" in error_of(one_client, None, Y, "any", 2)
    assert "facing +z" in error_of(one_client, file, "x", "any", 2)
    assert "creature" in error_of(one_client, file, Y, "bird", 2)
    assert "1 to 8" in error_of(one_client, file, Y, "any", 9)
    (tmp_path / "bad.glb").write_bytes(b"garbage" * 100)
    assert "bad.glb" in error_of(one_client, handle_file(tmp_path / "bad.glb"), Y, "any", 2)
    (tmp_path / "flat.obj").write_text("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n")
    assert "area" in error_of(one_client, handle_file(tmp_path / "flat.obj"), Y, "any", 2)
    assert "fbx" in error_of(one_client, found[2], "fbx", name="/export_rig")
    for number in (None, 999):
        assert "Find the joints" in error_of(one_client, number, "glb", name="/export_rig")


def test_only_the_sessions_own_files_are_served(server, found):
    other = Client(server.url, verbose=False, download_files=False)
    mine = other.predict(api_name="/example_character")[0]
    assert httpx.get(mine["url"]).status_code == 200
    assert "Find the joints" in error_of(other, found[2], "glb", name="/export_rig")
    for name in ("../../log.txt", "../../../etc/passwd"):
        path = urllib.parse.quote(f"{Path(mine['path']).parent}/{name}")
        assert httpx.get(f"{server.url}gradio_api/file={path}").status_code in (403, 404)
    other.close()


def test_large_meshes_are_shown_with_fewer_faces():
    from geoflow_app.parts.rigs import MOST_SHOWN, fewer_faces

    sphere = trimesh.creation.icosphere(6)
    vertices, faces = fewer_faces(sphere.vertices, sphere.faces)
    assert 2_000 < len(faces) <= MOST_SHOWN
    assert np.abs(np.linalg.norm(vertices, axis=1) - 1).max() < 0.01
    same, _ = fewer_faces(sphere.vertices, sphere.faces[:1000])
    assert same is sphere.vertices
