"""Pictures of rigs: bones where the joints are, and a pose that moves what it should."""

import numpy as np
import pytest

from geoflow.geometry.frames import from_y_up
from geoflow.joints import picture
from geoflow.joints.rig import RiggedMesh
from geoflow.joints.skin import Skin
from geoflow.render import studio

needs_opengl = pytest.mark.skipif(
    studio._rendering_error() is not None, reason=str(studio._rendering_error())
)


def test_a_skeleton_is_a_tube_a_bone_and_a_ball_a_joint():
    joints = np.array([[0, 0, 0], [0, 2, 0], [0, 2, 0], [3, 2, 0]], float)
    (tubes, _), (balls, _) = picture.skeleton_parts(joints, np.array([-1, 0, 1, 2]), 0.1, 0.2)
    assert len(tubes.split_bodies()) == 2 * 3  # wall and two ends; the third joint has no length
    assert len(balls.split_bodies()) == 4
    np.testing.assert_allclose(np.min(tubes.points, 0), [-0.1, 0, -0.1], atol=0.01)
    np.testing.assert_allclose(np.max(tubes.points, 0), [3, 2.1, 0.1], atol=0.01)
    np.testing.assert_allclose(np.ptp(balls.points, axis=0), [3.4, 2.4, 0.4], atol=0.01)
    for place, parents in ((joints[:1], [-1]), (joints[1:3], [-1, 0])):  # no bone to draw
        ((balls, look),) = picture.skeleton_parts(place, np.array(parents), 0.1, 0.2)
        assert look["color"] == picture.JOINT and balls.n_points > 0


def test_a_body_bends_elbows_and_a_knee_and_a_creature_every_joint():
    names = ["left_hip", "left_knee", "left_elbow", "right_elbow"]
    turns = picture.example_pose(names, np.array([-1, 0, -1, -1]))
    assert set(turns) == {1, 2, 3}
    c, s = np.cos(np.radians(30)), np.sin(np.radians(30))
    np.testing.assert_allclose(turns[2], [[c, -s, 0], [s, c, 0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(turns[3], turns[2].T, atol=1e-12)
    np.testing.assert_allclose(turns[1][0], [1, 0, 0], atol=1e-12)
    assert set(picture.example_pose(["a", "b", "c"], np.array([-1, 0, 1]))) == {1, 2}


def rig(up):
    """An upright bar whose upper half hangs on the second joint."""
    y = np.repeat(np.linspace(-1, 1, 9), 4)
    ring = np.tile([[-0.1, -0.1], [0.1, -0.1], [0.1, 0.1], [-0.1, 0.1]], (9, 1))
    vertices = np.column_stack([ring[:, 0], y, ring[:, 1]])
    quads = [(4 * k + i, 4 * k + (i + 1) % 4, 4 * k + 4 + (i + 1) % 4, 4 * k + 4 + i)
             for k in range(8) for i in range(4)]  # fmt: skip
    faces = np.array([f for a, b, c, d in quads for f in ((a, b, c), (a, c, d))])
    skin = Skin(np.zeros((36, 4), int), np.tile(np.eye(4, dtype=np.float32)[0], (36, 1)))
    skin.joints[y > 0, 0] = 1
    joints = np.array([[0, -1, 0], [0, 0, 0]], float)
    return RiggedMesh(
        from_y_up(5 * vertices, up), faces, from_y_up(5 * joints, up), np.array([-1, 0]),
        np.ones(2, np.float32), ["root", "middle"], skin, up,
    )  # fmt: skip


@needs_opengl
def test_three_views_of_a_rig(tmp_path):
    from PIL import Image

    tiles = {}
    for up in "yz":
        out = picture.render_rig(tmp_path / f"{up}.png", rig(up), size=90)
        with Image.open(out) as image:
            assert image.size == (270, 90)
            tiles[up] = np.asarray(image).astype(int)
    assert np.abs(tiles["y"] - tiles["z"]).max() < 3  # upright whatever the mesh's up is
    paper = np.round(255 * np.array(studio.BACKGROUND))
    covered = np.abs(tiles["y"] - paper).max(axis=2) > 20
    for view in (covered[:, :90], covered[:, 90:180]):
        rows, columns = np.flatnonzero(view.any(axis=1)), np.flatnonzero(view.any(axis=0))
        assert 66 < np.ptp(rows) < 78 and np.ptp(columns) < 14  # 90 / 1.24 pixels high
        assert abs(rows.mean() - 44.5) < 2 and abs(columns.mean() - 44.5) < 2
    orange = tiles["y"][..., 0] - tiles["y"][..., 2] > 40
    assert orange[:, :90].any() and orange[:, 90:180].any() and not orange[:, 180:].any()
    tops = [np.flatnonzero(view[10:20].any(axis=0)).mean() for view in np.split(covered, 3, axis=1)]
    feet = [np.flatnonzero(view[70:80].any(axis=0)).mean() for view in np.split(covered, 3, axis=1)]
    assert abs(tops[0] - 44.5) < 2 and tops[2] < feet[2] - 3  # a turn about z, to the left
    with pytest.raises(ValueError, match="exists already"):
        picture.render_rig(tmp_path / "y.png", rig("y"))
