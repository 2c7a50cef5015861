"""data_prep/objects.py: resuming, and bad input in one line."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("igl")
trimesh = pytest.importorskip("trimesh")
from loading import load_module  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from geoflow.data.shards import ShapeDataset, ShapeWriter  # noqa: E402

SCRIPT = Path(__file__).resolve().parents[2] / "data_prep" / "objects.py"


@pytest.fixture(scope="module")
def objects():
    return load_module("data_prep_objects", SCRIPT)


@pytest.fixture
def source(tmp_path):
    """Six good meshes of two classes and three bad ones."""
    root = tmp_path / "source"
    for number in range(6):
        folder = root / ("cup" if number % 2 else "bed")
        folder.mkdir(parents=True, exist_ok=True)
        box = trimesh.creation.box((1 + number, 2, 1))
        box.export(folder / f"thing_{number:05d}.{'obj' if number % 3 else 'ply'}")
    (root / "bed" / "broken_00008.glb").write_bytes(b"glTF nonsense")
    (root / "bed" / "empty_00009.obj").write_text("")
    (root / "bed" / "nan_00010.obj").write_text("v 0 0 0\nv nan 0 1\nv 0 1 0\nf 1 2 3\n")
    return root


def run(objects, *arguments):
    return CliRunner().invoke(objects.app, [str(argument) for argument in arguments])


FAST = ("--resolution", 16, "--points", 32, "--processes", 1)


def contents(folder):
    data = ShapeDataset.open(folder)
    sdf, _, names = data.load_sdf(16, "all")
    points, _ = data.load_points("all")
    order = np.argsort(names)
    return sorted(names), sdf[order], points[order], data.scales("all")[order]


def test_converts_and_records_failures(objects, source, tmp_path):
    result = run(objects, source, "--out", tmp_path / "out", *FAST)
    assert result.exit_code == 0, result.output
    names, sdf, _, scales = contents(tmp_path / "out")
    assert names == sorted(f"{'cup' if n % 2 else 'bed'}/thing_{n:05d}" for n in range(6))
    assert (sdf < 0).any(axis=(1, 2, 3)).all()
    np.testing.assert_allclose(np.sort(scales), [2, 2, 3, 4, 5, 6])
    lines = (tmp_path / "out" / "failures.jsonl").read_text().splitlines()
    failed = {json.loads(line)["name"] for line in lines}
    assert failed == {"bed/broken_00008", "bed/empty_00009", "bed/nan_00010"}


def test_resumed_run_gives_the_same_data_set(objects, source, tmp_path, monkeypatch):
    run(objects, source, "--out", tmp_path / "whole", *FAST)
    monkeypatch.setattr("geoflow.data.shards.SHARD_SIZE", 2)
    flush, flushed = ShapeWriter.flush, []

    def killed_while_writing(self):
        flushed.append(len(flushed))
        if len(flushed) == 2:  # the second shard is half written when the process dies
            (self.folder / "00001.sdf16.npz").write_bytes(b"half")
            raise KeyboardInterrupt
        flush(self)

    monkeypatch.setattr(ShapeWriter, "flush", killed_while_writing)
    assert run(objects, source, "--out", tmp_path / "cut", *FAST).exit_code == 130
    assert len(ShapeDataset.open(tmp_path / "cut").rows()) == 2
    monkeypatch.setattr(ShapeWriter, "flush", flush)
    assert run(objects, source, "--out", tmp_path / "cut", *FAST).exit_code == 0
    for whole, cut in zip(contents(tmp_path / "whole"), contents(tmp_path / "cut"), strict=True):
        np.testing.assert_array_equal(whole, cut)
    result = run(objects, source, "--out", tmp_path / "cut", *FAST)
    assert "0 shapes added" in result.output


def test_zip_two_processes_and_split(objects, source, tmp_path):
    archive = tmp_path / "source.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in source.glob("*/thing*"):
            file.write(path, path.relative_to(source).as_posix())
    flags = [
        "--resolution",
        "16",
        "--points",
        "0",
        "--processes",
        "2",
        "--only-split",
        "validation",
    ]
    command = [sys.executable, SCRIPT, archive, "--out", tmp_path / "o", *flags]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert [row["name"] for row in ShapeDataset.open(tmp_path / "o").rows()] == ["cup/thing_00003"]


def test_z_up_sources_are_turned(objects, tmp_path):
    (tmp_path / "s" / "pole").mkdir(parents=True)
    trimesh.creation.box((0.5, 1, 4)).export(tmp_path / "s" / "pole" / "a_1.obj")
    run(objects, tmp_path / "s", "--out", tmp_path / "o", *FAST, "--up", "z")
    inside = np.argwhere(ShapeDataset.open(tmp_path / "o").load_sdf(16, "all")[0][0] < 0)
    assert np.ptp(inside, axis=0).argmax() == 1


def test_order_mixes_the_classes_and_is_fixed(objects, source):
    names = [found.name for found in objects.mixed_sources([source])]
    assert names == [found.name for found in objects.mixed_sources([source])]
    assert names != sorted(names)


def test_stray_vertices_are_refused(objects):
    mesh = trimesh.creation.icosphere(3, 0.5)
    vertices = np.concatenate([mesh.vertices, [[50, 0, 0], [50, 0, 0.001], [50, 0.001, 0]]])
    faces = np.concatenate(
        [mesh.faces, [[len(vertices) - 3, len(vertices) - 2, len(vertices) - 1]]]
    )
    objects.check_extent(mesh.vertices, mesh.faces)
    with pytest.raises(ValueError, match="far away"):
        objects.check_extent(vertices, faces)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("/nowhere", "--out", "OUT"), 2, "does not exist"),
        (("SOURCE", "--out", "OUT", "--up", "w"), 2, "--up must be one of x, y, z"),
        (
            ("SOURCE", "--out", "OUT", "--only-split", "test"),
            2,
            "--only-split must be one of train, validation",
        ),
        (("EMPTY", "--out", "OUT"), 1, "SOURCE must hold CLASS/NAME.(drc|"),
        (("FILE", "--out", "OUT"), 1, "folder or a zip"),
        (("SOURCE", "--out", "FILE"), 1, "File exists"),
    ],
)
def test_bad_input_is_one_line(objects, source, tmp_path, arguments, code, message):
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "FILE").write_text("no zip")
    places = {name: tmp_path / name for name in ("OUT", "EMPTY", "FILE")} | {"SOURCE": source}
    result = run(objects, *(places.get(argument, argument) for argument in arguments))
    assert result.exit_code == code
    assert message in result.stderr and result.stderr.count("\n") == 1


def test_data_set_of_other_settings_is_refused(objects, source, tmp_path):
    run(objects, source, "--out", tmp_path / "o", *FAST)
    result = run(objects, source, "--out", tmp_path / "o", "--resolution", 32, "--processes", 1)
    assert result.exit_code == 1 and "resolutions" in result.output


def test_a_missing_reader_is_told_before_the_work(objects, source, tmp_path, monkeypatch):
    """Only where a mesh needs it; without this, every such mesh would fail by itself."""
    monkeypatch.setitem(sys.modules, "DracoPy", None)
    assert run(objects, source, "--out", tmp_path / "without", *FAST).exit_code == 0
    (source / "bed" / "packed_00011.drc").write_bytes(b"")
    result = run(objects, source, "--out", tmp_path / "o", *FAST)
    assert result.exit_code == 1 and not (tmp_path / "o").exists()
    assert result.stderr == (
        "geoflow: the module DracoPy must be installed; it is not; pip install 'geoflow[data]'\n"
    )


def test_a_damaged_zip_is_one_line(objects, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("bed/a.obj", "v 0 0 0\n" * 100)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[data.index(b"PK\x01\x02")] = 0  # its table of contents
    (tmp_path / "a.zip").write_bytes(data)
    result = run(objects, tmp_path / "a.zip", "--out", tmp_path / "o", *FAST)
    assert result.exit_code == 1
    assert "a.zip" in result.stderr and result.stderr.count("\n") == 1
