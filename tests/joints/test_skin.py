"""Skinning weights: laws, who moves what, open meshes and loose parts."""

import numpy as np
import pytest
from toys.bodies import box, together, tube

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


def test_a_blend_by_hand():
    """Beyond the elbow by d the upper arm is sqrt(r^2 + d^2) away, the forearm r: (1 - x / b)^2.

    b is 0.6 r and a voxel, a 72nd of the longest side.
    """
    vertices, faces = tube((-1, 0, 0), (1, 0, 0))
    weights = dense(skin_mesh(vertices, faces, ARM, CHAIN), 3)
    r, d = 0.06, 0.05
    share = (1 - (np.hypot(r, d) - r) / (0.6 * r + 2 / 72)) ** 2
    ring = np.abs(vertices[:, 0] - d) < 1e-9
    np.testing.assert_allclose(weights[ring, 0], share / (1 + share), rtol=1e-5)
    assert ring.sum() == 12


@pytest.mark.parametrize("open_below", [False, True])
def test_an_arm_beside_the_trunk_does_not_hold_it(open_below):
    """The skin of a thick trunk is nearer to the arm that hangs 0.1 beside it than to the spine.

    The way there, through the shoulder, is long. A trunk without a bottom has an inside too.
    """
    trunk, faces = tube((0, 0.8, 0), (0, -0.8, 0), 0.3)
    faces = faces[:-12] if open_below else faces
    arm, top = tube((0.46, 0.7, 0), (0.46, -0.7, 0)), tube((0.2, 0.7, 0), (0.5, 0.7, 0))
    vertices, faces = together((trunk, faces), arm, top)
    arm = arm[0]
    joints = np.array([[0, -0.6, 0], [0, 0.6, 0], [0.46, 0.7, 0], [0.46, 0, 0]])
    weights = dense(skin_mesh(vertices, faces, joints, np.array([-1, 0, 1, 2])), 4)
    on_trunk, on_arm = weights[: len(trunk)], weights[len(trunk) : len(trunk) + len(arm)]
    assert on_trunk[trunk[:, 1] < 0.3][:, 2:].max() == 0
    assert on_trunk[np.abs(trunk[:, 1] + 0.1) < 0.3][:, 0].min() == 1
    assert on_arm[arm[:, 1] < 0.3][:, :2].max() == 0


def test_vertices_that_no_face_uses_change_nothing():
    """One far away would make the voxels as large as a limb, one beside the arm would be body."""
    vertices, faces = tube((-1, 0, 0), (1, 0, 0))
    want = skin_mesh(vertices, faces, ARM, CHAIN)
    stray = np.array([[0, 60, 0], [0.5, 0.05, 0.05], [0, -0.04, 0]])
    skin = skin_mesh(np.concatenate((stray, vertices)), faces + 3, ARM, CHAIN)
    np.testing.assert_array_equal(skin.joints[3:], want.joints)
    np.testing.assert_array_equal(skin.weights[3:], want.weights)
    assert (skin.joints[:3] == 0).all() and skin.weights[:3].tolist() == [[1, 0, 0, 0]] * 3
    free = skin_mesh(vertices, faces[faces.min(1) > 0], ARM[::-1], np.array([1, 2, -1]))
    assert free.joints[0, 0] == 2 and free.weights[0, 0] == 1  # the root holds it


def test_a_loose_sword_stays_stiff_and_a_coat_does_not():
    """A short box that touches nothing moves as one; a long one with the bones along it."""
    vertices, faces = tube((-1, 0, 0), (1, 0, 0))
    for low, high in (((0.7, 0.15, -0.02), (0.78, 0.6, 0.02)), ((-0.9, 0.15, -0.1), (0.7, 0.2, 0))):
        part, part_faces = box(low, high)
        skin = skin_mesh(*together((vertices, faces), (part, part_faces)), ARM, CHAIN)
        weights = dense(skin, 3)[-8:]
        if low[0] > 0:
            assert (weights == weights[0]).all() and weights[0, 0] == 0
        else:
            assert (weights[part[:, 0] < 0, 0] == 1).all() and (
                weights[part[:, 0] > 0, 0] == 0
            ).all()


def test_one_joint_moves_everything_and_points_of_one_place_agree():
    vertices, faces = tube((-1, 0, 0), (1, 0, 0))
    alone = skin_mesh(vertices, faces, ARM[1:2], np.array([-1]))
    assert (alone.weights[:, 0] == 1).all() and (alone.joints == 0).all()
    skin = skin_mesh(*together((vertices, faces), (vertices, faces)), ARM, CHAIN)
    assert np.array_equal(*np.split(skin.weights, 2))
