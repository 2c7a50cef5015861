"""Strangers' files in a child process: right arrays, one-line refusals, limits that bite."""

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

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


def long_to_read(path):
    rows = "".join(f"v {i} 0 0\n" for i in range(300_000))
    path.write_text(rows + "f 1 2 3\n" * 300_000)
    return path


def test_the_time_limit_ends_the_child(tmp_path):
    path = long_to_read(tmp_path / "long.obj")
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


def test_ten_threads_read_ten_files_at_once(tmp_path):
    whole = [trimesh.creation.icosphere(2, radius=i + 1.0) for i in range(10)]
    paths = [tmp_path / f"{i}.stl" for i in range(10)]
    for mesh, path in zip(whole, paths, strict=True):
        mesh.export(path)
    (tmp_path / "broken.glb").write_bytes(b"junk")
    with ThreadPoolExecutor(11) as pool:
        broken = pool.submit(read_user_mesh, tmp_path / "broken.glb")
        for i, (_, faces) in enumerate(pool.map(read_user_mesh, paths)):
            assert len(faces) == len(whole[i].faces)
        sizes = [np.abs(vertices).max() for vertices, _ in pool.map(read_user_mesh, paths)]
    np.testing.assert_allclose(sizes, 1e-3 * np.arange(1, 11), rtol=1e-5)
    assert isinstance(broken.exception(), ValueError)


forks = pytest.mark.skipif(not userfiles.FORKS, reason="nothing can be forked here")


@forks
def test_only_the_first_file_waits_for_trimesh(tmp_path):
    trimesh.creation.box().export(tmp_path / "a.glb")
    read_user_mesh(tmp_path / "a.glb")
    begin = time.monotonic()
    read_user_mesh(tmp_path / "a.glb")
    middle = time.monotonic()
    subprocess.run([sys.executable, "-c", "import trimesh"], check=True)
    assert middle - begin < 0.5 * (time.monotonic() - middle)


def children(of):
    """Ids of a process's children, zombies included."""
    rows = subprocess.run(["ps", "-eo", "ppid=,pid="], capture_output=True, text=True).stdout
    pairs = (row.split() for row in rows.splitlines())
    return [int(pid) for parent, pid in pairs if int(parent) == of]


def wait_for(what):
    until = time.monotonic() + 10
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.01)
    return found


def test_a_name_too_long_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="must be an existing file; it is not"):
        read_user_mesh(tmp_path / (300 * "a" + ".obj"))


@forks
def test_what_ends_one_reading_ends_no_other(tmp_path):
    """The reader of a file is killed, then the fork server; the next file is read."""
    trimesh.creation.box().export(tmp_path / "a.glb")
    read_user_mesh(tmp_path / "a.glb")
    server = userfiles._server()[0]
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(read_user_mesh, long_to_read(tmp_path / "long.obj"))
        readers = wait_for(lambda: [r for w in children(server.pid) for r in children(w)])
        os.kill(readers[0], signal.SIGSEGV)
        with pytest.raises(ValueError, match=r"long\.obj: must be a sound file.*\(code -11"):
            held.result()
    wait_for(lambda: not children(server.pid))
    assert len(read_user_mesh(tmp_path / "a.glb")[1]) == 12
    assert userfiles._server()[0] is server
    server.kill()  # nobody knows yet
    assert len(read_user_mesh(tmp_path / "a.glb")[1]) == 12


@forks
def test_a_script_is_not_run_again_and_leaves_no_process(tmp_path):
    """As a user writes it, without `if __name__ == "__main__"`; what a file says is not shown."""
    trimesh.creation.box().export(tmp_path / "a.glb")
    script = "import sys, geoflow.io.strangers as s; print('once', flush=True)\n"
    script += "s.read_user_mesh(sys.argv[1]); print(s._server()[0].pid)"
    (tmp_path / "script.py").write_text(script)
    command = [sys.executable, "-W", "error", tmp_path / "script.py", tmp_path / "a.glb"]
    known = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env=known, check=True)
    once, server = done.stdout.split()
    assert (once, done.stderr) == ("once", "")
    with pytest.raises(ProcessLookupError):
        os.kill(int(server), 0)
