"""Names of humanoids: left is +x; anything else keeps its numbers."""

import numpy as np
import pytest
from toys.bodies import human

from geoflow.joints.names import body_parents, name_joints


@pytest.mark.parametrize("scale", [1, 0.01, 100])
def test_a_human_body_is_named(scale):
    names, joints, parents = human()
    assert name_joints(scale * joints + scale * 5, parents) == names


def test_arms_without_collars_begin_at_the_shoulder():
    names, joints, parents = human(("left_collar", "right_collar"))
    assert name_joints(joints, parents) == names


def test_a_bodys_trunk_is_put_in_order():
    names, joints, parents = human()
    row = {n: k for k, n in enumerate(names)}
    wrong = parents.copy()
    wrong[row["left_collar"]], wrong[row["neck"]] = row["right_collar"], row["left_collar"]
    assert (body_parents(joints, wrong) == parents).all()
    # hung up on a collar: the way from there to the pelvis turns round
    path = [row[n] for n in ("left_collar", "spine_2", "spine_1", "pelvis")]
    rooted = parents.copy()
    rooted[path] = [-1, *path[:-1]]
    assert (body_parents(3 * joints - 1, rooted) == parents).all()


def test_a_body_without_a_neck_keeps_its_order():
    names, joints, parents = human(("neck",))
    assert (body_parents(joints, parents) == parents).all()
    assert parents[names.index("head")] == names.index("spine_2")


def test_what_is_no_body_keeps_its_tree():
    for leave_out in (("left_collar", "right_collar"), ("left_elbow",), ("right_knee",)):
        _, joints, parents = human(leave_out)
        assert body_parents(joints, parents) is parents
    names, joints, parents = human(("neck",))
    for extra in (  # a tail, two ears, two hands: correct trees that are no bare body's
        [("pelvis", 0, -0.1, -0.2)],
        [("head", 0.1, 0.75, 0), ("head", -0.1, 0.75, 0)],
        [("left_wrist", 0.8, 0.42, 0), ("right_wrist", -0.8, 0.42, 0)],
    ):
        more = np.concatenate((joints, [row[1:] for row in extra]))
        tree = np.concatenate((parents, [names.index(row[0]) for row in extra]))
        assert body_parents(more, tree) is tree, extra
    chain = np.arange(21) - 1
    assert body_parents(np.random.default_rng(0).normal(size=(21, 3)), chain) is chain


def test_the_other_way_round_swaps_the_sides():
    names, joints, parents = human()
    swap = {"left": "right", "right": "left"}
    want = [n.replace(n.split("_")[0], swap.get(n.split("_")[0], n.split("_")[0])) for n in names]
    assert name_joints(joints * (-1, 1, 1), parents) == want


@pytest.mark.parametrize(
    ("joints", "parents"),
    [
        (np.zeros((1, 3)), [-1]),
        (np.arange(15).reshape(5, 3), [-1, 0, 1, 2, 3]),
        (np.zeros((5, 3)), [-1, 0, 0, 0, 0]),
        (np.eye(3), [-1, -1, 0]),
    ],
)
def test_no_humanoid_keeps_numbers(joints, parents):
    assert name_joints(joints, np.array(parents)) == [f"joint_{k}" for k in range(len(joints))]


def test_names_differ_with_extra_joints():
    names, joints, parents = human()
    wrist = names.index("left_wrist")
    joints = np.concatenate(
        (joints, joints[[wrist]] + [[0.1, 0, 0]], joints[[wrist]] + [[0.2, 0, 0]])
    )
    parents = np.concatenate((parents, [wrist, len(names)]))
    found = name_joints(joints, parents)
    assert len(set(found)) == len(found) and found[-2:] == ["left_hand", "left_hand_1"]


def test_an_arm_that_hangs_on_the_head_begins_at_its_collar():
    """Without a neck the head may be taken for the first joint of an arm."""
    names, joints, parents = human(("neck",))
    parents[names.index("left_collar")] = names.index("head")
    assert name_joints(joints, parents) == names
