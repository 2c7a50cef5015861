"""What the scripts beside it share. Import it before geoflow: a checkout need not be installed."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

BEGIN = time.monotonic()


def argument_parser(text: str | None) -> argparse.ArgumentParser:
    """A parser that describes a script by the first line of its docstring."""
    return argparse.ArgumentParser(description=(text or "").splitlines()[0])


def add_device(parser: argparse.ArgumentParser) -> None:
    """The option --device."""
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))


def say(text: str) -> None:
    """A line of progress."""
    print(f"[{time.monotonic() - BEGIN:6.1f} s] {text}", file=sys.stderr, flush=True)


def run_script(main: Callable[[], None]) -> None:
    """Runs a script; an expected error is one line and an exit code, as those of `geoflow`."""
    import typer

    from geoflow.cli import one_line

    try:
        one_line(main)()
    except typer.Exit as done:
        sys.exit(done.exit_code)
