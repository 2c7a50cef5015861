"""Checks of what callers choose and have; standard library only, so that commands fail at once."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable
from typing import Any

EXTRAS = {
    "train": ("accelerate", "tensorboard"),
    "data": ("DracoPy", "igl", "lxml", "networkx"),
    "app": ("gradio", "gradio_client", "manifold3d"),
    "open3d": ("open3d",),
    "test": ("playwright",),
}
"""Extra of geoflow -> the modules that it brings."""
PACKAGES = {"PIL": "pillow", "lazy_loader": "lazy-loader", "skimage": "scikit-image"}
"""Module -> its package, where the names differ."""


class ArgumentError(ValueError):
    """What a caller chose is wrong; a command ends with exit code 2."""


def at_least(name: str, value: float, least: float) -> None:
    """Raises ArgumentError unless value >= least (NaN is not)."""
    if not value >= least:
        raise ArgumentError(f"{name} must be at least {least}; got {value}")


def one_of(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Raises ArgumentError unless value is one of the choices; lists them and the nearest."""
    known = [*dict.fromkeys(choices)]
    if value not in known:
        typed = value.lower() if isinstance(value, str) else ""
        near = difflib.get_close_matches(typed, map(str, known), n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        listed = ", ".join(map(str, known))
        raise ArgumentError(f"{name} must be one of {listed}; got {value!r}{hint}")


def require(*modules: str, install: str = "") -> None:
    """Whether optional modules are there; asked before the work, not in its midst.

    Nothing is imported. RuntimeError says what to install where one is missing: `install`, or as
    geoflow's extras know.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise RuntimeError(missing_module(module, install))


def missing_module(module: str, install: str = "") -> str:
    """The line for a module that cannot be imported: what to install."""
    module = module.partition(".")[0]
    extra = next((name for name, modules in EXTRAS.items() if module in modules), None)
    package = f"'geoflow[{extra}]'" if extra else PACKAGES.get(module, module)
    install = install or f"pip install {package}"
    return f"the module {module} must be installed; it is not; {install}"
