"""Named noises: the same numbers as draw_noise, and mixtures that stay standard normal."""

import numpy as np
import pytest
import torch

from geoflow import Noise
from geoflow.flow.noise import draw_noise

SHAPE = (32, 32, 32)


def test_one_draw_is_that_of_generate():
    for seed, index in ((0, 0), (7, 3)):
        torch.testing.assert_close(
            Noise.of_shape(seed, index).draw(SHAPE), draw_noise(seed, index, SHAPE), rtol=0, atol=0
        )


def test_a_draw_can_be_changed_without_changing_the_next():
    first = Noise.of_shape(1).draw(SHAPE)
    first.zero_()
    assert Noise.of_shape(1).draw(SHAPE).std() > 0.9


def test_slerp_against_its_closed_form():
    a, b = Noise.of_shape(0), Noise.of_shape(1)
    for position in (0.25, 0.5, 0.9):
        angle = position * np.pi / 2  # independent draws are at a right angle
        want = np.cos(angle) * a.draw(SHAPE) + np.sin(angle) * b.draw(SHAPE)
        torch.testing.assert_close(a.towards(b, position).draw(SHAPE), want)
    assert a.towards(b, 0) == a and a.towards(b, 1) == b
    assert a.towards(a, 0.5) == a


def test_mixtures_of_mixtures_stay_standard_normal():
    mixed = (
        Noise.of_shape(0).near(5, 0.3).near(6, 0.7, 2).towards(Noise.of_shape(0).near(9, 1), 0.4)
    )
    assert sum(w * w for w, _, _ in mixed.terms) == pytest.approx(1)
    values = mixed.draw(SHAPE)
    assert values.std() == pytest.approx(1, abs=0.02) and values.mean() == pytest.approx(
        0, abs=0.02
    )
    halfway = Noise.of_shape(0).towards(Noise.of_shape(0).near(5, 0.4), 0.5)
    quarter = Noise.of_shape(0).near(5, 0.2)  # half of the arc to a near noise is half its angle
    np.testing.assert_allclose(halfway.terms, quarter.terms, atol=1e-9)


def test_nearer_is_more_alike():
    start = Noise.of_shape(3)
    distances = [
        float((start.near(8, amount).draw(SHAPE) - start.draw(SHAPE)).norm())
        for amount in (0, 0.1, 0.5, 1)
    ]
    assert distances[0] == 0 and distances == sorted(distances) and distances[1] < distances[3] / 5


def test_bounds():
    with pytest.raises(ValueError, match="negative; got -1"):
        Noise.of_shape(-1)
    with pytest.raises(ValueError, match=r"position.*1\.5"):
        Noise.of_shape(0).towards(Noise.of_shape(1), 1.5)
    with pytest.raises(ValueError, match="nan"):
        Noise.of_shape(0).near(1, float("nan"))
