"""Trees of joints, and a body's trunk put in order."""

import numpy as np
import pytest
from toys.bodies import BODY, PARENTS, human, tubes

from geoflow.joints.tree import body_parents, build_tree, check_tree, inside_share


def test_inside_share_of_a_tube():
    points, normals = tubes(np.array([[0, -0.5, 0], [0, 0.5, 0]]), [-1, 0], count=2000)
    ends = np.array([[[0, -0.4, 0], [0, 0.4, 0]], [[0.2, -0.4, 0], [0.2, 0.4, 0]]])
    assert inside_share(ends, points, normals).tolist() == [1, 0]


def test_a_body_gets_its_tree():
    points, normals = tubes(BODY, PARENTS)
    assert build_tree(BODY, points, normals).tolist() == PARENTS.tolist()


def test_bones_stay_inside_the_body():
    """Two ends of a horseshoe are near each other, but not through the body."""
    turn = np.linspace(0.3, 2 * np.pi - 0.3, 9)
    joints = np.stack((np.zeros(9), np.sin(turn), -np.cos(turn)), 1) * 0.5
    points, normals = tubes(joints, np.arange(9) - 1, 0.03)
    parents = build_tree(joints, points, normals)
    edges = {frozenset((k, int(p))) for k, p in enumerate(parents) if p >= 0}
    assert edges == {frozenset((k, k + 1)) for k in range(8)}


def test_a_fish_begins_at_its_front():
    joints = np.stack((np.zeros(5), np.zeros(5), np.linspace(-0.8, 0.8, 5)), 1)
    points, normals = tubes(joints, np.arange(5) - 1)
    assert build_tree(joints, points, normals).tolist() == [1, 2, 3, 4, -1]


def tree_by_length(half):
    """The tree of joints and their mirror images where the inside of the body does not matter."""
    joints = np.array(half)
    joints = np.concatenate((joints, joints[joints[:, 0] > 0] * (-1, 1, 1)))
    return build_tree(joints, *tubes(joints, [-1] + [0] * (len(joints) - 1)), outside=0.0).tolist()


def test_a_limb_hangs_together_before_it_hangs_on_the_trunk():
    """The elbow is 0.2 from the spine and 0.25 from its shoulder: times 1.4 the spine is farther.

    Knees are 0.16 apart and 0.4 from their hips: times 3 the other knee is farther.
    """
    spine = [(0, 0, 0), (0, 0.25, 0), (0, 0.5, 0)]
    assert tree_by_length([*spine, (0.18, 0.5, 0), (0.2, 0.25, 0)]) == [1, 2, -1, 2, 3, 2, 5]
    legs = [(0, 0, 0), (0, 0.3, 0), (0.08, -0.1, 0), (0.08, -0.5, 0)]
    assert tree_by_length(legs) == [-1, 0, 0, 2, 0, 4]


@pytest.mark.parametrize("lift", [0.2, -0.2])
def test_the_hips_are_the_lowest_and_rearmost_joint_where_bones_meet(lift):
    """An animal that climbs or descends begins at its hind legs, a person who leans back below."""
    animal = [(0, 0, -0.4), (0, lift, 0.4), (0.2, -0.5, -0.4), (0.2, lift - 0.5, 0.4)]
    assert tree_by_length([*animal, (0, lift + 0.3, 0.6)])[:2] == [-1, 0]
    person = [(0, 0, 0), (0, 0.5, -0.1), (0.2, -0.4, 0), (0.3, 0.5, -0.1), (0, 0.8, -0.1)]
    assert tree_by_length(person)[:2] == [-1, 0]


def test_without_hips_the_root_is_the_most_central_joint_on_the_plane():
    points, normals = tubes(np.array([[-0.6, 0, 0], [0.6, 0, 0]]), [-1, 0])
    x = np.array([0.0, 0.2, 0.4, 0.6])
    joints = np.stack((x, np.zeros(4), np.zeros(4)), 1)
    assert build_tree(joints, points, normals).tolist() == [-1, 0, 1, 2]
    assert build_tree(joints[1:], points, normals).tolist() == [1, -1, 1]  # none is on it


def test_one_joint_is_a_root():
    assert build_tree(BODY[:1], *tubes(BODY, PARENTS)).tolist() == [-1]


def test_a_tree_must_have_joints_in_range_and_no_cycle():
    check_tree(np.array([-1, 0, 1, -1]))
    for parents, text in (([], "at least one"), ([-2, 0], "below 2"), ([-1, 2], "below 2"),
                          ([1, 0], "cycle")):  # fmt: skip
        with pytest.raises(ValueError, match=f"bones must .*{text}"):
            check_tree(np.array(parents), "bones")


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
