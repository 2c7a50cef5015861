"""Pictures of clouds: where the points are, the nearest on top, white elsewhere."""

import numpy as np
import pytest

from geoflow.render.splats import draw_points


def test_the_nearest_point_of_a_pixel_is_seen():
    points = np.array([[0, 0, 0.5, 1, 0, 0], [0, 0, 0.9, 0, 1, 0], [0, 0, -0.9, 0, 0, 1]])
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        picture = draw_points(
            points[order], 33, radius=1, centre=np.zeros(3), azimuth=0, elevation=0
        )
        assert (picture[16, 16] == [0, 255, 0]).all()
        assert (picture.reshape(-1, 3).min(1) == 255).sum() == 33 * 33 - 1


def test_up_is_up_and_right_is_right_from_the_front():
    view = {"size": 41, "radius": 1, "centre": np.zeros(3), "azimuth": 0, "elevation": 0}
    dark = lambda p: np.argwhere(draw_points(np.array([p], float), **view).min(2) < 255)  # noqa: E731
    assert (dark([0, 0.5, 0]) == [[10, 20]]).all() and (dark([0.5, 0, 0]) == [[20, 30]]).all()
    assert len(dark([3, 0, 0])) == 0  # cut off


def test_a_pixel_far_behind_its_neighbour_is_darker():
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 200), np.linspace(-1, 1, 200)), -1).reshape(
        -1, 2
    )
    wall = np.column_stack([grid, np.where(grid[:, 0] > 0, 0.3, -0.3)])
    picture = draw_points(wall, 64, radius=1, centre=np.zeros(3), azimuth=0, elevation=0)
    assert picture[32, 31].sum() < 0.5 * picture[32, 10].sum() == 0.5 * picture[32, 50].sum()


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="N >= 1"):
        draw_points(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="radius must be positive"):
        draw_points(np.zeros((2, 3)), radius=0.0)
