"""Pictures with torch alone: against rays followed in small steps, and dots placed by hand."""

import numpy as np
import torch
from scipy.ndimage import map_coordinates

from geoflow.render import quick
from geoflow.render.camera import camera_axes

R = 32


def grid_of(distance):
    axis = (torch.arange(R) + 0.5) / R * 2 - 1
    return distance(torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1))


def ball(radius, *centre):
    return grid_of(lambda p: (p - torch.tensor(centre)).norm(dim=-1) - radius)


def box(sides, *centre):
    def distance(p):
        q = (p - torch.tensor(centre)).abs() - torch.tensor(sides)
        return q.clamp(min=0).norm(dim=-1) + q.amax(-1).clamp(max=0)

    return grid_of(distance)


def seen(picture):
    """(H, W) whether a pixel is not background."""
    return picture.min(axis=-1) < 255


def along_rays(grid, size, azimuth, elevation):
    """(size, size) whether the ray of a pixel meets a value below 0, read 600 times along it."""
    right, up, back = camera_axes(azimuth, elevation)
    place = np.linspace(-1.35, 1.35, size)
    start = place[None, :, None] * right - place[:, None, None] * up
    hit = np.zeros((size, size), bool)
    for z in np.linspace(-1.75, 1.75, 600):
        index = ((start - z * back) + 1) / 2 * R - 0.5
        value = map_coordinates(
            grid.numpy(), np.moveaxis(index, -1, 0), order=1, mode="constant", cval=1
        )
        hit |= value < 0
    return hit


def test_what_is_traced_is_what_rays_meet():
    scene = torch.stack((
        box((0.8, 0.05, 0.5), 0, 0.6, 0), box((0.05, 0.7, 0.05), 0.5, -0.2, 0.3),
        ball(0.3, -0.4, -0.4, 0.4),
    )).amin(0)  # fmt: skip
    for grid in (scene, scene.clamp(-0.1, 0.1)):
        for azimuth, elevation in ((0, 0), (35, 25), (200, -40)):
            picture = quick.trace_grid(grid, 90, azimuth=azimuth, elevation=elevation)
            expected = along_rays(grid, 90, azimuth, elevation)
            assert (seen(picture) != expected).mean() < 0.01 < expected.mean()


def test_a_ball_is_lit_as_its_normals_say():
    picture = quick.trace_grid(ball(0.8, 0, 0, 0), 91, azimuth=0, elevation=0)
    y, x = np.mgrid[1.35:-1.35:91j, -1.35:1.35:91j]
    z = np.sqrt(np.clip(0.64 - x**2 - y**2, 0, None))
    light = np.array([-0.4, 0.5, 1]) / np.linalg.norm([-0.4, 0.5, 1])
    lit = np.clip(np.stack([x, y, z], -1) / 0.8 @ light, 0, 1) * 0.75 + 0.2
    inner = x**2 + y**2 < 0.6**2
    expected = 255 * lit[inner][:, None] * [0.62, 0.70, 0.78]
    assert np.abs(picture[inner] - expected).max() < 6
    assert not seen(picture)[x**2 + y**2 > 0.85**2].any()


def test_grids_are_drawn_one_by_one_and_nothing_is_white():
    grids = torch.stack((ball(0.5, 0.3, 0, 0), torch.ones(R, R, R)))
    tiles = quick.draw_grids(grids, 50)
    assert tiles.shape == (2, 50, 50, 3) and tiles.dtype == np.uint8
    np.testing.assert_array_equal(tiles[0], quick.trace_grid(grids[0], 50))
    assert (tiles[1] == 255).all()


def test_dots_are_where_points_are_and_near_ones_are_dark():
    clouds = torch.tensor([
        [[0, 0, 0.9], [0, 0, -0.9], [0.54, 0, 0], [0, 0.54, 0]],
        [[0, 0, -0.9], [0, 0, 0.9], [9, 0, 0], [0, 9, 0]],
    ])  # fmt: skip
    first, second = quick.draw_clouds(clouds, 100, azimuth=0, elevation=0)
    assert seen(first).sum() == 12 and seen(second).sum() == 4  # cut off, not folded in
    for at in ((50, 50), (50, 70), (30, 50)):  # row, column of the upper left of four
        assert seen(first)[at[0] : at[0] + 2, at[1] : at[1] + 2].all()
    assert first[50, 50, 0] == second[50, 50, 0] < first[50, 70, 0]  # the nearest is seen
