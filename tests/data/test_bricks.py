"""Sparse grids: what is packed comes back, and what is far from the surface takes no space."""

import numpy as np
import pytest

from geoflow.data.bricks import decode_sdf, encode_sdf, side_of


def ball(side: int, radius: float = 0.5) -> np.ndarray:
    axis = -1 + (np.arange(side) + 0.5) * 2 / side
    x, y, z = np.meshgrid(axis, axis + 0.1, 0.8 * axis, indexing="ij")
    return np.sqrt(x**2 + y**2 + z**2) - radius


@pytest.mark.parametrize("side", [16, 20, 31, 64])
def test_distances_come_back_within_half_a_step(side):
    sdf = ball(side)
    back = decode_sdf(encode_sdf(sdf, 0.2), side)
    assert back.shape == (side,) * 3 and back.dtype == np.int8
    assert np.abs(back / 127 * 0.2 - sdf.clip(-0.2, 0.2)).max() < 0.2 / 127 * 0.501


def test_noise_and_the_ends_of_the_band_come_back():
    values = np.random.default_rng(0).uniform(-0.15, 0.15, (24, 24, 24))
    values[0, 0, :3] = -0.1, 0.1, 0.0
    back = decode_sdf(encode_sdf(values, 0.1), 24)
    assert back[0, 0, :3].tolist() == [-127, 127, 0]
    np.testing.assert_array_equal(back, np.rint(values.clip(-0.1, 0.1) * 1270))


def test_bricks_inside_and_outside_take_no_space():
    values = np.full((64, 64, 64), 1.0)
    outside = len(encode_sdf(values, 0.1))
    values[8:16, 16:24, 24:32] = -1.0
    assert len(encode_sdf(values, 0.1)) < outside + 40 < 300
    assert (decode_sdf(encode_sdf(values, 0.1), 64) == np.where(values < 0, -127, 127)).all()
    assert len(encode_sdf(ball(64), 0.1)) < 64**3 / 10


def test_another_side_is_refused():
    blob = encode_sdf(ball(16), 0.1)
    assert side_of(blob) == 16 and side_of(None) is None
    with pytest.raises(ValueError, match=r"a grid of 16\^3 instead of 32\^3"):
        decode_sdf(blob, 32)
