"""Mesh in, rig out: frames, formats, the command and its errors."""

import json

import numpy as np
import pytest
from toys.bodies import PERSON, person, together, tube
from toys.checkpoints import trainer_of
from toys.glbs import posed, prep, read_own
from typer.testing import CliRunner

from geoflow.cli import app
from geoflow.geometry.frames import from_y_up, to_y_up
from geoflow.io.meshes import write_mesh
from geoflow.joints.picture import pose_mesh
from geoflow.joints.rig import RiggedMesh, rig_mesh
from geoflow.joints.scores import cd_j2j
from geoflow.joints.skin import skin_mesh
from geoflow.joints.write import write_rig
from geoflow.model.checkpoint import save_checkpoint
from geoflow.pretrained import load_joint_predictor


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An untrained predictor: joints stay where the surface is, which is all that is needed."""
    folder = tmp_path_factory.mktemp("checkpoint")
    trainer = trainer_of("characters-joints", steps=10)
    save_checkpoint(folder, trainer.config(), trainer.ema.state_dict())
    return folder


@pytest.fixture(scope="module")
def body():
    return together(tube((0, -0.9, 0), (0, 0.9, 0), 0.15), tube((-0.8, 0.5, 0), (0.8, 0.5, 0)))


@pytest.fixture(scope="module")
def mesh_file(body, tmp_path_factory):
    return write_mesh(tmp_path_factory.mktemp("mesh") / "body.obj", *body)


def run(*arguments):
    return CliRunner().invoke(app, ["joints", *map(str, arguments)])


def test_up_axes_are_turns_and_inverse_to_each_other():
    points = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(from_y_up(to_y_up(points, "z"), "z"), points)
    np.testing.assert_array_equal(to_y_up(np.array([[0, 0, 1.0], [0, -1, 0]]), "z"), np.eye(3)[1:])


def test_rigs_are_in_the_meshs_own_frame(checkpoint, body):
    """A large mesh far from the origin and z up gets the same joints, moved along."""
    predictor = load_joint_predictor(checkpoint, "cpu")
    vertices, faces = body
    plain = rig_mesh(predictor, vertices, faces, steps=1)
    moved = from_y_up(vertices, "z") * 250 + (1000, 0, -400)
    other = rig_mesh(predictor, moved, faces, up="z", steps=1)
    want = from_y_up(plain.joints, "z") * 250 + (1000, 0, -400)
    np.testing.assert_allclose(other.joints, want, atol=0.01)
    assert np.array_equal(other.parents, plain.parents)
    assert np.array_equal(other.vertices, moved)
    np.testing.assert_allclose(other.skin.weights, plain.skin.weights, atol=1e-3)


def test_a_check_that_raises_stops_between_two_calls(checkpoint, body):
    class StopError(Exception):
        pass

    predictor, asked, calls = load_joint_predictor(checkpoint, "cpu"), [], []
    predictor.net.register_forward_hook(lambda *_: calls.append(1))

    def check(*_):
        asked.append(len(calls))
        if calls:
            raise StopError

    with pytest.raises(StopError):
        rig_mesh(predictor, *body, steps=3, check=check)
    assert asked == [0, 1]


def test_a_pose_is_what_a_reader_of_the_file_makes(checkpoint, body, tmp_path):
    rig = rig_mesh(load_joint_predictor(checkpoint, "cpu"), *body, steps=1)
    path = write_rig(tmp_path / "a.glb", rig)
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    turns = {k: turn for k in range(0, len(rig.joints), 3)}
    read = read_own(path)
    np.testing.assert_allclose(pose_mesh(rig, turns), posed(read, turns), atol=1e-5)
    np.testing.assert_allclose(posed(read), rig.vertices, atol=1e-5)


def test_the_bundled_weights_find_the_22_joints_of_a_person():
    """CD-J2J is 1.0 to 1.1 % over seeds; 2.8 % where the person faces back, more where it lies."""
    known, vertices, faces = person()
    predictor = load_joint_predictor("characters", "cpu")
    assert predictor.categories == ["body", "creature"]
    rig = rig_mesh(predictor, vertices, faces, category="body")
    assert sorted(rig.names) == sorted(known)
    reference, scale = np.array(list(known.values())), 1.8 / np.ptp(vertices, axis=0).max()
    assert cd_j2j(scale * rig.joints, scale * reference) < 0.016
    apart = np.linalg.norm(rig.joints[:, None] - reference, axis=2)
    assert [list(known)[k] for k in apart.argmin(1)] == rig.names
    parents = {
        n: rig.names[p] if p >= 0 else None for n, p in zip(rig.names, rig.parents, strict=True)
    }
    assert {n: above for n, (above, *_) in PERSON.items() if n in known}.items() <= parents.items()


def standing(up):
    """A capsule that stands, as a rig of two joints."""
    import trimesh

    capsule = trimesh.creation.capsule(1.2, 0.2, count=(12, 12))  # along z
    vertices, faces = np.asarray(capsule.vertices), np.asarray(capsule.faces)
    joints = np.array([[0, 0, 0.1], [0, 0, 0.8]])
    if up == "y":
        vertices, joints = to_y_up(vertices, "z"), to_y_up(joints, "z")
    skin = skin_mesh(vertices, faces, joints, np.array([-1, 0]))
    parents, sure = np.array([-1, 0]), np.ones(2, np.float32)
    return RiggedMesh(vertices, faces, joints, parents, sure, ["low", "high"], skin, up)


@pytest.mark.parametrize("up", ["y", "z"])
def test_a_glb_stands_in_every_reader_whatever_the_frame_of_its_arrays(tmp_path, up):
    import trimesh

    rig = standing(up)
    path = write_rig(tmp_path / "a.glb", rig)
    scene = trimesh.load_scene(path, process=False)
    np.testing.assert_allclose(scene.extents, (0.4, 1.6, 0.4), atol=1e-6)
    whole = scene.to_geometry()
    np.testing.assert_allclose(whole.vertices, to_y_up(rig.vertices, up), atol=1e-6)
    own = read_own(path)
    np.testing.assert_allclose(own[0], rig.vertices, atol=1e-6)  # the arrays are not turned
    read = prep().read_rig(path.read_bytes())
    np.testing.assert_allclose(read.joints, to_y_up(rig.joints, up), atol=1e-6)
    np.testing.assert_allclose(read.vertices, to_y_up(rig.vertices, up), atol=1e-6)
    table = json.loads(write_rig(tmp_path / "a.json", rig).read_text())
    np.testing.assert_allclose(table["joints"], rig.joints)


def test_the_command_writes_every_format(checkpoint, mesh_file, tmp_path):
    for name in ("a.glb", "a.txt", "a.json"):
        result = run(mesh_file, "-o", tmp_path / name, "--checkpoint", checkpoint, "--steps", 1)
        assert result.exit_code == 0, result.stderr
        assert "joints, " in result.stdout and name in result.stdout
    table = json.loads((tmp_path / "a.json").read_text())
    count = len(table["joints"])
    assert count == len(table["parents"]) == len(table["names"]) == len(table["confidence"])
    lines = [line.split() for line in (tmp_path / "a.txt").read_text().splitlines()]
    kinds = [line[0] for line in lines]
    assert kinds.count("joints") == count and kinds.count("root") == 1
    assert kinds.count("hier") == count - 1 and kinds.count("skin") == 988
    sums = [sum(map(float, line[3::2])) for line in lines if line[0] == "skin"]
    np.testing.assert_allclose(sums, 1, atol=1e-4)
    nodes = read_own(tmp_path / "a.glb")[4]
    assert sorted(n["name"] for n in nodes) == sorted(table["names"])


def flat(path):
    """A file with faces but no area."""
    path.write_text("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n")
    return path


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["-o", "a.obj"], 2, "must end in .glb .txt .json"),
        (["-o", "a.glb", "--format", "json"], 2, "must end in .json"),
        (["--steps", 0], 2, "--steps"),
        (["--up", "x"], 2, "--up"),
        (["--render", "a.jpg"], 2, "--render must end in .png"),
        (["-o", "nowhere/a.glb"], 1, "folder of"),
    ],
)
def test_wrong_options_are_one_line(
    checkpoint, mesh_file, tmp_path, monkeypatch, arguments, code, text
):
    monkeypatch.chdir(tmp_path)
    result = run(mesh_file, *arguments, "--checkpoint", checkpoint)
    assert result.exit_code == code and text in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1 and not list(tmp_path.iterdir())


def test_bad_meshes_are_one_line(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rubbish.glb").write_bytes(b"glTF rubbish")
    (tmp_path / "points.obj").write_text("v 0 0 0\nv 1 0 0\n")
    for name in (flat(tmp_path / "flat.obj").name, "rubbish.glb", "points.obj", "missing.obj"):
        result = run(name, "-o", "a.glb", "--checkpoint", checkpoint)
        assert result.exit_code == 1, (name, result.output)
        assert len(result.stderr.strip().splitlines()) == 1 and "Traceback" not in result.stderr
    assert not (tmp_path / "a.glb").exists()


def test_one_open_triangle_gets_a_rig(checkpoint, tmp_path):
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    result = run(tmp_path / "a.obj", "-o", tmp_path / "a.glb", "--checkpoint", checkpoint)
    assert result.exit_code == 0, result.stderr


def test_the_mesh_itself_stays(checkpoint, body, tmp_path):
    write_mesh(tmp_path / "a.glb", *body)
    before = (tmp_path / "a.glb").read_bytes()
    (tmp_path / "link.glb").symlink_to(tmp_path / "a.glb")
    for out in ("a.glb", "link.glb"):
        result = run(
            tmp_path / "a.glb", "-o", tmp_path / out, "--overwrite", "--checkpoint", checkpoint
        )
        assert result.exit_code == 2 and "must not be the mesh itself" in result.stderr
    assert (tmp_path / "a.glb").read_bytes() == before


def test_existing_files_stay(checkpoint, mesh_file, tmp_path):
    (tmp_path / "a.glb").write_text("mine")
    result = run(mesh_file, "-o", tmp_path / "a.glb", "--checkpoint", checkpoint)
    assert result.exit_code == 1 and "exists already" in result.stderr
    assert (tmp_path / "a.glb").read_text() == "mine"
