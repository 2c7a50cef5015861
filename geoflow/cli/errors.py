"""What the commands share: errors of one line with an exit code, checks of options."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from geoflow.checks import ArgumentError, missing_module
from geoflow.files import check_target

ClickError: Any = typer.BadParameter.__mro__[2]  # ClickException; some typer bring their own click


class OneLine:
    """A base of commands whose usage errors are one line, as all our errors are."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        run: Any = super()
        try:
            code = run.main(*args, standalone_mode=False, **extra)
        except ClickError as error:
            context = getattr(error, "ctx", None)
            command = context.command_path if context else "geoflow"
            text = error.format_message().rstrip(".")
            code = print_error(f"{text}; see {command} --help", 2)
        except typer.Abort:
            code = print_error("aborted", 1)
        if standalone_mode:
            sys.exit(code)
        return code


class OneLineGroup(OneLine, TyperGroup):
    """A group of such commands."""


class OneLineCommand(OneLine, TyperCommand):
    """One such command: a script."""


def one_line(command: Callable[..., None]) -> Callable[..., None]:
    """Turns expected errors into one line on stderr and an exit code."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            code = 130
        except ArgumentError as error:
            code = print_error(str(error), 2)
        except ModuleNotFoundError as error:
            code = print_error(missing_module(error.name or str(error)), 1)
        except (ValueError, OSError, RuntimeError) as error:
            code = print_error(str(error), 1)
        raise typer.Exit(code)

    return run


def script(command: Callable[..., None]) -> typer.Typer:
    """The app of a script: one command, whose errors are one line each."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(cls=OneLineCommand)(one_line(command))
    return app


def print_error(message: str, code: int) -> int:
    print(f"geoflow: {' '.join(message.split())}", file=sys.stderr)
    return code


def note(message: str) -> None:
    print(f"geoflow: {message}", file=sys.stderr)


def check_apart(out: Path, source: Path, what: str) -> None:
    """Raises ArgumentError where a file would be written over what it is made of, by any name."""
    if out.exists() and source.exists() and out.samefile(source):
        raise ArgumentError(f"--out must not be the {what} itself; got {out}; name another file")


def check_output(
    path: Path | None, endings: Sequence[str], overwrite: bool, name: str = "--out", of: str = ""
) -> None:
    """Raises where a file cannot be written to the path that an option gives, if it does."""
    if path is not None and path.suffix.lower() not in endings:
        raise ArgumentError(f"{name} must end in {' '.join(endings)}{of}; got {path}")
    if path is not None:
        check_target(path, overwrite=overwrite)
