"""Checks of what callers choose; standard library only, so that commands fail at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class ArgumentError(ValueError):
    """What a caller chose is wrong; a command ends with exit code 2."""


def at_least(name: str, value: float, least: float) -> None:
    """Raises ArgumentError unless value >= least (NaN is not)."""
    if not value >= least:
        raise ArgumentError(f"{name} must be at least {least}; got {value}")


def one_of(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Raises ArgumentError unless value is one of the choices; lists them and the nearest."""
    known = list(choices)
    if value not in known:
        typed = value.lower() if isinstance(value, str) else ""
        near = difflib.get_close_matches(typed, map(str, known), n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        listed = ", ".join(map(str, known))
        raise ArgumentError(f"{name} must be one of {listed}; got {value!r}{hint}")
