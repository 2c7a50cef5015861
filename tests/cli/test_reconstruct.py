"""`geoflow reconstruct`: the cloud's own frame, every file format, every error in one line."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from typer.testing import CliRunner

import geoflow
from geoflow.cli import app
from geoflow.geometry.frames import LONGEST
from geoflow.io.ply import ply_header
from geoflow.model.checkpoint import save_checkpoint
from geoflow.networks import build_network
from geoflow.shapes import reconstruct as reconstruction

SIZE, RADIUS = 16, 0.6
CUBE = 2 * RADIUS / LONGEST  # of the ball, in halves of the cloud's longest side


def write_tiny(folder: Path, *, clouds: bool = True) -> Path:
    """An untrained network whose one patch makes a ball; it does or does not read clouds."""
    arguments = {"resolution": SIZE, "patch": SIZE, "overlap": 0, "width": 64, "depth": 1,
                 "hidden": 64, "bottleneck": 16, "categories": 2, "cloud": clouds}  # fmt: skip
    torch.manual_seed(0)
    net = build_network("GridTransformer", **arguments)
    axis = (torch.arange(SIZE) + 0.5) * 2 / SIZE - 1
    ball = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).norm(dim=0) - RADIUS
    with torch.no_grad():
        net.head.bias.copy_(ball.flatten())
        net.head.weight.zero_()
    config = {
        "kind": "objects-surface",
        "network": {"name": "GridTransformer", "arguments": arguments},
        "transport": {"name": "x1-FM", "arguments": {"noise_std": 4.0}},
        "data": {"categories": ["chair", "lamp"], "metres": [1.0, 0.5], "resolution": SIZE,
                 "truncation": 1.0, "mean": 0.0, "std": 1.0},
    }  # fmt: skip
    save_checkpoint(folder, config, net.state_dict(), "float32")
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("tiny") / "checkpoint")


def points(n: int = 300) -> np.ndarray:
    """Twice as high (y) as wide."""
    return np.random.default_rng(0).uniform(-1, 1, (n, 3)) * [0.5, 1, 0.4]


def write_xyz(path: Path, cloud: np.ndarray) -> Path:
    np.savetxt(path, cloud, fmt="%.12g")
    return path


def write_ply(path: Path, cloud: np.ndarray) -> Path:
    path.write_bytes(ply_header(len(cloud), coloured=False) + cloud.astype("<f4").tobytes())
    return path


@pytest.fixture
def cloud(tmp_path):
    return write_ply(tmp_path / "cloud.ply", points())


def run(tiny, cloud, out, *args):
    common = ["--checkpoint", tiny, "--device", "cpu", "--resolution", 64, "-o", out]
    return CliRunner().invoke(app, [str(a) for a in ("reconstruct", cloud, *common, *args)])


def made(result):
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert len(result.stdout.splitlines()) == 1
    return result


def error_of(result, code=1):
    lines = result.stderr.splitlines()
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    assert len(lines) == 1 and lines[0].startswith("geoflow: "), lines
    assert result.stdout == ""
    return lines[0]


def load(path):
    return trimesh.load_scene(path, process=False).to_mesh()


def check_ball(vertices, given, tolerance=0.03):
    """The ball lies in the middle of the cloud's box, in its unit."""
    low, high = given.min(0), given.max(0)
    half = (high - low).max() / 2
    assert np.abs((vertices.min(0) + vertices.max(0)) / 2 - (low + high) / 2).max() < (
        tolerance * half
    )
    assert np.ptp(vertices, axis=0) == pytest.approx(2 * CUBE * half, rel=tolerance)


# -- what it writes --------------------------------------------------------------------------


def test_a_line_of_facts(tiny, cloud, tmp_path):
    result = made(run(tiny, cloud, tmp_path / "mesh.obj", "--steps", 2, "--category", "lamp"))
    mesh = load(tmp_path / "mesh.obj")
    facts = f"300 of 300 points, {len(mesh.vertices):,} vertices, {len(mesh.faces):,} faces, closed"
    assert facts in result.stdout and str(tmp_path / "mesh.obj") in result.stdout
    assert mesh.is_watertight and mesh.volume > 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cloud.ply", "mesh.obj"]


@pytest.mark.parametrize(
    ("scale", "shift"), [(1, 0), (1e-6, 0), (1e6, 0), (1, 1e5), (3, [7, -20, 1e5])]
)
def test_the_mesh_comes_back_where_the_cloud_was(tiny, tmp_path, scale, shift):
    given = points() * scale + shift
    made(run(tiny, write_xyz(tmp_path / "cloud.xyz", given), tmp_path / "mesh.obj"))
    mesh = load(tmp_path / "mesh.obj")
    check_ball(mesh.vertices, given)
    assert mesh.is_watertight
    areas = trimesh.triangles.area(mesh.triangles)
    assert (areas > 1e-9 * areas.max()).mean() > 0.99


@pytest.mark.parametrize("up", ["y", "z"])
@pytest.mark.parametrize("suffix", ["obj", "glb", "ply", "stl", "3mf"])
def test_every_format_in_its_own_axes(tiny, tmp_path, suffix, up):
    given = points() + np.array([3, 5, 9])
    cloud = write_xyz(tmp_path / "cloud.xyz", given)
    out = tmp_path / f"mesh.{suffix}"
    result = made(run(tiny, cloud, out, "--up", up))
    if suffix in ("stl", "3mf"):
        assert "millimetres" in result.stderr
        given = 1000 * (given if up == "z" else given[:, [0, 2, 1]] * [1, -1, 1])
    elif suffix == "glb" and up == "z":
        assert ".glb is y up" in result.stderr
        given = given[:, [0, 2, 1]] * [1, 1, -1]
    check_ball(load(out).vertices, given)
    assert load(out).volume > 0


def test_a_million_points(tiny, tmp_path):
    given = np.random.default_rng(0).normal(size=(1_000_000, 3)).clip(-2, 2)
    cloud = write_ply(tmp_path / "cloud.ply", given)
    result = made(run(tiny, cloud, tmp_path / "mesh.obj"))
    assert "1,024 of 1,000,000 points" in result.stdout
    assert f"reading {cloud}, 11 MB" in result.stderr
    check_ball(load(tmp_path / "mesh.obj").vertices, given)


def test_more_than_a_million_points_are_drawn_from(monkeypatch):
    monkeypatch.setattr(reconstruction, "KEPT", 100)
    given = points()
    kept = reconstruction.check_cloud(given)
    assert kept.shape == (100, 3) and np.array_equal(kept, reconstruction.check_cloud(given))
    assert {tuple(p) for p in kept} <= {tuple(p) for p in given}


def test_repeated_points_count_once(tiny, tmp_path):
    given = np.concatenate([points(40)] * 50)
    result = made(run(tiny, write_ply(tmp_path / "cloud.ply", given), tmp_path / "mesh.obj"))
    assert "40 of 2,000 points" in result.stdout


def test_a_cloud_with_a_hole(tiny, tmp_path):
    given = points(2000)
    given = given[np.linalg.norm(given - given[0], axis=1) > 0.4]
    made(run(tiny, write_ply(tmp_path / "cloud.ply", given), tmp_path / "mesh.obj"))
    check_ball(load(tmp_path / "mesh.obj").vertices, given)


def test_the_points_of_an_obj(tiny, tmp_path):
    given = points()
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in given]
    (tmp_path / "cloud.obj").write_text("\n".join(lines))
    result = made(run(tiny, tmp_path / "cloud.obj", tmp_path / "mesh.obj"))
    assert "300 of 300 points" in result.stdout and "is a mesh" not in result.stderr
    check_ball(load(tmp_path / "mesh.obj").vertices, given)


@pytest.mark.parametrize("suffix", ["obj", "glb", "ply", "stl", "off"])
def test_of_a_mesh_the_surface_is_drawn(tiny, tmp_path, suffix):
    box = trimesh.creation.box((1, 2, 0.5))
    box.apply_translation((4, 0, 0))
    box.export(tmp_path / f"box.{suffix}")
    result = made(run(tiny, tmp_path / f"box.{suffix}", tmp_path / "mesh.obj"))
    assert f"box.{suffix} is a mesh: 20,000 points are drawn from its 12 faces" in result.stderr
    assert "1,024 of 20,000 points" in result.stdout
    given = box.vertices
    if suffix == "stl":
        assert "turned y up, in metres" in result.stderr
        given = given[:, [0, 2, 1]] * [1, 1, -1] / 1000
    check_ball(load(tmp_path / "mesh.obj").vertices, given)


def test_a_seed_gives_the_same_bytes_again(tiny, cloud, tmp_path):
    for name in "ab":
        made(run(tiny, cloud, tmp_path / f"{name}.obj", "--seed", 3))
    assert (tmp_path / "a.obj").read_bytes() == (tmp_path / "b.obj").read_bytes()


def test_the_options_reach_the_network(tiny, cloud, tmp_path, monkeypatch):
    seen = {}

    def make(generator, scan, *, on_step, **options):
        seen.update(options, up=scan.frame.up)
        raise ValueError("seen")

    monkeypatch.setattr(reconstruction, "reconstruct", make)
    options = ["--steps", 3, "--seed", 5, "--category", "chair", "--up", "z"]
    assert run(tiny, cloud, tmp_path / "mesh.obj", *options).exit_code == 1
    assert seen == {"steps": 3, "seed": 5, "category": "chair", "resolution": 64, "up": "z"}
    assert not (tmp_path / "mesh.obj").exists()


def test_a_picture_of_both(tiny, cloud, tmp_path):
    from PIL import Image

    from geoflow.render.studio import _rendering_error

    if _rendering_error() is not None:
        pytest.skip(f"cannot draw here: {_rendering_error()}")
    made(run(tiny, cloud, tmp_path / "mesh.obj", "--render", tmp_path / "both.png"))
    with Image.open(tmp_path / "both.png") as picture:
        tiles = np.asarray(picture.convert("L"), float)[:512].reshape(512, 2, 512)
    assert (tiles.std(axis=(0, 2)) > 5).all()


def test_a_picture_that_cannot_be_drawn(tiny, cloud, tmp_path, monkeypatch):
    monkeypatch.setattr("geoflow.render.studio._rendering_error", lambda: "no OpenGL")
    result = run(tiny, cloud, tmp_path / "mesh.obj", "--render", tmp_path / "both.png")
    assert "libegl1" in error_of(result) and not (tmp_path / "mesh.obj").exists()


# -- files in the way ------------------------------------------------------------------------


def test_nothing_is_replaced_without_overwrite(tiny, cloud, tmp_path):
    out, picture = tmp_path / "mesh.obj", tmp_path / "both.png"
    out.write_text("mine")
    assert "--overwrite" in error_of(run(tiny, cloud, out))
    assert out.read_text() == "mine"
    made(run(tiny, cloud, out, "--overwrite"))
    assert load(out).is_watertight
    picture.write_text("mine")
    line = error_of(run(tiny, cloud, tmp_path / "b.obj", "--render", picture))
    assert "both.png" in line and picture.read_text() == "mine"
    assert not (tmp_path / "b.obj").exists()


def test_the_cloud_itself_is_never_replaced(tiny, cloud):
    before = cloud.read_bytes()
    assert "itself" in error_of(run(tiny, cloud, cloud, "--overwrite"), 2)
    assert cloud.read_bytes() == before


def test_a_full_disk_leaves_no_part_of_a_file(tiny, cloud, tmp_path, monkeypatch):
    def full(path, data, *, sync=True):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("geoflow.io.meshes.write_atomically", full)
    result = run(tiny, cloud, tmp_path / "mesh.obj")
    assert result.exit_code == 1 and "No space left" in result.stderr.splitlines()[-1]
    assert [p.name for p in tmp_path.iterdir()] == ["cloud.ply"]


# -- bad clouds ------------------------------------------------------------------------------

NAN = np.where(np.arange(300)[:, None] == 7, np.nan, points())
BAD = {
    "NaN": (lambda f: write_ply(f / "a.ply", NAN), "1 of 300 points are not"),
    "NaN in text": (lambda f: write_xyz(f / "a.xyz", NAN), "1 of 300 points are not"),
    "few": (lambda f: write_ply(f / "a.ply", points(15)), "at least 16 different points; given 15"),
    "duplicates": (lambda f: write_ply(f / "a.ply", np.ones((99, 3))), "points; given 1"),
    "empty": (lambda f: write_ply(f / "a.ply", points(0)), "at least one point"),
    "no bytes": (lambda f: write_bytes(f / "a.ply", b""), "cannot be read as .ply"),
    "no lines": (lambda f: write_bytes(f / "a.xyz", b""), "cannot be read as .xyz"),
    "cut": (lambda f: write_bytes(f / "a.ply", ply_header(99, coloured=False)), "cannot be read"),
    "words": (lambda f: write_bytes(f / "a.xyz", b"this is no cloud\n" * 30), "cannot be read"),
    "noise": (lambda f: write_bytes(f / "a.obj", bytes(range(256)) * 9), "a.obj"),
    "suffix": (lambda f: write_bytes(f / "a.txt", b"1 2 3\n" * 30), ".xyz"),
    "missing": (lambda f: f / "nowhere.ply", "nowhere.ply"),
    "folder": (lambda f: f, "must be an existing file"),
    "far": (lambda f: write_xyz(f / "a.xyz", 1e8 + 1e-9 * points()), "a.xyz"),
    "flat mesh": (lambda f: write_bytes(f / "a.off", b"OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n"),
                  "area"),
}  # fmt: skip


def write_bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("how", BAD)
def test_a_bad_cloud_is_one_line(tiny, tmp_path, how):
    make, words = BAD[how]
    cloud = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert words in error_of(run(tiny, cloud, tmp_path / "mesh.glb"))
    assert sorted(tmp_path.iterdir()) == before


def test_a_format_too_coarse_for_a_cloud_far_away(tiny, tmp_path):
    cloud = write_xyz(tmp_path / "cloud.xyz", points() + 1e5)
    for suffix in ("ply", "glb", "stl"):
        line = error_of(run(tiny, cloud, tmp_path / f"mesh.{suffix}"))
        assert f".{suffix} must tell" in line and "write .obj" in line
    cloud = write_xyz(tmp_path / "small.xyz", 1e-10 * points())
    assert "scale it" in error_of(run(tiny, cloud, tmp_path / "mesh.obj"))


# -- wrong commands --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--steps", 0], "--steps must be at least 1"),
        (["--seed", -1], "--seed"),
        (["--category", "chiar"], "did you mean 'chair'"),
        (["--category", "all"], "one of chair, lamp"),
        (["--resolution", 100], "--resolution"),
        (["--up", "x"], "--up"),
        (["--render", "both.jpg"], ".png"),
        (["-o", "mesh.fbx"], "--out must end in one of .obj"),
    ],
    ids=lambda v: " ".join(map(str, v)) if isinstance(v, list) else None,
)
def test_wrong_options_are_usage_errors(tiny, cloud, tmp_path, args, words):
    assert words in error_of(run(tiny, cloud, tmp_path / "mesh.obj", *args), 2)
    assert [p.name for p in tmp_path.iterdir()] == ["cloud.ply"]


def test_an_stl_knows_what_is_up(tiny, tmp_path):
    trimesh.creation.box().export(tmp_path / "box.stl")
    assert "z up" in error_of(run(tiny, tmp_path / "box.stl", tmp_path / "a.obj", "--up", "z"), 2)


def test_a_checkpoint_that_reads_no_clouds(cloud, tmp_path):
    blind = write_tiny(tmp_path / "blind", clouds=False)
    line = error_of(run(blind, cloud, tmp_path / "mesh.obj"))
    assert "must be one that reads clouds" in line and "blind" in line and "objects-surface" in line


def test_a_checkpoint_of_clouds(tiny_points, cloud, tmp_path):
    assert "one that makes meshes" in error_of(run(tiny_points, cloud, tmp_path / "mesh.obj"))


def test_python_refuses_what_is_no_category(tiny):
    generator = geoflow.load_generator(tiny, "cpu")
    with pytest.raises(ValueError, match="category must be one of chair, lamp; got 'all'"):
        reconstruction.reconstruct(generator, points(), category="all")


def test_a_network_of_clouds_loads_without_the_compiler(tiny):
    root = str(Path(geoflow.__file__).resolve().parents[1])
    code = f"import sys, geoflow; geoflow.load_generator({str(tiny)!r}, 'cpu'); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "geoflow.networks.scan" in done.stdout.split(), done.stderr
    assert "torch._dynamo" not in done.stdout.split()
