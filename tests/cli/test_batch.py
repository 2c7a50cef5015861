"""Folders of clouds, or of their meshes: files, manifest, resuming, what the command refuses."""

import json

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import cKDTree
from typer.testing import CliRunner

from geoflow.cli import app
from geoflow.cli import batch as batches
from geoflow.cli.batch import Batch, Order
from geoflow.clouds.mesher import CloudMesher
from geoflow.clouds.model import PointGenerator
from geoflow.io import meshes as export
from geoflow.model.checkpoint import has_checkpoint, load_checkpoint
from geoflow.model.maker import Request
from geoflow.pretrained import load_generator

METRES = {"chair": 1.0, "lamp": 0.5, "vase": 0.25}


def generate(out, *args, form="ply"):
    """`geoflow generate --backbone points` on the CPU."""
    common = ["--backbone", "points", "--out", out, "--device", "cpu", "--steps", 1]
    return CliRunner().invoke(app, ["generate", *map(str, [*common, "--format", form, *args])])


def made(result):
    assert result.exit_code == 0, (result.stderr, result.exception)
    return result


def error_of(result, code):
    lines = result.stderr.splitlines()
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    assert len(lines) == 1 and lines[0].startswith("geoflow: ") and result.stdout == "", lines
    return lines[0]


def clouds(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix == ".ply"}


def test_generate_writes_clouds_and_a_manifest_of_them(tiny_points, tmp_path):
    result = made(generate(tmp_path, "--checkpoint", tiny_points, "--n", 4, "--seed", 7))
    assert set(clouds(tmp_path)) == {
        "chair_00000.ply", "lamp_00001.ply", "vase_00002.ply", "chair_00003.ply"
    }  # fmt: skip
    assert "4 of 4 shapes" in result.stdout and "8,192 points" in result.stdout
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    shapes = manifest.pop("shapes")
    assert manifest["checkpoint"] == load_checkpoint(tiny_points)[2]
    assert manifest.keys() == {"geoflow", "checkpoint", "device", "n", "steps", "category", "seed",
                               "guidance", "format"}  # fmt: skip
    assert manifest["format"] == "ply"
    known = load_generator(tiny_points, "cpu").generate(4, steps=1, seed=7)
    for shape, cloud in zip(shapes, known, strict=True):
        seconds = shape.pop("seconds")
        name = f"{cloud.metadata['category']}_{cloud.metadata['index']:05d}.ply"
        assert seconds > 0 and shape == cloud.metadata | {"file": name, "points": 2048}
        points, normals = export.read_points(tmp_path / name)
        np.testing.assert_allclose(points, cloud.vertices, atol=1e-6)
        assert normals is None
        assert np.ptp(points, axis=0).max() == pytest.approx(METRES[shape["category"]], rel=1e-5)


def test_clouds_are_resumed_kept_and_overwritten(tiny_points, tmp_path):
    options = ["--checkpoint", tiny_points, "--n", 3]
    made(generate(tmp_path / "a", *options))
    whole = clouds(tmp_path / "a")
    line = error_of(generate(tmp_path / "a", *options, "--seed", 1), 1)
    assert "--overwrite" in line and "--resume" in line and clouds(tmp_path / "a") == whole
    (tmp_path / "a" / "lamp_00001.ply").unlink()
    made(generate(tmp_path / "a", *options, "--resume"))
    assert clouds(tmp_path / "a") == whole
    line = error_of(generate(tmp_path / "a", *options, "--resume", "--guidance", 2), 1)
    assert "guidance 1.0 there, 2.0 now" in line
    made(generate(tmp_path / "a", *options, "--seed", 1, "--overwrite"))
    after = clouds(tmp_path / "a")
    assert set(after) == set(whole) and all(after[name] != whole[name] for name in after)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "vase_00002.ply").write_text("mine")
    assert "vase_00002.ply" in error_of(generate(tmp_path / "b", *options), 1)
    assert (tmp_path / "b" / "vase_00002.ply").read_text() == "mine"


def test_an_interrupted_run_leaves_whole_clouds_and_a_manifest(tiny_points, tmp_path, monkeypatch):
    """Ctrl-C while the third cloud is written."""
    written = []

    def interrupt(path, blocks, count):
        written.append(path)
        if len(written) == 3:
            raise KeyboardInterrupt
        write(path, blocks, count)

    write = batches.write_cloud
    monkeypatch.setattr(batches, "write_cloud", interrupt)
    generator = load_generator(tiny_points, "cpu")
    order = Order(5, Request(steps=1), "ply", generator.categories)
    batch = Batch(tmp_path, order, generator.digest, "cpu")
    batch.begin()
    with pytest.raises(KeyboardInterrupt):
        list(batch.run(generator))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert {s["file"] for s in manifest["shapes"]} == set(clouds(tmp_path))
    assert len(manifest["shapes"]) == 2 and batch.missing() == [2, 3, 4]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--format", "fbx"], 2, ["fbx"]),
        (["--resolution", "64"], 2, ["--resolution is of meshes"]),
        (["--checkpoint", "TINY", "--category", "chiar"], 2, ["did you mean 'chair'"]),
        (["--checkpoint", "nowhere"], 1, ["'nowhere'"]),
        (["--checkpoint", "objects"], 1, ["that makes clouds; 'objects' makes meshes"]),
        (["--checkpoint", "TINY", "--backbone", "grid"], 1, ["that makes meshes", "makes clouds"]),
        (["--backbone", "voxels"], 2, ["voxels"]),
    ],
)
def test_wrong_commands_are_one_line_and_write_nothing(tiny_points, tmp_path, args, code, words):
    args = [tiny_points if word == "TINY" else word for word in args]
    line = error_of(generate(tmp_path / "out", *args), code)
    assert all(word in line for word in words), line
    assert not (tmp_path / "out").exists()


needs_points = pytest.mark.skipif(
    not has_checkpoint("points"), reason="the bundled checkpoint is not in this installation"
)


@needs_points
def test_without_ply_the_clouds_become_closed_meshes(tmp_path):
    options = ["--category", "table", "--n", 2, "--resolution", 64]
    result = made(generate(tmp_path / "meshes", *options, form="obj"))
    assert "2 of 2 shapes" in result.stdout and "2 watertight" in result.stdout
    made(generate(tmp_path / "clouds", *options[:4]))
    for name in ("table_00000", "table_00001"):
        mesh = trimesh.load(tmp_path / "meshes" / f"{name}.obj")
        points, _ = export.read_points(tmp_path / "clouds" / f"{name}.ply")
        assert mesh.is_watertight
        assert mesh.extents.max() == pytest.approx(np.ptp(points, axis=0).max(), rel=0.03)
        near = cKDTree(trimesh.sample.sample_surface(mesh, 20_000, seed=0)[0]).query(points)[0]
        assert np.median(near) < 0.03 * mesh.extents.max()
    before = (tmp_path / "meshes" / "table_00001.obj").read_bytes()
    made(generate(tmp_path / "one", *options[:2], "--n", 3, *options[4:], form="obj"))
    assert (tmp_path / "one" / "table_00001.obj").read_bytes() == before
    line = error_of(generate(tmp_path / "meshes", *options, "--resume", form="glb"), 1)
    assert "format obj there, glb now" in line


@needs_points
def test_names_and_sizes_are_those_of_the_clouds(tiny_points, tmp_path):
    made(generate(tmp_path, "--checkpoint", tiny_points, "--n", 3, "--resolution", 64, form="obj"))
    shapes = json.loads((tmp_path / "manifest.json").read_text())["shapes"]
    assert [s["file"] for s in shapes] == [f"{s['category']}_{s['index']:05d}.obj" for s in shapes]
    for shape in shapes:
        size = trimesh.load(tmp_path / shape["file"]).extents.max()
        assert size == pytest.approx(METRES[shape["category"]], rel=1e-3)


@needs_points
def test_surfaces_need_a_network_that_knows_the_category(tiny_points):
    config, weights, digest = load_checkpoint(tiny_points)
    config["data"]["categories"] = ["chair", "lamp", "zebra"]
    clouds = PointGenerator(config, weights, digest, torch.device("cpu"))
    with pytest.raises(ValueError, match=r"does not know zebra; write clouds \(--format ply\)"):
        CloudMesher(clouds, load_generator("objects", "cpu"))


def test_evaluate_reads_generated_clouds(tiny_points, tmp_path):
    for seed, name in enumerate("ab"):
        made(generate(tmp_path / name, "--checkpoint", tiny_points, "--n", 6, "--seed", seed))
    args = ["evaluate", tmp_path / "a", tmp_path / "b", "--device", "cpu", "--points", 128]
    result = made(CliRunner().invoke(app, list(map(str, args))))
    assert all(name in result.stdout for name in METRES)
