"""What the commands share: errors of one line with an exit code, checks of options."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

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
            command(*args, **kwargs)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except ArgumentError as error:
            fail(str(error), 2)
        except ModuleNotFoundError as error:
            fail(missing_module(error.name or str(error)), 1)
        except (ValueError, OSError, RuntimeError) as error:
            fail(str(error), 1)

    return run


def script(command: Callable[..., None]) -> typer.Typer:
    """The app of a script: one command, whose errors are one line each."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(cls=OneLineCommand)(one_line(command))
    return app


def print_error(message: str, code: int) -> int:
    print(f"geoflow: {' '.join(message.split())}", file=sys.stderr)
    return code


def fail(message: str, code: int) -> NoReturn:
    raise typer.Exit(print_error(message, code)) from None


def note(message: str) -> None:
    print(f"geoflow: {message}", file=sys.stderr)


def check_picture(path: Path | None, *, overwrite: bool, name: str = "--render") -> None:
    """Raises where a PNG cannot be written to the path that an option gives, if it does."""
    if path is None:
        return
    if path.suffix.lower() != ".png":
        raise ArgumentError(f"{name} must end in .png; got {path}")
    check_target(path, overwrite=overwrite)


def check_run(out: Path, *, resume: bool) -> None:
    """Raises ValueError where a new run would replace one."""
    if (out / "state.safetensors").exists() and not resume:
        raise ValueError(f"{out} holds a run; continue it with --resume or use another --out")
