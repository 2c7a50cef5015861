"""Checks of what callers choose fire, in one line that says what to do."""

import pytest

from geoflow.checks import at_least, one_of


def test_at_least():
    at_least("n", 1, 1)
    for value in (0, -1, 0.99, float("nan"), -float("inf")):
        with pytest.raises(ValueError, match=f"^n must be at least 1; got {value}$"):
            at_least("n", value, 1)


def test_one_of_lists_all_and_the_nearest():
    one_of("colour", "red", ["red", "blue"])
    one_of("size", 64, (64, 128))
    with pytest.raises(ValueError) as caught:
        one_of("colour", "Bleu", {"red": 1, "blue": 2})
    line = "colour must be one of red, blue; got 'Bleu'; did you mean 'blue'?"
    assert str(caught.value) == line
    for value in ("zeppelin", 3, None, ["red"], {}):
        with pytest.raises(ValueError) as caught:
            one_of("colour", value, ["red", "blue"])
        assert str(caught.value) == f"colour must be one of red, blue; got {value!r}"
