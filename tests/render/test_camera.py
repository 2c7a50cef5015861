"""One camera: where it stands, and that what it looks at fills the view."""

import numpy as np
import pytest

from geoflow.render import studio
from geoflow.render.camera import VIEW_ANGLE, camera_axes, fit_view


def test_zero_looks_at_the_front_and_degrees_turn_right_and_up():
    np.testing.assert_allclose(camera_axes(0, 0), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(camera_axes(90, 0), [[0, 0, -1], [0, 1, 0], [1, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(camera_axes(0, 90), [[1, 0, 0], [0, 0, -1], [0, 1, 0]], atol=1e-12)
    right, up, back = axes = camera_axes(studio.AZIMUTH, studio.ELEVATION)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)
    assert back[2] > 0.7 and 0 < back[0] < back[2] and 0 < back[1] < back[2]
    assert right[0] > 0 and up[1] > 0.8 and right[1] == 0


@pytest.mark.parametrize("seed", range(3))
def test_points_fill_the_view(seed):
    points = np.random.default_rng(seed).normal(size=(50, 3)) * [1, 3, 0.5] + [9, -4, 2]
    position = fit_view(points, margin=1.1)
    seen = points - position
    assert (seen[:, 2] < 0).all()
    plane = seen[:, :2] / -seen[:, 2:] / np.tan(np.radians(VIEW_ANGLE / 2))
    extent = plane.max(axis=0), plane.min(axis=0)
    np.testing.assert_allclose(np.abs(extent).max(), 1 / 1.1)
    np.testing.assert_allclose(extent[0], -extent[1], atol=1e-9)  # centred both ways
