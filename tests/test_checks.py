"""Checks of what callers choose and have fire, in one line that says what to do."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from geoflow.checks import EXTRAS, at_least, missing_module, one_of, require


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


@pytest.mark.parametrize(
    ("module", "install"),
    [
        ("DracoPy", "pip install 'geoflow[data]'"),
        ("gradio", "pip install 'geoflow[app]'"),
        ("accelerate", "pip install 'geoflow[train]'"),
        ("skimage", "pip install scikit-image"),
        ("surely_not_there", "pip install surely_not_there"),
    ],
)
def test_a_missing_module_is_one_line_that_names_what_to_install(monkeypatch, module, install):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RuntimeError) as caught:
        require("json", module)
    assert str(caught.value) == f"the module {module} must be installed; it is not; {install}"


def test_require_accepts_what_is_there_and_says_how_to_install_the_rest():
    require("json", "numpy")
    with pytest.raises(RuntimeError, match=r"it is not; read the top of x\.py$"):
        require("surely_not_there", install="read the top of x.py")


def test_a_part_of_a_module_is_installed_with_the_whole():
    assert missing_module("igl.helpers").endswith("pip install 'geoflow[data]'")


def test_the_extras_are_those_of_the_package():
    """A package that leaves or joins an extra must do so in both places."""
    project = Path(__file__).resolve().parents[1] / "pyproject.toml"
    optional = tomllib.loads(project.read_text())["project"]["optional-dependencies"]
    modules = {"libigl": "igl"}
    for extra, packages in optional.items():
        names = {re.split(r"[\[<>=]", package)[0] for package in packages}
        brought = {modules.get(name, name) for name in names}
        known = set(EXTRAS[extra])
        assert known <= brought if extra == "test" else known == brought, extra
