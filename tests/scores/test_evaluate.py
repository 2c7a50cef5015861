"""geoflow evaluate: scores of folders whose answers are known, and every bad input in one line."""

import json

import numpy as np
import pytest
import trimesh
from typer.testing import CliRunner

from geoflow.cli import app
from geoflow.cli.evaluate import print_table
from geoflow.io import meshes as export
from geoflow.scores import distances, evaluate
from geoflow.scores import folders as shape_sets
from geoflow.scores import sets as metrics


def write(folder, name, solid):
    folder.mkdir(exist_ok=True)
    export.write_mesh(folder / name, np.asarray(solid.vertices), np.asarray(solid.faces))


def write_cloud(folder, name, points):
    folder.mkdir(exist_ok=True)
    trimesh.PointCloud(points).export(folder / name)


def box(*sides):
    return trimesh.creation.box(extents=sides)


def sphere(radius, place=(0, 0, 0)):
    solid = trimesh.creation.icosphere(subdivisions=2, radius=radius)
    return solid.apply_translation(place)


@pytest.fixture
def folders(tmp_path):
    """Boxes and spheres of the same sizes in both, in every format."""
    suffixes = ["obj", "glb", "stl", "ply", "3mf"]
    for side in "ab":
        for i, suffix in enumerate(suffixes):
            write(tmp_path / side, f"box_{i}.{suffix}", box(1, 1, 1 + i))
            write(tmp_path / side, f"ball_{i}.{suffix}", sphere(1 + i / 2))
    (tmp_path / "a" / "manifest.json").write_text("{}")
    return tmp_path / "a", tmp_path / "b"


def run(*args):
    return CliRunner().invoke(app, ["evaluate", *map(str, args), "--device", "cpu"])


def scores_of(*args):
    result = run(*args, "--json", "-")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def error_of(result, code):
    lines = result.stderr.splitlines()
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    assert lines[-1].startswith("geoflow: ") and result.stdout == "", lines
    assert "Traceback" not in result.stderr and sum("geoflow: " in line for line in lines) == 1
    return lines[-1]


def test_the_same_shapes_in_every_format(folders):
    report = scores_of(*folders, "--points", 256)
    assert set(report["scores"]) == {"ball", "box", "mean"} and report["notes"] == []
    for scores in report["scores"].values():
        assert scores["watertight"] == 1 and scores["coverage"] == 1
        assert scores["one_nna"] == 0  # everyone's nearest is its twin on the other side
        assert scores["normal_consistency"] > 0.85 and 0 < scores["jsd"] < 1
    assert report["scores"]["mean"]["shapes"] == 10
    assert "pair_distance" not in report["scores"]["box"]
    paired = scores_of(*folders, "--points", 256, "--paired")["scores"]["ball"]
    assert paired["pair_distance"] == pytest.approx(paired["mmd"])  # the nearest is the twin
    assert paired["f_score"] == report["scores"]["ball"]["f_score"]


def test_scores_are_those_of_the_metrics(tmp_path):
    moved = clouds(4, 64, 1) + np.array([0.2, 0, 0])
    for i in range(4):
        write_cloud(tmp_path / "a", f"{i}.ply", clouds(4, 64)[i])
        write_cloud(tmp_path / "b", f"{i}.ply", moved[i])
    for how in ("set", "shape", "none"):
        report = scores_of(tmp_path / "a", tmp_path / "b", "--points", 64, "--normalise", how)
        (found,) = report["scores"].values()
        a, b = metrics.normalise_sets(clouds(4, 64), moved, how)
        ab = distances.chamfer_matrix(a, b, device="cpu")
        one = metrics.one_nna(distances.chamfer_matrix(a), ab, distances.chamfer_matrix(b))
        coverage, mmd = metrics.coverage_mmd(ab)
        near = [metrics.f_score(a[i], c, 0.02 * np.ptp(c, axis=0).max())
                for i, c in zip(ab.argmin(axis=0), b, strict=True)]  # fmt: skip
        assert found["one_nna"] == one and found["coverage"] == coverage
        assert found["mmd"] == pytest.approx(mmd, rel=1e-5)
        assert found["f_score"] == pytest.approx(np.mean(near))
        assert found["jsd"] == pytest.approx(metrics.jsd(a, b), abs=1e-6)
        assert found["watertight"] is None and found["normal_consistency"] is None
    emd = scores_of(tmp_path / "a", tmp_path / "b", "--points", 64, "--metric", "emd",
                    "--normalise", "none", "--paired")["scores"]["all"]  # fmt: skip
    whole = distances.emd_matrix(clouds(4, 64), moved)
    assert emd["mmd"] == pytest.approx(whole.min(axis=0).mean(), rel=1e-4)
    assert emd["pair_distance"] == pytest.approx(np.diag(whole).mean(), rel=1e-4)


def clouds(count, points, seed=0):
    return np.random.default_rng(seed).normal(size=(count, points, 3))


def test_the_table_and_the_file(folders, tmp_path):
    (folders[0] / "box_4.3mf").unlink()
    write(folders[0], "jar_1.obj", box(1, 2, 3))
    hole = box(1, 1, 1)
    export.write_mesh(folders[0] / "box_0.obj", np.asarray(hole.vertices),
                      np.asarray(hole.faces[1:]), overwrite=True)  # fmt: skip
    target = tmp_path / "scores.json"
    result = run(*folders, "--points", 64, "--json", target)
    assert result.exit_code == 0, result.stderr
    notes = [line for line in result.stderr.splitlines() if line.startswith("geoflow: ")]
    assert len(notes) == 2 and "category jar is in one folder only" in notes[0]
    assert "category box has 4 generated and 5 reference shapes; 4 of each" in notes[1]
    head, *rows = [line.split() for line in result.stdout.splitlines()]
    assert head[:3] == ["category", "shapes", "1-NNA-CD"]
    assert [row[0] for row in rows] == ["ball", "box", "mean"]
    assert [row[-1] for row in rows] == ["100.0", "75.0", "87.5"]  # closed %
    report = json.loads(target.read_text())
    assert report["scores"]["box"]["watertight"] == 0.75 and len(report["notes"]) == 2
    assert report["settings"]["points"] == 64
    assert "exists already" in error_of(run(*folders, "--json", target), 1)
    assert run(*folders, "--points", 64, "--json", target, "--overwrite").exit_code == 0


def test_the_table_is_as_wide_as_it_must_be_and_plain(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    row = {"shapes": 12, "one_nna": None, "mmd": 0.012345, "coverage": 1.0, "jsd": 12345.6,
           "f_score": 0.5004, "normal_consistency": 0.0, "watertight": 0.25}  # fmt: skip
    print_table({"[red]a": row, "b:cat:": row | {"pair_distance": 1.0}}, "EMD")
    rest = "     12            -  0.01235      100.0  1.235e+04       50.0        0.0      25.0"
    assert capsys.readouterr().out.splitlines() == [
        "category  shapes  1-NNA-EMD %  MMD-EMD  COV-EMD %        JSD  F-score %  normals %"
        "  closed %",
        "[red]a   " + rest,
        "b:cat:   " + rest,
    ]
    print_table({"a": row | {"pair_distance": 1.5}}, "CD")
    assert capsys.readouterr().out.splitlines()[1].endswith("25.0          1.5")


def test_a_seed_repeats_and_a_shape_depends_on_its_name_alone(folders):
    first = scores_of(*folders, "--points", 64)["scores"]
    assert scores_of(*folders, "--points", 64)["scores"] == first
    assert scores_of(*folders, "--points", 64, "--seed", 1)["scores"] != first
    paths = sorted(folders[0].glob("box*"))

    def points(paths, side):
        return shape_sets.read_set(paths, side, 64, 0, lambda label: None).points

    np.testing.assert_array_equal(points(paths, 0)[2], points(paths[2:], 0)[0])
    assert not np.array_equal(points(paths, 0), points(paths, 1))


def test_a_score_that_some_shapes_lack_is_unknown_and_so_is_its_mean(tmp_path):
    for side in "ab":
        for i in (1, 2):
            write(tmp_path / side, f"box_{i}.obj", box(1, 1, i))
            write(tmp_path / side, f"mix_{i}.obj", box(1, 1, i))
    (tmp_path / "a" / "mix_2.obj").unlink()
    write_cloud(tmp_path / "a", "mix_2.ply", clouds(1, 64)[0])
    found = scores_of(tmp_path / "a", tmp_path / "b", "--points", 64, "--paired")["scores"]
    assert found["box"]["watertight"] == 1 and found["box"]["normal_consistency"] > 0
    for name in ("mix", "mean"):
        assert found[name]["watertight"] is None and found[name]["normal_consistency"] is None


def test_paired_shapes_are_matched_by_name(tmp_path):
    for i, radius in enumerate((1, 2)):
        write(tmp_path / "a", f"x_{i}.obj", sphere(radius))
        write(tmp_path / "b", f"x_{1 - i}.obj", sphere(radius))
    options = (tmp_path / "a", tmp_path / "b", "--points", 512, "--threshold", 0.1)
    nearest, paired = (scores_of(*options, *how)["scores"]["x"] for how in ([], ["--paired"]))
    assert nearest["f_score"] > 0.9 > 0.1 > paired["f_score"]
    assert paired["pair_distance"] > 10 * paired["mmd"]


def test_shapes_of_a_larger_side_are_drawn_by_the_seed(tmp_path):
    for i in range(9):
        write_cloud(tmp_path / "a", f"x_{i}.ply", clouds(1, 16)[0])
        if i < 3:
            write_cloud(tmp_path / "b", f"x_{i}.ply", clouds(1, 16)[0])

    def drawn(seed):
        chosen = shape_sets.plan(tmp_path / "a", tmp_path / "b", paired=False, seed=seed)
        ((generated, reference),) = chosen.groups.values()
        assert len(set(generated)) == len(set(reference)) == 3
        return generated

    assert drawn(0) == drawn(0) == sorted(drawn(0)) != drawn(1)


def test_one_pair_has_no_1_nna(tmp_path):
    write(tmp_path / "a", "x.obj", sphere(1))
    write(tmp_path / "b", "x.stl", sphere(1))
    (found,) = scores_of(tmp_path / "a", tmp_path / "b", "--points", 64, "--paired")[
        "scores"
    ].values()
    assert found["one_nna"] is None and found["pair_distance"] > 0
    assert " - " in run(tmp_path / "a", tmp_path / "b", "--points", 64, "--paired").stdout


def test_clouds_far_away_of_any_size_with_duplicates(tmp_path):
    for i in range(3):
        cloud = np.repeat(clouds(3, 40)[i], 2, axis=0) * 1e4 + 1e7
        write_cloud(tmp_path / "a", f"{i}.xyz", cloud)
        write_cloud(tmp_path / "b", f"{i}.ply", clouds(3, 80)[i] * 1e-5)
    found = scores_of(tmp_path / "a", tmp_path / "b", "--points", 80)["scores"]["all"]
    assert found["one_nna"] == 1 and found["f_score"] == 0 and found["jsd"] == pytest.approx(1)
    alike = scores_of(tmp_path / "a", tmp_path / "b", "--points", 80, "--normalise", "shape")
    assert alike["scores"]["all"]["mmd"] < 0.2


# -- bad input ------------------------------------------------------------------------------------


def nan_cloud(folder):
    cloud = clouds(1, 64)[0]
    cloud[3, 1] = np.nan
    write_cloud(folder, "x_3.ply", cloud)


def flat_mesh(folder):
    (folder / "x_3.obj").write_text("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n")


def small_cloud(folder):
    write_cloud(folder, "x_3.ply", clouds(1, 15)[0])


def cloud_below_points(folder):
    write_cloud(folder, "x_3.ply", clouds(1, 40)[0])


def one_place(folder):
    write_cloud(folder, "x_3.ply", np.ones((70, 3)))


BAD = {
    "NaN": (nan_cloud, "x_3.ply: coordinates must be finite"),
    "few points": (small_cloud, "x_3.ply: a cloud must have 16 points or more; it has 15"),
    "fewer than asked": (cloud_below_points, "x_3.ply: a cloud must have --points 64 or more"),
    "no extent": (one_place, "x_3.ply: a cloud must have an extent"),
    "no area": (flat_mesh, "x_3.obj: the mesh must have a positive, finite area"),
    "damaged": (lambda f: (f / "x_3.glb").write_bytes(b"glTF"), "x_3.glb: cannot be read"),
    "empty file": (lambda f: (f / "x_3.ply").write_bytes(b""), "x_3.ply"),
    "empty stl": (lambda f: (f / "x_3.stl").write_bytes(bytes(84)), "x_3.stl"),
    "twice": (lambda f: write(f, "x_1.stl", sphere(1)), "it has x_1.obj, x_1.stl"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("side", [0, 1])
def test_a_bad_file_is_one_line(tmp_path, what, side):
    for folder in "ab":
        for i in (1, 2):
            write(tmp_path / folder, f"x_{i}.obj", sphere(i))
    spoil, text = BAD[what]
    spoil(tmp_path / "ab"[side])
    other = tmp_path / "ba"[side]
    write(other, "x_3.obj", sphere(2))
    line = error_of(run(tmp_path / "a", tmp_path / "b", "--points", 64), 1)
    assert text in line and str(tmp_path / "ab"[side]) in line


def test_bad_folders_are_one_line(tmp_path):
    a, b, empty = tmp_path / "a", tmp_path / "b", tmp_path / "empty"
    empty.mkdir()
    write(a, "x_1.obj", sphere(1))
    write(a, "x_2.obj", sphere(2))
    write(b, "x_1.obj", sphere(1))
    assert "must hold shapes" in error_of(run(a, empty), 1)
    assert "must hold shapes" in error_of(run(empty, a), 1)
    line = error_of(run(a, b), 1)
    assert "category x has 1 reference shape" in line and "--paired" in line
    assert "x_2 is in one only" in error_of(run(a, b, "--paired"), 1)
    write(tmp_path / "c", "y_1.obj", sphere(1))
    assert "must share a category" in error_of(run(a, tmp_path / "c"), 1)
    assert "nowhere is not one" in error_of(run(a, tmp_path / "nowhere"), 2)
    assert "GENERATED must be a folder" in error_of(run(a / "x_1.obj", a), 2)


@pytest.mark.parametrize("args, text", [
    (["--points", 15], "--points"),
    (["--seed", -1], "--seed"),
    (["--threshold", 0], "--threshold must be above 0"),
    (["--threshold", "nan"], "--threshold must be above 0"),
    (["--metric", "hausdorff"], "--metric"),
    (["--normalise", "unit"], "--normalise"),
])  # fmt: skip
def test_wrong_options_are_named(tmp_path, args, text):
    assert text in error_of(run(tmp_path, tmp_path, *args), 2)


@pytest.mark.parametrize("target, text", [
    ("none/x.json", "must exist"), ("a", "is a folder"), ("there.json", "--overwrite"),
])  # fmt: skip
def test_a_bad_target_is_found_before_anything_is_read(folders, tmp_path, target, text):
    (tmp_path / "there.json").write_text("mine")
    (folders[0] / "box_1.glb").write_bytes(b"glTF")  # would be an error, were it read
    assert text in error_of(run(*folders, "--json", tmp_path / target), 1)
    assert (tmp_path / "there.json").read_text() == "mine"


def test_progress_counts_to_the_end(folders):
    chosen = shape_sets.plan(*folders, paired=False, seed=0)
    for metric in ("cd", "emd"):
        seen = []
        evaluate.evaluate(chosen, evaluate.Settings(points=32, metric=metric), seen.append)
        assert len(seen) == 2 * chosen.shapes == 40
