"""Where shapes lie: the fit of a box, the way into the cube and back, y up and z up."""

import numpy as np
import pytest

from geoflow.geometry.frames import fit_frame, from_y_up, to_world, to_y_up


def cloud() -> np.ndarray:
    """Longest along y."""
    return np.random.default_rng(0).uniform(-1, 1, (200, 3)) * [1, 2, 0.5]


@pytest.mark.parametrize("up", ["y", "z"])
@pytest.mark.parametrize("longest", [1.8, 2.0])
def test_a_frame_goes_there_and_back(up, longest):
    points = 1000 + 7 * cloud()
    frame = fit_frame(points, up, longest)
    cube = frame.into_cube(points)
    assert frame.side == pytest.approx(np.ptp(points, axis=0).max())
    np.testing.assert_allclose(cube.max(axis=0), -cube.min(axis=0), atol=1e-12)
    assert np.ptp(cube, axis=0).max() == pytest.approx(longest)
    assert np.ptp(cube, axis=0).argmax() == (1 if up == "y" else 2)
    np.testing.assert_allclose(frame.back(cube), points)


def test_a_frame_by_hand():
    points = np.array([[10, 20, 30], [12, 26, 31]], np.float32)
    cube = fit_frame(points).into_cube(points)
    assert cube.dtype == np.float64
    np.testing.assert_allclose(cube, [[-0.3, -0.9, -0.15], [0.3, 0.9, 0.15]])


def test_z_up_means_what_blender_means():
    """Up is z, the front is -y, the right hand (x) stays."""
    x, front, up = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, 1]])
    turned = to_y_up(np.stack([x, up, front]), "z")
    np.testing.assert_array_equal(turned, np.eye(3))
    assert np.linalg.det(to_y_up(np.eye(3), "z")) == 1, "a mirror"
    np.testing.assert_array_equal(from_y_up(turned, "z"), [x, up, front])
    for turn in (to_y_up, from_y_up):
        np.testing.assert_array_equal(turn(cloud(), "y"), cloud())
    frame = fit_frame(cloud(), "z")
    assert frame.into_cube(frame.centre + 0.1 * np.stack([up, front])).argmax(axis=1).tolist() == [
        1,
        2,
    ]


def test_an_axis_that_is_not_known():
    for call in (fit_frame, to_y_up):
        with pytest.raises(ValueError, match="up must be one of y, z; got 'x'"):
            call(cloud(), "x")


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (np.ones((3, 3)), "span a box; its longest side is 0"),
        (np.where(np.arange(9).reshape(3, 3) == 7, np.nan, np.eye(3)), "must be finite"),
        (np.array([[0, 0, 0], [1, 1, np.inf]]), "must be finite"),
        (1e12 + 1e-3 * cloud(), "move it to the origin"),
        (1e-31 * cloud(), "scale it"),
        (np.ones((3, 2)), r"shape \(N, 3\)"),
        (np.ones((0, 3)), r"shape \(N, 3\)"),
    ],
)
def test_no_frame_for_nothing(points, says):
    for call in (fit_frame, lambda points: to_world(points, 1.0)):
        with pytest.raises(ValueError, match=says):
            call(points)


def test_far_from_the_origin_and_small_is_fine():
    fit_frame(1e6 + cloud())
    fit_frame(1e-29 * cloud())


def test_to_world():
    corners = np.array([[6.5, -6, 1], [7.5, -2, 3]])  # sides 1, 4, 2
    world = to_world(corners, 0.8)
    np.testing.assert_allclose(world, [[-0.1, 0, -0.2], [0.1, 0.8, 0.2]], atol=1e-12)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_to_world_refuses_scales(scale):
    with pytest.raises(ValueError, match="scale_metres must be positive"):
        to_world(cloud(), scale)
