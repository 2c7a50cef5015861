"""Names of humanoids: left is +x; anything else keeps its numbers."""

import numpy as np
import pytest
from toys.bodies import human

from geoflow.joints.names import name_joints


@pytest.mark.parametrize("scale", [1, 0.01, 100])
def test_a_human_body_is_named(scale):
    names, joints, parents = human()
    assert name_joints(scale * joints + scale * 5, parents) == names


def test_arms_without_collars_begin_at_the_shoulder():
    names, joints, parents = human(("left_collar", "right_collar"))
    assert name_joints(joints, parents) == names


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
