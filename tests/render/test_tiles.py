"""Pictures side by side: the right one in the right place."""

import io

import numpy as np
import pytest

from geoflow.render import tiles


def page_of(*arguments, **options):
    from PIL import Image

    with Image.open(io.BytesIO(tiles.join_tiles(*arguments, **options))) as image:
        assert image.format == "PNG" and image.mode == "RGB"
        return np.asarray(image)


def test_tiles_go_row_by_row_and_the_rest_is_paper():
    grey = [np.full((4, 6, 3), value, np.uint8) for value in (10, 20, 30)]
    page = page_of(grey, 2, paper=(1, 2, 3))
    assert page.shape == (8, 12, 3)
    np.testing.assert_array_equal(page[:4], np.concatenate(grey[:2], axis=1))
    np.testing.assert_array_equal(page[4:, :6], grey[2])
    assert (page[4:, 6:] == (1, 2, 3)).all()
    assert page_of(np.stack(grey), 5).shape == (4, 18, 3)  # no wider than the tiles


def test_names_are_below_their_pictures():
    white = np.full((40, 80, 3), 255, np.uint8)
    page = page_of([white, white], 1, ["mmm", "m" * 50])
    rows = np.flatnonzero((page < 200).any(axis=(1, 2)))
    assert page.shape == (2 * 60, 80, 3)
    assert ((rows % 60) >= 40).all() and {*(rows // 60)} == {0, 1}
    dark = [np.flatnonzero((part < 200).any(axis=(0, 2))) for part in (page[:60], page[60:])]
    assert np.ptp(dark[0]) < 40 < np.ptp(dark[1]) < 71  # the long one is shortened to fit


def test_long_names_are_shortened():
    assert tiles._shorten("chair_00017", lambda text: len(text) <= 6) == "chair…"
    assert tiles._shorten("chair", lambda text: len(text) <= 6) == "chair"


def test_a_picture_is_a_png_that_may_be_written(tmp_path):
    (tmp_path / "there.PNG").write_bytes(b"mine")
    tiles.check_png(tmp_path / "new.png", overwrite=False)
    tiles.check_png(tmp_path / "there.PNG", overwrite=True)
    with pytest.raises(ValueError, match=r"must end in \.png; it is 'a\.jpg'"):
        tiles.check_png(tmp_path / "a.jpg", overwrite=True)
    with pytest.raises(ValueError, match="exists already"):
        tiles.check_png(tmp_path / "there.PNG", overwrite=False)
