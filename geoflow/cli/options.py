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
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from geoflow.cli.errors import one_line

O = TypeVar("O")  # noqa: E741


class Device(StrEnum):
    auto, cpu, cuda = "auto", "cpu", "cuda"


class MeshFormat(StrEnum):
    obj, glb, stl, ply, three_mf = "obj", "glb", "stl", "ply", "3mf"


class Resolution(StrEnum):
    r64, r128, r256 = "64", "128", "256"


class Up(StrEnum):
    y, z = "y", "z"


Steps = Annotated[int, typer.Option(help="Network calls for each.", min=1)]
Seed = Annotated[int, typer.Option(help="Result i depends on (seed, i) alone.", min=0)]
RunSeed = Annotated[int, typer.Option(help="Of the whole run.", min=0)]
Where = Annotated[
    Device,
    typer.Option(help="Where the network runs; auto takes a GPU if there is one."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Resume = Annotated[bool, typer.Option("--resume", help="Finish what was interrupted in --out.")]
Checkpoint = Annotated[
    str, typer.Option(help="A bundled name, or a folder with config.json: a checkpoint or a run.")
]
Picture = Annotated[Path | None, typer.Option(help="PNG to draw too.")]


def command(options: type[O]) -> Callable[[Callable[[O], None]], Callable[..., None]]:
    """A command of typer that takes the fields of a dataclass as its options.

    Args:
        options: every field Annotated with typer.Option or typer.Argument.
    """
    hints = get_type_hints(options, include_extras=True)
    empty = inspect.Parameter.empty
    parameters = [
        inspect.Parameter(
            f.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=empty if f.default is MISSING else f.default,
            annotation=hints[f.name],
        )
        for f in fields(options)  # pyright: ignore[reportArgumentType]
    ]

    def wrap(function: Callable[[O], None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(**values: Any) -> None:
            one_line(function)(options(**values))

        run.__signature__ = inspect.Signature(parameters)  # pyright: ignore
        run.__annotations__ = {f: hints[f] for f in hints}
        return run

    return wrap
