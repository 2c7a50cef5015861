"""Rigged characters on disk."""

import numpy as np
import pytest
from toys.bodies import character

from geoflow.joints.rigs import read_characters, write_characters


def test_a_set_comes_back_as_it_was(tmp_path):
    path = tmp_path / "set.npz"
    before = [character("a/x", 3, seed=1), character("b/y", 5, seed=2)]
    write_characters(path, before)
    for old, new in zip(before, read_characters(path), strict=True):
        for key in ("name", "category", "joint_names"):
            assert getattr(old, key) == getattr(new, key)
        np.testing.assert_allclose(new.points, old.points, atol=5e-4)
        np.testing.assert_allclose(new.normals, old.normals, atol=0.01)
        np.testing.assert_array_equal(new.joints, old.joints)
        np.testing.assert_array_equal(new.parents, old.parents)
        np.testing.assert_array_equal(new.feature_size, old.feature_size)
        assert new.pack == old.name[0]


def test_bad_sets_are_not_written(tmp_path):
    loop = character()
    loop.parents[:] = (1, 0, -1)
    lost = character()
    lost.parents[:] = (-1, 0, 7)
    for bad, text in (
        ([], "at least one"),
        ([character(points=64), character(points=65)], "one number of points"),
        ([loop], "cycle"),
        ([lost], "below 3"),
    ):
        with pytest.raises(ValueError, match=text):
            write_characters(tmp_path / "set.npz", bad)
    assert not (tmp_path / "set.npz").exists()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("missing", "readable"),
        ("words", "npz of characters"),
        ("key", "feature_size is not"),
        ("short", "do not fit"),
        ("nan", "do not fit"),
        ("pickle", "npz of characters"),
        ("cut", "npz of characters"),
        ("array", "npz of characters"),
    ],
)
def test_damage_is_one_line(tmp_path, change, text):
    path = tmp_path / "set.npz"
    write_characters(path, [character()])
    with np.load(path) as stored:
        table = dict(stored)
    if change == "missing":
        path.unlink()
    elif change == "words":
        path.write_text("hello")
    elif change == "array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif change == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    else:
        if change == "key":
            del table["feature_size"]
        elif change == "short":
            table["joints"] = table["joints"][:-1]
        elif change == "nan":
            table["joints"][0, 0] = np.nan
        else:
            table["name"] = np.array([{"a": 1}], object)
        np.savez(path, **table)
    with pytest.raises(ValueError, match=text) as caught:
        read_characters(path)
    assert "\n" not in str(caught.value)
