"""data_prep/creatures.py: closed meshes, joints inside, the same seed makes the same file."""

from pathlib import Path

import numpy as np
import pytest
from loading import load_module
from typer.testing import CliRunner

from geoflow.io.meshes import read_mesh
from geoflow.joints.rigs import read_characters

PREP = Path(__file__).resolve().parents[2] / "data_prep"

creatures = load_module("creatures", PREP / "creatures.py")
parts = creatures.sys.modules["parts.creature_parts"]


def build(kind, number=0):
    return creatures.build_creature(np.random.default_rng([5, number]), kind)


def winding(vertices, faces, points):
    """How often the surface goes around each point [Van Oosterom and Strackee 1983]."""
    out = []
    for point in points:
        a, b, c = (vertices[faces] - point).transpose(1, 0, 2)
        la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
        under = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
        out.append(np.arctan2((a * np.cross(b, c)).sum(1), under).sum() / (2 * np.pi))
    return np.array(out)


def closed(faces):
    """Every edge is used once in either direction."""
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    both = np.unique(np.concatenate((edges, edges[:, ::-1])), axis=0, return_counts=True)[1]
    return len(np.unique(edges, axis=0)) == len(edges) and (both == 2).all()


def run(*arguments):
    return CliRunner().invoke(creatures.app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("kind", creatures.KINDS)
def test_a_creature_is_a_closed_mesh_with_a_tree_of_joints_inside(kind):
    outside = 0
    for number in range(3):
        made = build(kind, number)
        assert made.kind == kind
        assert np.isfinite(made.vertices).all()
        assert closed(made.faces)
        assert np.ptp(made.vertices, axis=0).max() == pytest.approx(1.8)
        np.testing.assert_allclose(made.vertices.min(0), -made.vertices.max(0), atol=1e-9)
        assert len(made.joints) == len(made.parents) == len(made.names)
        assert made.parents[0] == -1
        assert (made.parents[1:] >= 0).all()
        assert (made.parents < np.arange(len(made.parents))).all()
        assert (np.abs(made.joints) < 0.9).all()
        outside += (winding(made.vertices, made.faces, made.joints) < 0.5).mean() / 3
    assert outside < 0.1


@pytest.mark.parametrize(
    "kind", ["ray", "animal", "quadruped", "dinosaur", "bird", "insect", "blob"]
)
def test_left_is_the_mirror_image_of_right(kind):
    made = build(kind)
    place = dict(zip(made.names, made.joints, strict=True))
    pairs = [name for name in place if name.endswith(".L")]
    assert pairs
    for name in pairs:
        np.testing.assert_allclose(place[name[:-1] + "R"], place[name] * (-1, 1, 1), atol=1e-9)
        assert place[name][0] > 0
    sides = [np.unique(np.round(made.vertices * (s, 1, 1), 6) + 0.0, axis=0) for s in (1, -1)]
    np.testing.assert_allclose(*sides, atol=2e-6)


def test_kinds_come_by_their_shares():
    shares = {kind: share for kind, (share, _) in creatures.KINDS.items()}
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["fish"] + shares["ray"] == pytest.approx(0.3)
    assert shares["toy"] == pytest.approx(0.3)


@pytest.mark.parametrize("power", [2.0, parts.BOX])
def test_tubes_are_closed_and_face_outward(power):
    path = np.array([[0, 0, 0], [0, 0.2, 1], [0, 0, 2]])
    vertices, faces = parts.loft(path, np.full((3, 2), 0.3), 8, power, (1.0, 0.5))
    assert closed(faces)
    np.testing.assert_allclose(
        winding(vertices, faces, [[0, 0.1, 0.5], [0, 1, 1]]), (1, 0), atol=1e-6
    )


def test_plates_and_mirror_images_face_outward():
    mesh = parts.plate(np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]), 0.1)
    for vertices, faces in (mesh, parts.mirrored(mesh)):
        assert closed(faces)
        side = 1 if vertices[:, 0].max() > 0.5 else -1
        assert winding(vertices, faces, [[0.5 * side, 0.5, 0]]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("sides", [4, 5, 6, 7, 8])
def test_sections_are_symmetric(sides):
    ring = parts.section(sides, 2.5)
    mirror = ring * (-1, 1)
    near = np.linalg.norm(ring[:, None] - mirror[None], axis=2).min(1)
    np.testing.assert_allclose(near, 0, atol=1e-9)


def test_curves_and_arcs_pass_through_their_ends():
    knots = np.array([[0.0, 0], [1, 2], [3, 1]])
    line = parts.curve(knots, 3)
    np.testing.assert_allclose(line[[0, 3, 6]], knots)
    bend = parts.arc((0, 0, 0), 2.0, 90, 0, 5)
    np.testing.assert_allclose(bend[-1], (0, 2, 0), atol=1e-9)
    round_ = parts.arc((0, 0, 0), np.pi, 0, 180, 64)
    np.testing.assert_allclose(round_[-1], (0, 2, 0), atol=0.01)


def test_the_same_seed_makes_the_same_file(tmp_path):
    files = [tmp_path / name for name in ("a.npz", "b.npz", "c.npz")]
    for file, seed in zip(files, (1, 1, 2), strict=True):
        result = run(file, "--count", 2, "--seed", seed, "--points", 64)
        assert result.exit_code == 0, result.output
    assert files[0].read_bytes() == files[1].read_bytes()
    first, other = read_characters(files[0]), read_characters(files[2])
    assert first[0].points.shape == (64, 3)
    assert {c.category for c in first} == {"creature"}
    assert first[1].name.startswith("creatures_1/") and first[1].name.endswith("_00001")
    assert not np.array_equal(first[0].points, other[0].points)
    for c in first:
        assert np.isfinite(c.points).all() and np.abs(c.points).max() < 0.901
        np.testing.assert_allclose(np.linalg.norm(c.normals, axis=1), 1, atol=1e-5)
        assert (c.feature_size > 0).all()


def test_meshes_are_written_on_request(tmp_path):
    result = run(tmp_path / "a.npz", "--count", 1, "--points", 64, "--meshes", tmp_path / "m")
    assert result.exit_code == 0, result.output
    (file,) = (tmp_path / "m").iterdir()
    vertices, faces = read_mesh(file)
    assert file.name == read_characters(tmp_path / "a.npz")[0].name.replace("/", "_") + ".glb"
    assert faces.max() < len(vertices)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("a.npz", "--count", 0), "--count"),
        (("a.npz", "--count", "many"), "--count"),
        (("a.npz", "--seed", -1), "--seed"),
        (("a.npz", "--points", 10), "--points"),
        (("missing/a.npz",), "missing"),
    ],
)
def test_bad_arguments_are_told_in_one_line(tmp_path, arguments, named):
    out, *rest = arguments
    result = run(tmp_path / out, *rest)
    assert result.exit_code == 2
    assert named in result.stderr and result.stderr.count("\n") == 1


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    whole, file = tmp_path / "whole.npz", tmp_path / "a.npz"
    assert run(whole, "--count", 3, "--points", 64).exit_code == 0
    draw, asked = creatures.draw_creature, []

    def stop_at_third(seed, number, count):
        asked.append(number)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return draw(seed, number, count)

    monkeypatch.setattr(creatures, "draw_creature", stop_at_third)
    result = run(file, "--count", 3, "--points", 64)
    assert result.exit_code == 130 and "2 of 3 are kept" in result.stderr
    assert not file.exists() and len(read_characters(f"{file}.part")) == 2
    other = run(file, "--count", 3, "--points", 64, "--seed", 1)
    assert other.exit_code == 1 and "must be of the same command" in other.stderr
    fewer = run(file, "--count", 1, "--points", 64)
    assert fewer.exit_code == 1 and "--count must be at least 2" in fewer.stderr
    result = run(file, "--count", 3, "--points", 64, "--meshes", tmp_path / "m")
    assert result.exit_code == 0, result.output
    # number 0 shows that the kept ones are of this command; then their meshes are made
    assert asked == [0, 1, 2, 0, 0, 0, 0, 1, 2]
    assert len(list((tmp_path / "m").glob("creatures_0_*.glb"))) == 3
    assert not Path(f"{file}.part").exists()
    for one, two in zip(read_characters(file), read_characters(whole), strict=True):
        assert one.name == two.name and np.array_equal(one.points, two.points)
        assert np.array_equal(one.joints, two.joints)
        np.testing.assert_allclose(one.normals, two.normals, atol=0.02)


def test_a_run_interrupted_at_once_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(creatures, "draw_creature", stop)
    assert run(tmp_path / "a.npz", "--count", 2).exit_code == 130
    assert not list(tmp_path.iterdir())
