"""A surface as a training set: even by area, normalised, coloured, in its own frame again."""

import numpy as np
import pytest
import torch
import trimesh

from geoflow.io.colours import Colours
from geoflow.surface.data import LEAST_DEVIATION, Frame, SurfaceSource

CPU = torch.device("cpu")
SQUARES = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0],
                    [5, 0, 0], [8, 0, 0], [8, 3, 0], [5, 3, 0]], float)  # fmt: skip
FACES = np.array([[0, 1, 2], [0, 2, 3], [1, 1, 2], [4, 5, 6], [4, 6, 7]])  # areas 1 and 9


def draw(source: SurfaceSource, count: int = 40_000, seed: int = 0) -> torch.Tensor:
    return source.batch(count, torch.Generator().manual_seed(seed))[0]


def test_points_are_even_by_area_whatever_the_faces():
    source = SurfaceSource(SQUARES, FACES, CPU)
    points = source.frame.decode(draw(source))
    small = points[:, 0] < 2
    assert small.float().mean() == pytest.approx(0.1, abs=0.006)
    for square, low, side in ((points[small], 0.0, 1.0), (points[~small], 5.0, 3.0)):
        place = (square[:, :2] - torch.tensor([low, 0.0])) / side
        assert place.min() > -1e-5 and place.max() < 1 + 1e-5
        quarters = (2 * place.clamp(0, 0.999)).long()
        share = torch.bincount(2 * quarters[:, 0] + quarters[:, 1]) / len(place)
        assert (share - 0.25).abs().max() < 0.025
    assert source.area == pytest.approx(10)


def test_coordinates_have_zero_mean_and_unit_variance():
    """EDM's sigma_data is 1 then: the frame's closed form agrees with the draws."""
    mesh = trimesh.creation.torus(2.0, 0.3)
    source = SurfaceSource(7 * mesh.vertices + [100, -50, 3], mesh.faces, CPU)
    points = draw(source, 100_000)
    assert points.mean(0).abs().max() < 0.02
    assert points.square().mean().item() == pytest.approx(1, abs=0.01)
    assert source.frame.centre == pytest.approx((100, -50, 3), abs=1e-6)


def test_the_same_generator_gives_the_same_points_and_another_others():
    source = SurfaceSource(SQUARES, FACES, CPU)
    assert torch.equal(draw(source, 50), draw(source, 50))
    assert not torch.equal(draw(source, 50), draw(source, 50, seed=1))


def test_colours_of_corners_are_interpolated():
    corners = np.zeros((5, 3, 3), np.float32)
    corners[3:] = (SQUARES[FACES[3:]] - [5, 0, 0]) / 3  # colour = place in the large square
    source = SurfaceSource(SQUARES, FACES, CPU, Colours(corners))
    points = draw(source)
    assert points.shape[1] == 6 and points[:, 3:].mean(0).abs().max() < 0.03
    raw = source.frame.decode(points)
    large = raw[raw[:, 0] > 4]
    assert torch.allclose(large[:, 3:], (large[:, :3] - torch.tensor([5.0, 0, 0])) / 3, atol=1e-5)


def test_pictures_are_looked_up_from_the_lower_left():
    """Two pictures: a checker of 2 x 2 on the large square, plain grey on the small one."""
    checker = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
    texels = np.concatenate([np.full((1, 3), 51, np.uint8), checker.reshape(-1, 3)])
    pictures = np.array([[0, 1, 1]] * 3 + [[1, 2, 2]] * 2)
    uv = (SQUARES[FACES][:, :, :2] - [5, 0]) / 3 + 4.0  # four whole turns away: it repeats
    source = SurfaceSource(SQUARES, FACES, CPU, Colours(uv.astype(np.float32), texels, pictures))
    raw = source.frame.decode(draw(source))
    small, place = raw[:, 0] < 4, (raw[:, :2] - torch.tensor([5.0, 0.0])) / 3
    assert torch.allclose(raw[small, 3:], torch.tensor(0.2), atol=1e-5)
    for x, y, colour in ((0.25, 0.25, (0, 0, 1)), (0.25, 0.75, (1, 0, 0)), (0.75, 0.75, (0, 1, 0))):
        near = ~small & ((place - torch.tensor([x, y])).abs().amax(1) < 0.03)
        assert near.sum() > 50
        assert (raw[near, 3:] - torch.tensor(colour)).abs().max() < 0.13  # bilinear around it


def test_one_colour_all_over_is_not_blown_up():
    source = SurfaceSource(SQUARES, FACES, CPU, Colours(np.full((5, 3, 3), 0.5, np.float32)))
    assert source.frame.colour_std == LEAST_DEVIATION
    assert draw(source)[:, 3:].abs().max() < 1e-3


def test_a_mesh_without_area_is_refused():
    for vertices in (np.zeros((3, 3)), np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2]], float)):
        with pytest.raises(ValueError, match="positive, finite area"):
            SurfaceSource(vertices, np.array([[0, 1, 2]]), CPU)


def test_a_frame_puts_points_and_colours_back():
    plain = Frame([1.0, 2.0, 3.0], 0.5)
    coloured = Frame([1.0, 2.0, 3.0], 0.5, [0.1, 0.2, 0.3], 0.5)
    assert plain.decode(torch.tensor([[1.0, 2.0, 4.0]])).tolist() == [[1.5, 3.0, 5.0]]
    made = coloured.decode(torch.tensor([[1.0, 2.0, 4.0, 0.0, 1.0, 1.0]], dtype=torch.float64))
    np.testing.assert_allclose(made[0], [1.5, 3.0, 5.0, 0.1, 0.7, 0.8])
