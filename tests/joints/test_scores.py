"""Scores of skeletons, worked by hand."""

import numpy as np
import pytest

from geoflow.joints.scores import (
    JointScores,
    cd_j2j,
    joint_scores,
    match_joints,
    mean_scores,
    tree_recall,
)

REFERENCE = np.array([[0, 0, 0], [0, 0.9, 0], [0.5, 0, 0]], float)
SIZE = np.array([0.2, 0.2, 0.4])


def test_equal_skeletons_are_perfect():
    assert joint_scores(REFERENCE, REFERENCE, SIZE) == JointScores(0, 1, 1, 1)


def test_cd_j2j_by_hand():
    """Predicted to reference: 0.18 and 0; back: 0.18, 0, 0.5 (from (0.5,0,0) to (0,0,0.18))."""
    predicted = np.array([[0, 0, 0.18], [0, 0.9, 0]])
    back = (0.18 + 0 + np.hypot(0.5, 0.18)) / 3
    assert cd_j2j(predicted, REFERENCE) == pytest.approx((0.09 + back) / 2 / 1.8)


def test_iou_precision_recall_by_hand():
    """Four predictions, two within tolerance: 2 * 2 / (4 + 3), 2 / 4, 2 / 3."""
    predicted = np.array([[0.05, 0, 0], [0, 0.9, 0.15], [0.5, 0.19, 0], [-0.9, 0, 0]])
    scores = joint_scores(predicted, REFERENCE, SIZE)
    assert (scores.iou, scores.precision, scores.recall) == pytest.approx((4 / 7, 2 / 4, 2 / 3))


def test_one_joint_is_matched_once():
    """A joint split in two counts once; its twin is a false one."""
    predicted = np.concatenate((REFERENCE, REFERENCE[:1] + 0.01))
    scores = joint_scores(predicted, REFERENCE, SIZE)
    assert (scores.iou, scores.precision, scores.recall) == pytest.approx((6 / 7, 3 / 4, 1))


def test_tolerance_is_that_of_the_reference_joint():
    at = REFERENCE + np.array([[0.11, 0, 0], [0.09, 0, 0], [0.19, 0, 0]])
    assert match_joints(at, REFERENCE, SIZE)[:, 1].tolist() == [1, 2]


def test_the_sum_of_distances_is_least_before_the_tolerance_applies():
    """Greedy would pair 0.4 with 0.5; the least sum pairs 0.4 with 0 and 0.6 with 0.5."""
    predicted = np.array([[0.4, 0, 0], [0.6, 0, 0]])
    reference = np.array([[0.0, 0, 0], [0.5, 0, 0]])
    assert match_joints(predicted, reference, np.array([0.3, 0.3])).tolist() == [[1, 1]]


def test_mean_over_characters():
    assert mean_scores([JointScores(0.1, 1, 1, 0), JointScores(0.3, 0, 1, 1)]) == JointScores(
        pytest.approx(0.2), 0.5, 1, 0.5
    )


def test_tree_recall_ignores_direction_and_unmatched_joints():
    """Reference edges 1-0, 2-1, 3-2; joint 3 is unmatched, edge 2-1 is missing."""
    matches = np.array([[2, 0], [0, 1], [1, 2]])
    assert tree_recall(np.array([-1, 2, 0]), np.array([-1, 0, 1, 2]), matches) == (1, 2)


@pytest.mark.parametrize(
    ("predicted", "size", "text"),
    [
        (np.zeros((0, 3)), SIZE, "at least one point"),
        (np.zeros((2, 2)), SIZE, "predicted joints: points must be"),
        (np.full((2, 3), np.nan), SIZE, "finite"),
        (REFERENCE, SIZE[:2], "one a reference joint"),
        (REFERENCE, 0 * SIZE, "positive"),
    ],
)
def test_bad_input_is_one_line(predicted, size, text):
    with pytest.raises(ValueError, match=text):
        joint_scores(predicted, REFERENCE, size)


def test_no_scores_have_no_mean():
    with pytest.raises(ValueError, match="at least one"):
        mean_scores([])
