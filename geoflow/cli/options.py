"""Commands whose options are a dataclass.

@dataclass(frozen=True, kw_only=True)
class Options:
    steps: Steps = 2
    n: int = option(1, "How many shapes.", "--n", "-n", least=1)

@command(Options)
def generate(o: Options) -> None: ...
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, field, fields
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_type_hints

import typer

from geoflow.checks import at_least
from geoflow.cli.errors import one_line


class AtLeast(NamedTuple):
    """Bound of an option, beside its typer.Option."""

    least: float


def option(default: Any, help: str, *flags: str, least: float | None = None, **more: Any) -> Any:
    """A command's own option: a field of its dataclass.

    `default` is MISSING where one must be given, `flags` are "--out", "-o" where they are not
    --name, `least` is the smallest number it may be; `more` goes to typer.Option.
    """
    bound = () if least is None else (AtLeast(least),)
    known = (typer.Option(*flags, help=help, **more), *bound)
    return field(default=default, metadata={"as": known})


def argument(help: str) -> Any:
    """A command's argument, needed: a field of its dataclass."""
    return field(metadata={"as": (typer.Argument(help=help),)})


Options = TypeVar("Options")


def command(options: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """A command of typer that takes the fields of a dataclass as its options.

    Every field is an `option`, an `argument`, or of one of the types of `geoflow.cli.choices`.
    """
    hints = get_type_hints(options, include_extras=True)
    parameters, bounds = [], {}
    for f in fields(options):  # pyright: ignore[reportArgumentType]
        if "as" in f.metadata:
            hints[f.name] = Annotated[hints[f.name], *f.metadata["as"]]
        given = {"default": inspect.Parameter.empty if f.default is MISSING else f.default}
        kind, hint = inspect.Parameter.KEYWORD_ONLY, hints[f.name]
        parameters.append(inspect.Parameter(f.name, kind, annotation=hint, **given))
        bounds |= ((f.name, p.least) for p in get_args(hint) if isinstance(p, AtLeast))

    def wrap(function: Callable[[Options], None]) -> Callable[..., None]:
        @functools.wraps(function)
        @one_line
        def run(**values: Any) -> None:
            for name, least in bounds.items():
                if values[name] is not None:
                    at_least(f"--{name}", values[name], least)
            function(options(**values))

        run.__signature__ = inspect.Signature(parameters)  # pyright: ignore
        run.__annotations__ = hints
        return run

    return wrap
