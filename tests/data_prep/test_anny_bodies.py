"""data_prep/anny_bodies.py and parts/clothing.py: what needs no anny."""

from pathlib import Path

import numpy as np
import pytest
from loading import load_module

PREP = Path(__file__).resolve().parents[2] / "data_prep"


bodies = load_module("anny_bodies", PREP / "anny_bodies.py")
clothing = bodies.clothing
NAMES = ("Hips", "LeftArm", "LeftForeArm", "LeftHand", "RightArm", "RightForeArm", "RightHand")


@pytest.fixture
def rig():
    """Arms that hang at 45 degrees, and fifteen joints to make up the number."""
    names = NAMES + tuple(f"Spine{k}" for k in range(15))
    parents = np.array([-1, 0, 1, 2, 0, 4, 5] + [0] * 15)
    return bodies.Rig(None, names, parents, np.arange(22), np.zeros((0, 22)), np.zeros((0, 3)))


def joints():
    out = np.zeros((22, 3))
    out[1:4] = [[0.2, 1.4, 0], [0.4, 1.2, 0], [0.6, 1.0, 0]]
    out[4:7] = out[1:4] * (-1, 1, 1)
    return out


def volume(vertices, faces):
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return (a * np.cross(b, c)).sum() / 6


def test_shapes_are_closed_and_face_outward():
    rng = np.random.default_rng(0)
    vertices, faces = clothing.ellipsoid(np.array([1.0, 2, 3]), np.array([0.1, 0.2, 0.3]), rng)
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert volume(vertices, faces) == pytest.approx(4 / 3 * np.pi * 0.006, rel=0.08)


def test_rotations():
    a, b = np.array([1.0, 2, 3]), np.array([-2.0, 0.5, 1])
    turn = bodies.between(a, b)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(turn @ a / np.linalg.norm(a), b / np.linalg.norm(b))
    quarter = bodies.rotation(np.array([0, 0, 1.0]), np.pi / 2)
    np.testing.assert_allclose(quarter @ (1, 0, 0), (0, 1, 0), atol=1e-12)


def test_t_pose_levels_the_arms(rig):
    at = joints()
    turns = bodies.draw_pose(rig, at, "t", np.random.default_rng(0))
    for first, sign in ((1, 1), (4, -1)):
        way = turns[first] @ (at[first + 1] - at[first])
        assert way[0] * sign > 0.97 * np.linalg.norm(way)


def test_skinning_moves_each_vertex_with_its_joint():
    at = np.array([[0, 0, 0], [0, 1, 0]], float)
    turn = np.stack((np.eye(3), bodies.rotation(np.array([0, 0, 1.0]), np.pi / 2)))
    vertices = np.array([[0.1, 0.5, 0], [0, 1.5, 0]])
    moved = bodies.skin(vertices, np.eye(2), at, at + np.array((0, 0, 2)), turn)
    np.testing.assert_allclose(moved, [[0.1, 0.5, 2], [-0.5, 1, 2]], atol=1e-12)


def test_along_a_chain():
    stations = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0]], float)
    points = np.array([[0.25, 0.1, 0], [1.1, 0.5, 0], [1, 3, 0], [-1, 0, 0]])
    np.testing.assert_allclose(clothing.along(points, stations), [0.25, 1.5, 2, 0])


def test_normals_of_a_shape_point_outward():
    rng = np.random.default_rng(0)
    vertices, faces = clothing.ellipsoid(np.zeros(3), np.ones(3), rng)
    normals = bodies.vertex_normals(vertices, faces)
    ring = slice(24, -24)
    assert ((normals * vertices).sum(1)[ring] > 0.95).all()
