"""The command line: `geoflow generate | reconstruct | joints | render | train | ...`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from geoflow.cli.errors import OneLineGroup
from geoflow.cli.errors import note as note
from geoflow.cli.errors import one_line as one_line
from geoflow.cli.errors import script as script
from geoflow.cli.evaluate import evaluate
from geoflow.cli.generate import generate
from geoflow.cli.info import info
from geoflow.cli.joints import joints
from geoflow.cli.progress import progress_bar as progress_bar
from geoflow.cli.reconstruct import reconstruct
from geoflow.cli.render import render
from geoflow.cli.surface import distribution
from geoflow.cli.train import pack, recipes, train

app = typer.Typer(
    name="geoflow",
    cls=OneLineGroup,
    help="3D shapes in one or a few network calls.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (generate, reconstruct, joints, render, evaluate, train, recipes, pack, info):
    app.command()(command)
app.add_typer(distribution)


def _version(asked: bool) -> None:
    if asked:
        from geoflow import __version__

        print(f"geoflow {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """3D shapes in one or a few network calls."""


def main() -> None:
    """Entry point of the `geoflow` command."""
    app(sys.argv[1:] or ["--help"], prog_name="geoflow")
