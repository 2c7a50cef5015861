"""What is seen of a surface, and how thick a limb is."""

import numpy as np
import pytest

from geoflow.geometry.visible import sample_outside, sphere_directions, visible_side
from geoflow.joints.scores import joint_diameters


def box(low, high):
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    faces = np.array(
        [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
         [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
    )  # fmt: skip
    return np.array(low) + corners * (np.array(high) - np.array(low)), faces


def test_directions_are_spread():
    directions = sphere_directions(42)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    np.testing.assert_allclose(directions.mean(0), 0, atol=0.02)


def test_what_is_inside_is_hidden_and_an_inside_out_part_is_turned():
    outer, faces = box((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5))
    inner = outer * 0.6
    aside = outer * 0.3 + (1.0, 0, 0)
    vertices = np.concatenate((outer, inner, aside))
    every = np.concatenate((faces, faces + 8, faces[:, ::-1] + 16))
    points, normals, hidden = sample_outside(vertices, every, 2000, np.random.default_rng(0))
    assert not (np.abs(points).max(1) < 0.45).any()
    part = points[:, 0] > 0.8
    centre = np.where(part[:, None], (1.0, 0, 0), (0.0, 0, 0))
    assert (((points - centre) * normals).sum(1) > 0).mean() > 0.995
    assert hidden == pytest.approx(0.36 / (1 + 0.36 + 0.09), abs=0.03)


def test_a_sheet_is_seen_and_keeps_its_side():
    rng = np.random.default_rng(0)
    points = np.stack((rng.random(8000), rng.random(8000), np.zeros(8000)), 1)
    normals = np.tile((0.0, 0, 1), (8000, 1))
    assert (visible_side(points, normals, 0.027) == 1).mean() > 0.98


def test_diameter_of_a_tube():
    """A joint in a tube of radius 0.1, another at its very end."""
    rng = np.random.default_rng(0)
    turn = rng.uniform(0, 2 * np.pi, 6000)
    points = np.stack((0.1 * np.cos(turn), rng.uniform(-0.9, 0.9, 6000), 0.1 * np.sin(turn)), 1)
    joints = np.array([[0, 0, 0], [0, 0.5, 0], [0.05, -0.5, 0]])
    sizes = joint_diameters(joints, np.array([-1, 0, 0]), points)
    np.testing.assert_allclose(sizes[:2], 0.2, rtol=0.03)
    assert 0.1 < sizes[2] < 0.2


def test_a_lone_joint_takes_its_distance_to_the_surface():
    points = np.array([[0.3, 0, 0], [0, 0.5, 0]])
    assert joint_diameters(np.zeros((1, 3)), np.array([-1]), points)[0] == pytest.approx(0.6)
