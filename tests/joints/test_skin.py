"""Skinning weights: laws, who moves what, open meshes and loose parts."""

import numpy as np
import pytest
from toys.bodies import box, tube

from geoflow.joints.skin import skin_mesh


def dense(skin, count):
    out = np.zeros((len(skin.weights), count))
    np.add.at(out, (np.arange(len(out))[:, None], skin.joints), skin.weights)
    return out


ARM = np.array([[-0.9, 0, 0], [0.0, 0, 0], [0.8, 0, 0]])  # shoulder, elbow, wrist
CHAIN = np.array([-1, 0, 1])


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e5])
@pytest.mark.parametrize("closed", [True, False])
def test_an_arm_belongs_to_its_bones(scale, closed):
    """Blends are narrower than twice the radius; far from joints one bone has all the weight."""
    vertices, faces = tube((-1, 0, 0), (1, 0, 0), closed=closed)
    skin = skin_mesh(scale * vertices + 3 * scale, faces, scale * ARM + 3 * scale, CHAIN)
    weights = dense(skin, 3)
    np.testing.assert_allclose(skin.weights.sum(1), 1, atol=1e-6)
    assert skin.weights.min() >= 0 and skin.weights.shape == (len(vertices), 4)
    x = vertices[:, 0]
    assert (weights[x < -0.15, 0] == 1).all()
    assert (weights[(x > 0.15) & (x < 0.6), 1] == 1).all()
    assert (weights[x > 0.95, 2] > 0.9).all()
    elbow = np.abs(x) < 0.03
    np.testing.assert_allclose(weights[elbow][:, :2].sum(1), 1, atol=1e-6)
    assert (np.abs(weights[elbow, 0] - 0.5) < 0.3).all()
    order = np.argsort(x)
    assert np.abs(np.diff(weights[order, 1].reshape(-1)[::13])).max() < 0.5  # no cliff


def test_a_hand_beside_a_thigh_does_not_hold_it():
    """Two parallel limbs 0.1 apart, joined at the top: neither moves the other."""
    parts = [
        tube((-0.11, 1, 0), (-0.11, -1, 0)), tube((0.11, 1, 0), (0.11, -1, 0)),
        tube((-0.2, 1, 0), (0.2, 1, 0)),
    ]  # fmt: skip
    faces = np.concatenate(
        [f + sum(len(p[0]) for p in parts[:k]) for k, (_, f) in enumerate(parts)]
    )
    vertices = np.concatenate([p[0] for p in parts])
    joints = np.array([[0, 1, 0], [-0.11, 1, 0], [-0.11, -0.9, 0], [0.11, 1, 0], [0.11, -0.9, 0]])
    weights = dense(skin_mesh(vertices, faces, joints, np.array([-1, 0, 1, 0, 3])), 5)
    low = vertices[:, 1] < 0.4
    left = low & (vertices[:, 0] < 0)
    assert weights[left][:, [3, 4]].max() == 0
    assert weights[low & ~left][:, [1, 2]].max() == 0


def test_a_loose_sword_stays_stiff():
    """A box near the wrist that touches nothing moves as one, with the forearm or the hand."""
    vertices, faces = tube((-1, 0, 0), (1, 0, 0))
    blade, blade_faces = box((0.7, 0.15, -0.02), (0.78, 0.6, 0.02))
    skin = skin_mesh(
        np.concatenate((vertices, blade)), np.concatenate((faces, blade_faces + len(vertices))),
        ARM, CHAIN,
    )  # fmt: skip
    weights = dense(skin, 3)[-8:]
    assert (weights == weights[0]).all() and weights[0, 0] == 0


def test_one_joint_moves_everything_and_points_of_one_place_agree():
    vertices, faces = tube((-1, 0, 0), (1, 0, 0))
    alone = skin_mesh(vertices, faces, ARM[1:2], np.array([-1]))
    assert (alone.weights[:, 0] == 1).all() and (alone.joints == 0).all()
    twice = np.concatenate((vertices, vertices))
    skin = skin_mesh(twice, np.concatenate((faces, faces + len(vertices))), ARM, CHAIN)
    assert np.array_equal(*np.split(skin.weights, 2))


@pytest.mark.parametrize(
    ("joints", "parents", "text"),
    [(np.zeros((0, 3)), np.zeros(0, int), "at least one joint"), (ARM, CHAIN[:2], "must be")],
)
def test_bad_skeletons_are_one_line(joints, parents, text):
    vertices, faces = tube((-1, 0, 0), (1, 0, 0))
    with pytest.raises(ValueError, match=text):
        skin_mesh(vertices, faces, joints, parents)
    with pytest.raises(ValueError, match="finite extent"):
        skin_mesh(np.zeros((3, 3)), faces[:1] * 0, ARM, CHAIN)
