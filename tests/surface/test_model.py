"""A surface: training lowers the distance and goes on after a stop; errors are a line."""

import dataclasses
import json
import math
import shutil

import numpy as np
import pytest
import torch
import trimesh
from recording import record_times
from typer.testing import CliRunner

from geoflow.cli import app
from geoflow.flow import targets
from geoflow.pretrained import load_surface
from geoflow.recipes import get_recipe
from geoflow.scores.distances import mean_nearest
from geoflow.surface import model as surfaces
from geoflow.surface.data import read_shape
from geoflow.surface.recipes import SURFACE_FORMS, shape_distribution
from geoflow.training import loop as training
from geoflow.training.trainer import Trainer

TINY = ["--set", "width=24", "--set", "depth=1", "--set", "batch=256", "--device", "cpu"]
TEXTURE = ["--set", "texture=true"]


@pytest.fixture(scope="module", autouse=True)
def small():
    """One thread, since threads would wait for each other; and a small pool of paths."""
    threads, parts = torch.get_num_threads(), targets.FIRST_PARTS
    torch.set_num_threads(1)
    targets.FIRST_PARTS = 1
    yield
    torch.set_num_threads(threads)
    targets.FIRST_PARTS = parts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A torus of 3 units away from the origin as ring.ply, coloured; and as ring.npz."""
    where = tmp_path_factory.mktemp("meshes")
    mesh = trimesh.creation.torus(2.0, 0.5, major_sections=24, minor_sections=12)
    mesh.apply_translation([0, 0, 30])
    shade = (mesh.vertices[:, :1] + 2.5) / 5
    np.savez(where / "ring.npz", vertices=mesh.vertices, faces=mesh.faces)
    rgb = np.rint(255 * np.tile(shade, (1, 3))).astype(np.uint8)
    mesh.visual.vertex_colors = np.hstack([rgb, np.full((len(rgb), 1), 255, np.uint8)])
    mesh.export(where / "ring.ply")
    return where


def run(*args):
    return CliRunner().invoke(app, ["distribution", *map(str, args)])


def fit(mesh, *options, form=""):
    order = ["train", f"shape-distribution{form}", "--data", mesh, *options]
    return CliRunner().invoke(app, list(map(str, order)))


def made(result):
    assert result.exit_code == 0, (result.stderr, result.exception)
    return result


def error_of(result, code):
    """The text of an error: one line on stderr, nothing on stdout, this exit code."""
    lines = result.stderr.splitlines()
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    assert len(lines) == 1 and lines[0].startswith("geoflow: ") and result.stdout == "", lines
    return lines[0]


@pytest.fixture(scope="module")
def fitted(folder, tmp_path_factory):
    """Coloured, 250 steps."""
    out = tmp_path_factory.mktemp("runs") / "ring"
    made(fit(folder / "ring.ply", "--out", out, *TEXTURE, "--steps", 250, *TINY))
    return out


def cloud_distance(model, n=2048, **options) -> float:
    """CD in units of the frame's scale, both ways added, to fresh points of the ring."""
    cloud = np.concatenate(list(model.stream(n, **options)))[:, :3]
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, (2, 4 * n))
    keep = np.random.default_rng(1).uniform(0, 1.25, 4 * n) < 1 + 0.25 * np.cos(angle[1])
    a, b = angle[:, keep][:, :n]
    ring = 2 + 0.5 * np.cos(b)
    truth = np.stack([ring * np.cos(a), ring * np.sin(a), 30 + 0.5 * np.sin(b)], 1)
    return sum(mean_nearest(cloud, truth)) / model.frame.scale


# -- fitting ----------------------------------------------------------------------------------


def test_a_fit_lowers_the_distance_and_lands_in_the_meshs_own_frame(fitted, folder, tmp_path):
    made(fit(folder / "ring.npz", "--out", tmp_path / "raw", "--steps", 1, *TINY))
    raw, model = load_surface(tmp_path / "raw"), load_surface(fitted)
    assert raw.frame.channels == 3 and model.frame.channels == 6
    before, after = (cloud_distance(m, steps=6) for m in (raw, model))
    assert after < 0.65 and after < 0.75 * before
    points = np.concatenate(list(model.stream(2048, steps=6)))
    assert np.abs(points[:, :3].mean(0) - [0, 0, 30]).max() < 0.3
    shade = (points[:, 0] + 2.5) / 5
    assert np.corrcoef(shade, points[:, 3])[0, 1] > 0.7


def test_few_calls_are_spent_late(fitted):
    """The recipe's lead is in the checkpoint, and three calls ask the network at its times."""
    model = load_surface(fitted)
    assert model.sampling.lead == get_recipe("shape-distribution").lead > 0.5
    asked = record_times(model)
    next(model.stream(8, steps=3))
    assert [t for t, _ in asked] == pytest.approx([0, 0.8, 0.9], abs=1e-5)
    asked.clear()
    next(model.stream(8, steps=3, cumulative=False))
    assert [t for t, _ in asked] == pytest.approx([0, 1 / 3, 2 / 3], abs=1e-5)


def test_the_last_call_goes_to_the_mean_if_the_checkpoint_says_so(fitted):
    model = load_surface(fitted)
    assert not model.sampling.mean_last
    model.sampling = dataclasses.replace(model.sampling, mean_last=True)
    asked = record_times(model)
    next(model.stream(8, steps=3))
    assert [t == r for t, r in asked] == [False, False, True]


def test_the_data_have_unit_variance_as_the_transport_assumes(fitted):
    config = json.loads((fitted / "checkpoint" / "config.json").read_text())
    assert config["transport"] == {"name": "EDM", "arguments": {"data_std": 1.0}}
    assert config["data"]["centre"] == pytest.approx([0, 0, 30], abs=1e-6)
    assert load_surface(fitted).transport.data_std == 1


@pytest.mark.slow
@pytest.mark.parametrize("form", ["-fm", "-u"])
def test_other_forms_fit_too(form, folder, tmp_path):
    out = tmp_path / "run"
    made(fit(folder / "ring.npz", "--out", out, "--steps", 150, *TINY, form=form))
    assert cloud_distance(load_surface(out), steps=6) < 0.7


def test_an_interrupted_fit_goes_on_to_the_same_weights(folder, tmp_path, monkeypatch):
    order = [folder / "ring.npz", "--steps", 20, *TINY]
    made(fit(*order, "--out", tmp_path / "whole"))
    step = Trainer.train_step

    def stop(trainer):
        if trainer.step == 10:
            raise KeyboardInterrupt
        error = step(trainer)
        if trainer.step == 10:
            trainer.save(tmp_path / "cut")
        return error

    monkeypatch.setattr(Trainer, "train_step", stop)
    assert fit(*order, "--out", tmp_path / "cut").exit_code == 130
    monkeypatch.undo()
    assert "--resume" in error_of(fit(*order, "--out", tmp_path / "cut"), 1)
    made(fit(folder / "ring.npz", *TINY, "--out", tmp_path / "cut", "--resume"))
    clouds = [next(load_surface(tmp_path / name).stream(99)) for name in ("whole", "cut")]
    assert np.array_equal(*clouds)


def test_minutes_become_a_length_of_the_run(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "MEASURED", 0.05)
    result = made(
        fit(folder / "ring.npz", "--out", tmp_path / "run", "--minutes", 0.01, "--fit", *TINY)
    )
    stored = json.loads((tmp_path / "run/checkpoint/config.json").read_text())["training"]
    assert stored["step"] == stored["steps"] >= 2
    assert "measuring" in result.stderr


@pytest.mark.parametrize(
    ("change", "form", "code"),
    [([], "-u", 1), (["--seed", 1], "", 1), (["--set", "width=16"], "", 2)],
)
def test_resume_refuses_another_run(change, form, code, fitted, folder):
    order = [folder / "ring.ply", *TEXTURE, "--out", fitted, *TINY, "--resume", *change]
    before = (fitted / "state.safetensors").read_bytes()
    assert "another --out" in error_of(fit(*order, form=form), code)
    assert (fitted / "state.safetensors").read_bytes() == before


def test_resume_refuses_another_mesh(fitted, folder, tmp_path):
    mesh = trimesh.load(folder / "ring.ply", process=False)
    mesh.apply_scale(2)
    mesh.export(tmp_path / "other.ply")
    again = ["--out", fitted, *TINY, *TEXTURE, "--resume"]
    assert "another --data" in error_of(fit(tmp_path / "other.ply", *again), 1)
    made(fit(folder / "ring.ply", *again))


def test_every_form_counts_errors_in_units_of_the_raw_output():
    for form in ("EDM", "x1-FM", "u-FM"):
        recipe = shape_distribution(form)
        assert recipe.loss.raw_units and recipe.loss.adaptive is None
        assert recipe.name == SURFACE_FORMS[form][0]
    with pytest.raises(ValueError, match="form must be one of"):
        shape_distribution("DDPM")


# -- sampling ---------------------------------------------------------------------------------


def test_point_i_depends_on_the_seed_and_i_alone(fitted, monkeypatch):
    monkeypatch.setattr(surfaces, "BLOCK", 64)
    model = load_surface(fitted)
    whole = np.concatenate(list(model.stream(200, seed=3)))
    assert whole.shape == (200, 6) and whole.dtype == np.float32
    assert np.array_equal(np.concatenate(list(model.stream(70, seed=3))), whole[:70])
    assert not np.array_equal(next(model.stream(70, seed=4)), whole[:64])
    assert not np.array_equal(whole[:64], whole[64:128])


def test_sample_writes_the_same_file_again(fitted, tmp_path):
    for name in ("a.ply", "b.ply"):
        text = made(run("sample", fitted, "--n", 20_000, "--out", tmp_path / name)).stdout
        assert "20,000 points" in text
    assert (tmp_path / "a.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()
    cloud = trimesh.load(tmp_path / "a.ply", process=False)
    assert cloud.vertices.shape == (20_000, 3) and cloud.colors.shape == (20_000, 4)


def test_an_interrupted_or_failing_sample_leaves_the_old_file(fitted, tmp_path, monkeypatch):
    path = tmp_path / "cloud.ply"
    path.write_bytes(b"mine")
    assert "--overwrite" in error_of(run("sample", fitted, "--out", path, "--n", 5), 1)

    def broken(self, *args):
        yield np.zeros((5, 3), np.float32)
        raise KeyboardInterrupt

    monkeypatch.setattr(surfaces.SurfaceModel, "stream", broken)
    assert run("sample", fitted, "--out", path, "--overwrite").exit_code == 130
    assert [p.name for p in tmp_path.iterdir()] == ["cloud.ply"] and path.read_bytes() == b"mine"


# -- bad input --------------------------------------------------------------------------------


def test_wrong_commands_are_usage_errors(fitted, folder, tmp_path):
    out = tmp_path / "run"
    for option, value in (("--minutes", 0), ("--minutes", math.nan), ("--seed", -1)):
        assert option in error_of(fit(folder / "ring.npz", "--out", out, option, value), 2)
    for setting in ("steps=0", "batch=0", "colour=true"):
        line = error_of(fit(folder / "ring.npz", "--out", out, "--set", setting), 2)
        assert setting.split("=")[0] in line
    for width in ("0", "-1"):
        line = error_of(fit(folder / "ring.npz", "--out", out, "--set", f"width={width}"), 1)
        assert "width of a network must be at least 1" in line
    for option, value in (("--n", 0), ("--n", -5), ("--steps", 0), ("--seed", -1),
                          ("--out", "cloud.stl")):  # fmt: skip
        assert option in error_of(run("sample", fitted, option, value), 2)
    assert not out.exists()


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_bad_meshes_are_one_line_and_leave_nothing(folder, tmp_path):
    flat, face = np.zeros((3, 3)), np.array([[0, 1, 2]])
    torn = flat.copy()
    torn[1, 1] = np.nan
    (tmp_path / "rubbish.npz").write_bytes(b"PK rubbish")
    (tmp_path / "empty.ply").write_bytes(b"")
    good = np.eye(3)
    bad = {
        folder / "none.ply": "existing file",
        tmp_path / "empty.ply": "empty.ply",
        tmp_path / "rubbish.npz": "rubbish.npz",
        save(tmp_path / "flat.npz", vertices=flat, faces=face): "area",
        save(tmp_path / "nan.npz", vertices=torn, faces=face): "finite",
        save(tmp_path / "nothing.npz", vertices=flat, faces=face[:0]): "at least one face",
        save(tmp_path / "half.npz", vertices=flat): "vertices and faces",
        save(tmp_path / "index.npz", vertices=good, faces=face + 1): "face indices",
        save(tmp_path / "words.npz", vertices=np.array([["a"] * 3]), faces=face): "numbers",
        save(tmp_path / "objects.npz", vertices=np.array([{}, None, 1]), faces=face): "objects.npz",
    }  # fmt: skip
    for path, word in bad.items():
        line = error_of(fit(path, "--out", tmp_path / "run", "--steps", 1, *TINY), 1)
        assert word in line, line
    dark = save(tmp_path / "dark.npz", vertices=good, faces=face, colours=good - 5)
    for path, word in ((folder / "ring.npz", "texture"), (dark, "colours must be")):
        order = [path, *TEXTURE, "--out", tmp_path / "run", "--steps", 1, *TINY]
        assert word in error_of(fit(*order), 1)
    assert not (tmp_path / "run").exists()


def test_npz_colours_are_read(tmp_path):
    path = save(tmp_path / "a.npz", vertices=np.eye(3), faces=[[0, 1, 2]], colours=np.eye(3))
    vertices, _, look = read_shape(path, texture=True)
    assert look is not None and np.array_equal(look.corners[0], np.eye(3))
    assert np.array_equal(vertices, np.eye(3)) and read_shape(path)[2] is None


def test_what_is_no_run_is_one_line(fitted, folder, tmp_path):
    out = ["--out", tmp_path / "cloud.ply", "--n", 5]
    assert "must be a folder" in error_of(run("sample", tmp_path / "none", *out), 1)
    assert "config.json" in error_of(run("sample", folder, *out), 1)
    for i, (old, new, word) in enumerate((
        ('"name": "PointMLP"', '"name": "GridTransformer"', "makes meshes"),
        ('"scale": ', '"scale": -', "data.scale"),
        ('"colour_mean"', '"colour_moan"', "channels"),
        ('"centre": [', '"centre": [1, ', "data.centre"),
    )):  # fmt: skip
        broken = tmp_path / f"broken{i}"
        shutil.copytree(fitted, broken)
        path = broken / "checkpoint" / "config.json"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        assert word in error_of(run("sample", broken, *out), 1)
    assert not (tmp_path / "cloud.ply").exists()
