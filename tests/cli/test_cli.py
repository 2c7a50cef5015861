"""The command line: files, reproducibility, interruption, and every error in one line."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from toys.checkpoints import METRES, write_tiny
from typer.testing import CliRunner

import geoflow
from geoflow import files
from geoflow.cli import app
from geoflow.io import meshes as export
from geoflow.model import checkpoint as checkpoints
from geoflow.model.checkpoint import assets_folder
from geoflow.pretrained import load_generator

BUNDLED = assets_folder() / "checkpoints" / "objects"
needs_bundled = pytest.mark.skipif(
    not (BUNDLED / "config.json").is_file(), reason="the bundled checkpoint is not here"
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("tiny") / "checkpoint")


# -- running the command ---------------------------------------------------------------------


def run(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


def generate(checkpoint, out, *args):
    """`geoflow generate` at 64^3 on the CPU, unless args say otherwise."""
    common = ["--checkpoint", checkpoint, "--out", out, "--device", "cpu", "--resolution", 64]
    result = run("generate", *common, *args)
    assert result.exit_code in (0, 1, 2, 130), result.exception
    return result


def made(result):
    assert result.exit_code == 0, result.stderr
    return result


def error_of(result, code):
    """The text of an error: one line on stderr, nothing on stdout, this exit code."""
    lines = result.stderr.splitlines()
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    assert len(lines) == 1 and lines[0].startswith("geoflow: "), lines
    assert "Traceback" not in result.stderr and result.stdout == ""
    return lines[0]


def subprocess_arguments():
    """A child that finds this geoflow and takes Ctrl-C even if our parent ignores it."""
    root = str(Path(geoflow.__file__).resolve().parents[1])
    path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p)
    return {"env": os.environ | {"PYTHONPATH": path}, "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE, "text": True,
            "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}  # fmt: skip


def python(code):
    done = subprocess.run([sys.executable, "-c", code], timeout=60, **subprocess_arguments())
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def load(path):
    return trimesh.load_scene(path, process=False).to_mesh()


def meshes(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".json"}


# -- what generate writes --------------------------------------------------------------------


def test_generate_writes_meshes_and_a_manifest_of_them(tiny, tmp_path):
    out = tmp_path / "deep" / "out"
    result = made(generate(tiny, out, "--n", 4, "--steps", 3, "--seed", 7, "--guidance", 1.5))
    assert names(out) == ["chair_00000.obj", "chair_00003.obj", "lamp_00001.obj", "manifest.json",
                          "vase_00002.obj"]  # fmt: skip
    assert len(result.stdout.splitlines()) == 1 and "4 of 4 shapes" in result.stdout
    manifest = read_manifest(out)
    shapes = manifest.pop("shapes")
    digest = checkpoints.load_checkpoint(tiny)[2]
    assert manifest == {
        "geoflow": geoflow.__version__, "checkpoint": digest, "device": "cpu", "n": 4, "steps": 3,
        "category": "all", "seed": 7, "guidance": 1.5, "resolution": 64, "format": "obj",
    }  # fmt: skip
    assert [s["index"] for s in shapes] == [0, 1, 2, 3]
    for shape in shapes:
        mesh = load(out / shape["file"])
        assert shape["file"] == f"{shape['category']}_{shape['index']:05d}.obj"
        assert (len(mesh.vertices), len(mesh.faces)) == (shape["vertices"], shape["faces"])
        assert shape["watertight"] is True and mesh.is_watertight
        assert shape["volume"] == pytest.approx(mesh.volume, rel=1e-3) and mesh.volume > 0
        assert shape["fragments_removed"] == 0 and shape["seconds"] > 0


def test_the_same_command_twice_gives_the_same_bytes(tiny, tmp_path):
    for name in "ab":
        made(generate(tiny, tmp_path / name, "--n", 3))
    first = meshes(tmp_path / "a")
    assert first == meshes(tmp_path / "b") and len(set(first.values())) == 3
    made(generate(tiny, tmp_path / "seed", "--n", 1, "--seed", 1))
    made(generate(tiny, tmp_path / "steps", "--n", 1, "--steps", 1))
    for other in ("seed", "steps"):
        assert meshes(tmp_path / other)["chair_00000.obj"] != first["chair_00000.obj"]


def test_a_shape_depends_on_its_seed_and_index_alone(tiny, tmp_path):
    made(generate(tiny, tmp_path / "all", "--n", 5))
    made(generate(tiny, tmp_path / "lamps", "--n", 2, "--category", "Lamp"))
    everything, lamps = meshes(tmp_path / "all"), meshes(tmp_path / "lamps")
    assert set(lamps) == {"lamp_00000.obj", "lamp_00001.obj"}
    assert lamps["lamp_00001.obj"] == everything["lamp_00001.obj"]
    generator = load_generator(tiny, "cpu")
    alone = next(iter(generator.stream([4], resolution=64)))
    backwards = list(generator.stream([4, 1], resolution=64))
    np.testing.assert_array_equal(alone.mesh.vertices, backwards[0].mesh.vertices)
    assert [s.index for s in backwards] == [4, 1]
    export.write_mesh(tmp_path / "4.obj", alone.mesh.vertices, alone.mesh.faces, alone.mesh.normals)
    assert (tmp_path / "4.obj").read_bytes() == everything["lamp_00004.obj"]


def test_a_shape_does_not_depend_on_the_number_of_threads(tiny):
    before, vertices = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            shapes = load_generator(tiny, "cpu").stream(range(4), resolution=64)
            vertices.append([s.mesh.vertices.tobytes() for s in shapes])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert vertices[0] == vertices[1]


@pytest.mark.parametrize("suffix", ["obj", "glb", "ply", "stl", "3mf"])
def test_every_format_loads_upright_in_its_unit(tiny, tmp_path, suffix):
    made(generate(tiny, tmp_path, "--n", 1, "--category", "lamp", "--format", suffix))
    mesh = load(tmp_path / f"lamp_00000.{suffix}")
    points, centre = mesh.vertices, mesh.center_mass
    if suffix in ("stl", "3mf"):  # z up in millimetres
        turn = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]) / 1000
        points, centre = points @ turn.T, turn @ centre
    low, high = points.min(0), points.max(0)
    assert (high - low)[1] == pytest.approx(METRES["lamp"], rel=1e-4)  # its longest side
    assert (high - low)[1] > 1.2 * (high - low)[[0, 2]].max()
    assert low[1] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose((low + high)[[0, 2]], 0, atol=1e-5)
    assert centre[1] < 0.45 * high[1]  # the wide foot is below
    assert mesh.volume > 0  # outward
    if suffix == "obj":
        text = (tmp_path / "lamp_00000.obj").read_text()
        assert text.count("\nvn ") == text.count("\nv ") > 100


def test_resolution_refines_the_same_shape(tiny, tmp_path):
    coarse = made(generate(tiny, tmp_path / "64", "--n", 1)) and read_manifest(tmp_path / "64")
    made(generate(tiny, tmp_path / "128", "--n", 1, "--resolution", 128))
    fine = read_manifest(tmp_path / "128")
    assert fine["shapes"][0]["faces"] > 3 * coarse["shapes"][0]["faces"]
    assert fine["shapes"][0]["volume"] == pytest.approx(coarse["shapes"][0]["volume"], rel=0.02)


# -- wrong commands --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--category", "chiar"], ["chair, lamp, vase", "did you mean 'chair'"]),
        (["--category", "zeppelin"], ["chair, lamp, vase", "'zeppelin'"]),
        (["--n", 0], ["--n", "at least 1", "0"]),
        (["--n", -3], ["--n", "-3"]),
        (["--steps", 0], ["--steps", "at least 1"]),
        (["--steps", -1], ["--steps", "-1"]),
        (["--seed", -1], ["--seed", "-1"]),
        (["--guidance", "nan"], ["--guidance", "nan"]),
        (["--guidance", -0.5], ["--guidance", "-0.5"]),
        (["--overwrite", "--resume"], ["--overwrite", "--resume"]),
    ],
    ids=lambda v: " ".join(map(str, v)) if isinstance(v, list) else None,
)
def test_wrong_arguments_are_named_and_nothing_is_written(tiny, tmp_path, args, words):
    line = error_of(generate(tiny, tmp_path / "out", *args), 2)
    assert all(word in line for word in words), line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "args", [["--n", "many"], ["--format", "fbx"], ["--resolution", "100"], ["--nn", 3], ["--n"]]
)
def test_values_that_do_not_parse_are_one_line(tiny, tmp_path, args):
    line = error_of(generate(tiny, tmp_path / "out", *args), 2)
    assert args[0] in line and line.endswith(" --help")


@pytest.mark.parametrize(
    ("args", "word"),
    [(["genrate"], "genrate"), ([], "command"), (["render"], "folder"), (["info", "a"], "a")],
)
def test_commands_that_do_not_parse_are_one_line(args, word):
    assert word in error_of(run(*args), 2)


def test_geoflow_alone_shows_its_help():
    command = [sys.executable, "-m", "geoflow"]
    done = subprocess.run(command, timeout=60, **subprocess_arguments())
    assert done.returncode == 0 and "generate" in done.stdout and done.stderr == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [("n", 0), ("steps", 0), ("seed", -1), ("guidance", float("nan")), ("guidance", -1),
     ("resolution", 100), ("category", "lmap")],
)  # fmt: skip
def test_python_names_the_same_wrong_arguments(tiny, name, value):
    with pytest.raises(ValueError, match=f"^{name} must be .*; got {value!r}"):
        load_generator(tiny, "cpu").generate(**{name: value})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu(tiny, tmp_path):
    line = error_of(generate(tiny, tmp_path / "out", "--device", "cuda"), 2)
    assert "GPU" in line and "cpu" in line and not (tmp_path / "out").exists()


# -- broken checkpoints ----------------------------------------------------------------------


def edit(folder, change):
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def truncate(folder):
    shard = next(folder.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-100])


BROKEN = {
    "truncated": (truncate, "truncated"),
    "version": (lambda f: edit(f, lambda c: c.update(version=99)), "version 99"),
    "foreign": (lambda f: edit(f, lambda c: c.update(format="other")), "not a geoflow checkpoint"),
    "no shard": (lambda f: next(f.glob("*.safetensors")).unlink(), "missing"),
    "no config": (lambda f: (f / "config.json").unlink(), "config.json"),
    "not JSON": (lambda f: (f / "config.json").write_text('{"format": '), "not JSON"),
    "no data": (lambda f: edit(f, lambda c: c.pop("data")), "data"),
    "misfit": (lambda f: edit(f, lambda c: c["network"]["arguments"].update(depth=2)), "fit"),
    "odd patch": (lambda f: edit(f, lambda c: c["network"]["arguments"].update(patch=0)), "zero"),
    "odd metres": (lambda f: edit(f, lambda c: c["data"].update(metres=[1])), "data.metres"),
    "odd transport": (lambda f: edit(f, lambda c: c["transport"].update(name=3)), "transport.name"),
    "unknown network": (lambda f: edit(f, lambda c: c["network"].update(name="X")), "'X'"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_checkpoint_is_refused(tiny, tmp_path, how):
    spoil, word = BROKEN[how]
    shutil.copytree(tiny, tmp_path / "broken")
    spoil(tmp_path / "broken")
    line = error_of(generate(tmp_path / "broken", tmp_path / "out"), 1)
    assert word in line and not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_checkpoint_with_nan_is_refused(tmp_path, value):
    line = error_of(generate(write_tiny(tmp_path / "bad", spoil=value), tmp_path / "out"), 1)
    assert "NaN" in line and "head.bias" in line and not (tmp_path / "out").exists()


def test_a_checkpoint_that_is_nowhere(tmp_path):
    line = error_of(generate("nowhere", tmp_path / "out"), 1)
    assert "'nowhere'" in line and "objects" in line


# -- files in the way, bad folders, a full disk ----------------------------------------------


def test_existing_files_are_refused_without_overwrite(tiny, tmp_path):
    made(generate(tiny, tmp_path, "--n", 2))
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    line = error_of(generate(tiny, tmp_path, "--n", 2, "--seed", 5), 1)
    assert "--overwrite" in line and "--resume" in line
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    made(generate(tiny, tmp_path, "--n", 2, "--seed", 5, "--overwrite"))
    assert read_manifest(tmp_path)["seed"] == 5
    after = meshes(tmp_path)
    assert set(after) <= set(before) and all(after[name] != before[name] for name in after)


def test_one_mesh_in_the_way_is_enough(tiny, tmp_path):
    (tmp_path / "lamp_00001.obj").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine too")
    assert "lamp_00001.obj" in error_of(generate(tiny, tmp_path, "--n", 2), 1)
    assert names(tmp_path) == ["lamp_00001.obj", "notes.txt"]
    assert (tmp_path / "lamp_00001.obj").read_text() == "mine"


@pytest.mark.parametrize("below", ["", "out"])
def test_an_out_that_cannot_be_a_folder(tiny, tmp_path, below):
    (tmp_path / "file").write_text("not a folder")
    error_of(generate(tiny, tmp_path / "file" / below, "--n", 1), 1)
    assert names(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "not a folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_out_without_permission(tiny, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    error_of(generate(tiny, tmp_path / "locked" / "out", "--n", 1), 1)
    assert names(tmp_path / "locked") == []


class FullDisk:
    """open() for files whose third mesh takes 1,000 bytes and then fails, as a full disk does."""

    def __init__(self):
        self.opened = 0

    @contextlib.contextmanager
    def __call__(self, path, mode):
        self.opened += ".obj." in Path(path).name
        full = self.opened == 3 and ".obj." in Path(path).name
        with open(path, mode) as file:
            if full:
                file.write(b"x" * 1000)
            yield self if full else file

    def write(self, data):
        raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_complete_files_and_can_be_resumed(tiny, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(files, "open", FullDisk(), raising=False)
        result = generate(tiny, tmp_path / "out", "--n", 5)
    assert result.exit_code == 1 and "Traceback" not in result.stderr
    line = result.stderr.splitlines()[-1]  # the progress bar comes before it
    assert line.startswith("geoflow: ") and "No space left" in line
    assert names(tmp_path / "out") == ["chair_00000.obj", "lamp_00001.obj", "manifest.json"]
    assert [s["index"] for s in read_manifest(tmp_path / "out")["shapes"]] == [0, 1]
    made(generate(tiny, tmp_path / "out", "--n", 5, "--resume"))
    made(generate(tiny, tmp_path / "whole", "--n", 5))
    assert meshes(tmp_path / "out") == meshes(tmp_path / "whole")


def test_a_disk_too_full_for_the_manifest(tiny, tmp_path, monkeypatch):
    def fail(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("geoflow.cli.batch.write_atomically", fail)
    assert "No space left" in error_of(generate(tiny, tmp_path / "out", "--n", 1), 1)
    assert names(tmp_path / "out") == []


# -- Ctrl-C and --resume ---------------------------------------------------------------------


def test_ctrl_c_keeps_complete_meshes_and_resume_finishes(tiny, tmp_path):
    out, n = tmp_path / "out", 24
    command = [sys.executable, "-m", "geoflow", "generate", "--checkpoint", str(tiny), "--out",
               str(out), "--device", "cpu", "--resolution", "64", "--n", str(n)]  # fmt: skip
    process = subprocess.Popen(command, **subprocess_arguments())
    try:
        deadline = time.monotonic() + 60
        while len(list(out.glob("*.obj"))) < 2 and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr and stdout == ""
    manifest = read_manifest(out)
    listed = {shape["file"] for shape in manifest["shapes"]}
    assert 0 < len(listed) < n and f"{len(listed)} of {n}" in stderr.splitlines()[-1]
    there = set(names(out)) - {"manifest.json"}
    assert listed <= there and len(there - listed) <= 1  # interrupted right after a rename
    assert all(name.endswith(".obj") and load(out / name).is_watertight for name in there)
    for shape in manifest["shapes"]:
        assert len(load(out / shape["file"]).faces) == shape["faces"]

    different = error_of(generate(tiny, out, "--n", n, "--resume", "--steps", 3), 1)
    assert "steps 2 there, 3 now" in different
    kept = {name: (out / name).stat().st_mtime_ns for name in listed}
    made(generate(tiny, out, "--n", n, "--resume"))
    assert len(read_manifest(out)["shapes"]) == n == len(list(out.glob("*.obj")))
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept
    made(generate(tiny, tmp_path / "fresh", "--n", 3))  # another process, another n
    assert meshes(tmp_path / "fresh").items() <= meshes(out).items()


def test_resume_makes_again_what_was_deleted_and_starts_where_nothing_is(tiny, tmp_path):
    made(generate(tiny, tmp_path, "--n", 3, "--resume"))
    before = meshes(tmp_path)
    (tmp_path / "lamp_00001.obj").unlink()
    made(generate(tiny, tmp_path, "--n", 3, "--resume"))
    assert meshes(tmp_path) == before


def test_resume_without_a_manifest_starts_afresh_and_says_so(tiny, tmp_path):
    result = made(generate(tiny, tmp_path / "out", "--n", 2, "--resume"))
    assert "holds no manifest to resume; starting afresh" in result.stderr.splitlines()[0]
    result = made(generate(tiny, tmp_path / "out", "--n", 2, "--resume"))
    assert "afresh" not in result.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "lamp_00001.obj").write_text("mine")
    assert "lamp_00001.obj" in error_of(generate(tiny, tmp_path / "mine", "--n", 2, "--resume"), 1)
    assert (tmp_path / "mine" / "lamp_00001.obj").read_text() == "mine"


def test_resume_with_a_smaller_n_keeps_what_is_there(tiny, tmp_path):
    made(generate(tiny, tmp_path, "--n", 4))
    before = read_manifest(tmp_path)
    (tmp_path / "chair_00000.obj").unlink()
    result = made(generate(tiny, tmp_path, "--n", 2, "--resume"))
    assert "2 of 2 shapes" in result.stdout
    after = read_manifest(tmp_path)
    assert after["n"] == 4 and [s["file"] for s in after["shapes"]] == [
        s["file"] for s in before["shapes"]
    ]
    assert after["shapes"][1:] == before["shapes"][1:]


@pytest.mark.parametrize(
    "change", [["--seed", 1], ["--format", "ply"], ["--category", "lamp"], ["--guidance", 2]]
)
def test_resume_needs_the_same_command(tiny, tmp_path, change):
    made(generate(tiny, tmp_path, "--n", 1))
    before = names(tmp_path)
    assert change[0][2:] in error_of(generate(tiny, tmp_path, "--n", 1, "--resume", *change), 1)
    assert names(tmp_path) == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"shapes": [{"index": 0}]}', "\xff"])
def test_resume_of_a_broken_manifest(tiny, tmp_path, text):
    (tmp_path / "manifest.json").write_text(text, encoding="latin-1")
    line = error_of(generate(tiny, tmp_path, "--n", 1, "--resume"), 1)
    assert "manifest.json" in line and names(tmp_path) == ["manifest.json"]


# -- start-up --------------------------------------------------------------------------------


def test_help_is_quick_and_loads_no_torch():
    command, seconds = [sys.executable, "-m", "geoflow", "--help"], []
    for _ in range(3):
        begin = time.perf_counter()
        done = subprocess.run(command, timeout=60, **subprocess_arguments())
        seconds.append(time.perf_counter() - begin)
        assert done.returncode == 0
    for word in ("generate", "render", "evaluate", "train", "recipes", "info"):
        assert word in done.stdout
    assert min(seconds) < 1.0, seconds  # 0.5 s on an idle machine
    loaded = python(
        "import sys\nfrom geoflow.cli import app\n"
        "try: app(['--help'])\nexcept SystemExit: print(' '.join(sys.modules))"
    ).split()
    assert not {"torch", "scipy", "trimesh", "pyvista", "open3d", "skimage"} & set(loaded)


def test_import_geoflow_is_light():
    loaded = set(python("import sys, geoflow; print(' '.join(sys.modules))").split())
    assert "geoflow" in loaded
    assert not {"torch", "gradio", "pyvista", "vtkmodules", "open3d", "trimesh"} & loaded


def test_the_generator_loads_without_the_compiler():
    code = "import sys, geoflow; geoflow.load_generator('objects', 'cpu'); print(*sys.modules)"
    assert "torch._dynamo" not in python(code).split()


# -- the other commands ----------------------------------------------------------------------


@pytest.fixture
def needs_drawing():
    from geoflow.render.studio import _rendering_error

    if _rendering_error() is not None:
        pytest.skip(f"cannot draw here: {_rendering_error()}")


def test_render_draws_a_sheet_of_every_format(tiny, tmp_path, needs_drawing):
    from PIL import Image

    for seed, suffix in enumerate(["obj", "glb", "3mf"]):
        made(generate(tiny, tmp_path / str(seed), "--n", 1, "--format", suffix))
        shutil.copy(tmp_path / str(seed) / f"chair_00000.{suffix}", tmp_path)
    result = made(run("render", tmp_path, "-o", tmp_path / "sheet.png", "--columns", 3))
    assert "3 shapes" in result.stdout and len(result.stdout.splitlines()) == 1
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG" and sheet.width == 3 * 256
        tiles = np.asarray(sheet.convert("L"), float)[:256].reshape(256, 3, 256)
    assert (tiles.std(axis=(0, 2)) > 5).all()  # every tile shows something


def test_render_refuses_what_it_cannot_draw(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "generate some first" in error_of(run("render", empty), 1)
    assert "nowhere" in error_of(run("render", tmp_path / "nowhere"), 2)
    assert ".png" in error_of(run("render", empty, "-o", tmp_path / "sheet.jpg"), 2)
    assert "--columns" in error_of(run("render", empty, "--columns", 0), 2)
    assert "--limit" in error_of(run("render", empty, "--limit", 0), 2)
    assert names(tmp_path) == ["empty"]


def test_render_without_opengl_is_one_line(tiny, tmp_path, monkeypatch):
    made(generate(tiny, tmp_path, "--n", 1))
    monkeypatch.setattr("geoflow.render.studio._rendering_error", lambda: "no OpenGL")
    result = run("render", tmp_path, "-o", tmp_path / "sheet.png")
    assert result.exit_code == 1 and not isinstance(result.exception, RuntimeError)
    assert "libegl1" in result.stderr.splitlines()[-1]


def test_render_says_how_to_replace_a_picture(tiny, tmp_path, needs_drawing):
    made(generate(tiny, tmp_path, "--n", 1))
    (tmp_path / "sheet.png").write_bytes(b"mine")
    line = error_of(run("render", tmp_path, "-o", tmp_path / "sheet.png"), 1)
    assert "--overwrite" in line
    assert (tmp_path / "sheet.png").read_bytes() == b"mine"
    made(run("render", tmp_path, "-o", tmp_path / "sheet.png", "--overwrite"))


def test_recipes_prints_every_recipe():
    from geoflow.recipes import RECIPES

    text = made(run("recipes")).stdout
    for make in RECIPES.values():
        assert make().name in text and make().summary in text


def test_train_refuses_wrong_commands(tmp_path):
    line = error_of(run("train", "objects-sfd", "--data", tmp_path, "--out", tmp_path / "run"), 2)
    assert "objects-sdf" in line and "did you mean" in line
    options = ["--data", tmp_path / "none", "--out", tmp_path / "run", "--device", "cpu"]
    error_of(run("train", "objects-sdf-tiny", *options), 1)
    assert "--steps" in error_of(run("train", "objects-sdf-tiny", *options, "--steps", 0), 2)
    assert "--batch" in error_of(run("train", "objects-sdf-tiny", *options, "--batch", 0), 2)
    assert names(tmp_path) == []


# -- the bundled weights ---------------------------------------------------------------------


@needs_bundled
def test_bundled_weights_give_closed_meshes_of_real_size(tmp_path):
    for name in "ab":
        made(generate("objects", tmp_path / name, "--n", 3, "--resolution", 128))
    assert meshes(tmp_path / "a") == meshes(tmp_path / "b")
    generator = load_generator("objects", "cpu")
    for shape in read_manifest(tmp_path / "a")["shapes"]:
        mesh = load(tmp_path / "a" / shape["file"])
        assert mesh.is_watertight and mesh.volume > 0 and np.isfinite(mesh.vertices).all()
        assert mesh.extents.max() == pytest.approx(generator.metres[shape["category"]], rel=1e-3)
        assert mesh.bounds[0, 1] == pytest.approx(0, abs=1e-6)


@needs_bundled
def test_info_shows_versions_and_the_bundled_checkpoint():
    text = made(run("info")).stdout
    assert f"geoflow {geoflow.__version__}" in text and torch.__version__ in text
    names = [f"checkpoint {name} " for name in ("objects", "points", "characters")]
    for word in ("open3d", "pyvista", "chair", "creature", "M parameters", *names):
        assert word in text


@needs_bundled
def test_a_folder_of_the_bundled_name_does_not_hide_it(tiny, tmp_path, monkeypatch):
    bundled = load_generator("objects", "cpu").digest
    shutil.copytree(tiny, tmp_path / "objects")
    monkeypatch.chdir(tmp_path)
    assert load_generator("objects", "cpu").digest == bundled
    for folder in ("./objects", Path("objects")):
        assert load_generator(folder, "cpu").digest != bundled
