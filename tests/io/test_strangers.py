"""Strangers' files in a child process: right arrays, one-line refusals, limits that bite."""

import contextlib
import json
import struct
import time

import numpy as np
import pytest
import trimesh

from geoflow.io import strangers as userfiles
from geoflow.io.ply import ply_header
from geoflow.io.strangers import read_user_cloud, read_user_mesh


@pytest.mark.parametrize("suffix", ["glb", "obj", "ply", "stl", "off"])
def test_the_arrays_are_those_of_read_mesh(tmp_path, suffix):
    from geoflow.io.meshes import read_mesh

    path = tmp_path / f"a b.{suffix}"
    trimesh.creation.icosphere(2).export(path)
    vertices, faces = read_user_mesh(path)
    here = read_mesh(path)
    np.testing.assert_array_equal(vertices, here[0])
    np.testing.assert_array_equal(faces, here[1])


@pytest.mark.parametrize(
    ("name", "data", "word"),
    [
        ("a.glb", b"junk" * 20, "export it again"),
        ("a.fbx", b"junk", "must end in"),
        ("a.ply", b"", "a.ply"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "a.obj"),
        ("a.obj", b"v inf 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "finite"),
        ("a.obj", b"v 0 0 0\n", "a.obj"),
    ],
)
def test_refusals_are_one_line_without_folders(tmp_path, name, data, word):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ValueError) as caught:
        read_user_mesh(path)
    text = str(caught.value)
    assert word in text and "\n" not in text and str(tmp_path) not in text


def test_size_and_absence(tmp_path):
    with pytest.raises(ValueError, match=r"'no\.obj' must be an existing file"):
        read_user_mesh(tmp_path / "no.obj")
    large = tmp_path / "large.obj"
    large.write_bytes(b"#" * (2 << 20))
    with pytest.raises(ValueError, match=r"at most 1 MB; it is 2\.0 MB"):
        read_user_mesh(large, megabytes=1)


def test_the_time_limit_ends_the_child(tmp_path):
    path = tmp_path / "long.obj"
    rows = "".join(f"v {i} 0 0\n" for i in range(300_000))
    path.write_text(rows + "f 1 2 3\n" * 300_000)
    begin = time.monotonic()
    with pytest.raises(ValueError, match=r"within 0\.3 s"):
        read_user_mesh(path, seconds=0.3)
    assert time.monotonic() - begin < 3


def bomb(path, count):
    """A small .glb whose accessor claims `count` vertices without any data behind it."""
    tree = {
        "asset": {"version": "2.0"}, "scenes": [{"nodes": [0]}], "scene": 0,
        "nodes": [{"mesh": 0}], "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [{"componentType": 5126, "count": count, "type": "VEC3"}],
    }  # fmt: skip
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sIIII", b"glTF", 2, 20 + len(text), len(text), 0x4E4F534A)
    path.write_bytes(head + text)


def test_the_memory_limit_bites(tmp_path):
    bomb(tmp_path / "bomb.glb", 2_000_000_000)
    with pytest.raises(ValueError, match=r"bomb\.glb"):
        read_user_mesh(tmp_path / "bomb.glb", memory_gb=1.5)


@pytest.mark.parametrize(
    ("read", "arrays", "word"),
    [
        (read_user_mesh, {"vertices": np.zeros((3, 3)), "faces": np.array([[0, 1, 7]])}, r"0\.\.2"),
        (read_user_cloud, {"points": np.full((3, 3), np.nan), "counts": [3, 0]}, "finite"),
        (read_user_cloud, {"points": np.zeros((3, 2)), "counts": [3, 0]}, r"\(N, 3\)"),
    ],
)
def test_what_a_child_sends_is_checked_again(monkeypatch, read, arrays, word):
    monkeypatch.setattr(userfiles, "_in_child", lambda *_: contextlib.nullcontext(arrays))
    with pytest.raises(ValueError, match=word):
        read("x.ply")


def test_clouds_and_points_of_meshes(tmp_path):
    points = np.random.default_rng(0).normal(size=(100, 3))
    np.savetxt(tmp_path / "a.xyz", points, fmt="%.17g")
    cloud = read_user_cloud(tmp_path / "a.xyz")
    np.testing.assert_array_equal(cloud.points, points)
    assert (cloud.given, cloud.faces) == (100, 0)
    trimesh.creation.box().export(tmp_path / "a.stl")
    drawn = read_user_cloud(tmp_path / "a.stl")
    assert drawn.points.shape == (userfiles.DRAWN, 3) and drawn.faces == 12


def test_of_a_large_cloud_a_million_points_are_kept(tmp_path):
    many = userfiles.MAX_POINTS + 5
    trimesh.PointCloud(np.random.default_rng(0).random((many, 3))).export(tmp_path / "a.ply")
    cloud = read_user_cloud(tmp_path / "a.ply")
    assert len(cloud.points) == userfiles.MAX_POINTS and cloud.given == many
    assert len(np.unique(cloud.points[:, 0])) > 0.9 * userfiles.MAX_POINTS


@pytest.mark.parametrize(
    ("name", "data", "word"),
    [
        ("a.ply", ply_header(0, coloured=False), "a.ply"),
        ("a.xyz", b"nan 0 0\n1 1 1\n", "finite"),
        ("a.xyz", b"junk", "a.xyz"),
        ("a.fbx", b"junk", "must end in"),
    ],
)
def test_bad_clouds_are_one_line(tmp_path, name, data, word):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ValueError, match=word) as caught:
        read_user_cloud(path)
    assert "\n" not in str(caught.value) and str(tmp_path) not in str(caught.value)
