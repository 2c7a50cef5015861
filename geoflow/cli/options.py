"""Options that commands share, and commands whose options are a dataclass.

@dataclass(frozen=True, kw_only=True)
class Options:
    seed: Seed = 0

@command(Options)
def generate(o: Options) -> None: ...
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from enum import StrEnum
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_type_hints

import typer

from geoflow.checks import at_least
from geoflow.cli.errors import one_line


class AtLeast(NamedTuple):
    """Bound of an option, beside its typer.Option."""

    least: float


class Device(StrEnum):
    auto, cpu, cuda = "auto", "cpu", "cuda"


class MeshFormat(StrEnum):
    obj, glb, stl, ply, three_mf = "obj", "glb", "stl", "ply", "3mf"


class Resolution(StrEnum):
    r64, r128, r256 = "64", "128", "256"


class Up(StrEnum):
    y, z = "y", "z"


Steps = Annotated[int, typer.Option(help="Network calls for each."), AtLeast(1)]
Where = Annotated[
    Device, typer.Option(help="Where the network runs; auto takes a GPU if there is one.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that are in the way.")]
Checkpoint = Annotated[
    str,
    typer.Option(
        help="A bundled name, or a folder with config.json: a checkpoint or a run (./objects is "
        "the folder)."
    ),
]


def seed_option(what: str) -> Any:
    """A seed, not negative; `what` ends with a full stop."""
    return Annotated[int, typer.Option(help=what), AtLeast(0)]


Options = TypeVar("Options")


def command(options: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """A command of typer that takes the fields of a dataclass as its options.

    Args:
        options: every field Annotated with typer.Option or typer.Argument, and perhaps AtLeast.
    """
    hints = get_type_hints(options, include_extras=True)
    known = {f.name: f for f in fields(options)}  # pyright: ignore[reportArgumentType]
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if f.default is MISSING else f.default,
            annotation=hints[name],
        )
        for name, f in known.items()
    ]
    bounds = {
        name: part.least
        for name in known
        for part in get_args(hints[name])
        if isinstance(part, AtLeast)
    }

    def wrap(function: Callable[[Options], None]) -> Callable[..., None]:
        def checked(**values: Any) -> None:
            for name, least in bounds.items():
                if values[name] is not None:
                    at_least(f"--{name}", values[name], least)
            function(options(**values))

        @functools.wraps(function)
        def run(**values: Any) -> None:
            one_line(checked)(**values)

        run.__signature__ = inspect.Signature(parameters)  # pyright: ignore
        run.__annotations__ = {name: hints[name] for name in known}
        return run

    return wrap
