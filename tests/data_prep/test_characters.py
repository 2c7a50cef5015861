"""data_prep/characters.py: bind poses, joints kept, hidden faces, bad files in one line."""

from pathlib import Path

import numpy as np
import pytest
from loading import load_module
from toys import glbs as rigged
from typer.testing import CliRunner

from geoflow.joints.rigs import read_characters

ROOT = Path(__file__).resolve().parents[2]
prep = load_module("data_prep_characters", ROOT / "data_prep" / "characters.py")
HALF = 0.5**0.5


def run(*arguments):
    return CliRunner().invoke(prep.app, [str(argument) for argument in arguments])


def test_the_bind_pose_comes_from_the_matrices_not_from_the_nodes():
    """A node turned by 90 degrees moves nothing."""
    still, posed = (
        prep.read_rig(rigged.post(joint_turn=turn).bytes())
        for turn in ((0, 0, 0, 1), (0, 0, HALF, HALF))
    )
    np.testing.assert_allclose(still.joints, posed.joints, atol=1e-6)
    np.testing.assert_allclose(still.vertices[8:], posed.vertices[8:], atol=1e-6)
    assert still.names == ("root", "lower", "IK_hand", "upper", "upper_end")
    np.testing.assert_allclose(still.joints[3], (0, 1, 0), atol=1e-6)
    assert still.parents.tolist() == [-1, 0, 0, 1, 3]


def test_the_scene_is_turned_upright():
    """An armature node that turns z up to y up is applied."""
    rig = prep.read_rig(rigged.post(scene_turn=(-HALF, 0, 0, HALF)).bytes())
    np.testing.assert_allclose(rig.joints[3], (0, 0, -1), atol=1e-6)


def test_parts_without_skin_belong_to_their_joint():
    rig = prep.read_rig(rigged.post().bytes())
    sword = rig.vertices[:8] if rig.vertices[:8, 0].max() > 1 else rig.vertices[-8:]
    np.testing.assert_allclose(sword.min(0), (0.2, 1.4, 0), atol=1e-6)


def test_joints_without_weight_are_kept_as_ancestors_only():
    rig = prep.read_rig(rigged.post().bytes())
    assert [rig.names[k] for k in prep.used_joints(rig)] == ["root", "lower", "upper"]


def test_hidden_faces_are_not_sampled():
    """The core inside the post is not seen; the frame is centred and 1.8 long."""
    character = prep.sample_rig(prep.read_rig(rigged.post().bytes()), "pack/post", 1024)
    assert np.abs(character.points).max() == pytest.approx(0.9, abs=0.01)
    scale = 0.9
    x = character.points[:, 0] / scale + 0.5
    z = character.points[:, 2] / scale
    core = (np.abs(x) < 0.06) & (np.abs(z) < 0.06)
    inside = core & (np.abs(character.points[:, 1]) < 0.8)
    assert inside.sum() == 0
    assert character.parents.tolist() == [-1, 0, 1]
    assert character.feature_size[1] == pytest.approx(0.4 * scale, rel=0.15)
    np.testing.assert_allclose(np.linalg.norm(character.normals, axis=1), 1, atol=1e-5)


def test_a_folder_becomes_a_file_and_broken_files_are_left_out(tmp_path):
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "post.glb").write_bytes(rigged.post().bytes())
    (folder / "cut.glb").write_bytes(rigged.post().bytes()[:900])
    (folder / "words.glb").write_bytes(b"not a mesh, twenty bytes and more")
    bare = rigged.post()
    bare.tree["skins"] = []
    (folder / "bare.glb").write_bytes(bare.bytes())
    result = run(tmp_path, "--out", tmp_path / "out.npz", "--points", 256)
    assert result.exit_code == 0, result.output
    (character,) = read_characters(tmp_path / "out.npz")
    assert character.name == "pack/post" and character.pack == "pack"
    assert character.points.shape == (256, 3)
    for name, words in (("cut", "damaged"), ("words", 'begin with "glTF"'), ("bare", "skin")):
        line = next(x for x in result.output.splitlines() if x.startswith(f"pack/{name}"))
        assert words in line


def test_no_file_at_all_is_one_line(tmp_path):
    result = run(tmp_path, "--out", tmp_path / "out.npz")
    assert result.exit_code == 1 and "must hold PACK/NAME.(glb)" in result.output


@pytest.mark.parametrize("change", ["count", "joint", "index", "singular", "cycle"])
def test_damage_is_refused(change):
    glb = rigged.post()
    if change == "count":
        glb.tree["accessors"][0]["count"] = 10**6
    elif change == "joint":
        glb.tree["skins"][0]["joints"][0] = 99
    elif change == "index":
        glb.tree["skins"][0]["joints"] = [0, 1]
    elif change == "singular":
        view = glb.tree["bufferViews"][glb.tree["skins"][0]["inverseBindMatrices"]]
        begin = view["byteOffset"]
        glb.binary = glb.binary[:begin] + bytes(64) + glb.binary[begin + 64 :]
    else:
        glb.tree["nodes"][-1]["children"] = []
        glb.tree["nodes"][3]["children"] = [0]
    with pytest.raises(ValueError, match="must"):
        prep.read_rig(glb.bytes())
