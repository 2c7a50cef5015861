"""`geoflow distribution sample`: points of a learned surface."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from geoflow.cli.choices import Device, Overwrite, Where
from geoflow.cli.errors import check_output
from geoflow.cli.options import argument, command, option
from geoflow.cli.progress import progress_bar

distribution = typer.Typer(name="distribution", rich_markup_mode=None)


@distribution.callback()
def _group() -> None:
    """Draw points of a surface that geoflow train shape-distribution learned."""


@dataclass(frozen=True, kw_only=True)
class Options:
    run: Path = argument("Folder of a run of a recipe shape-distribution.")
    n: int = option(1_000_000, "How many points.", "--n", "-n", least=1)
    steps: int = option(1, "Network calls for each point.", least=1)
    out: Path = option(Path("cloud.ply"), ".ply to write.", "--out", "-o")
    seed: int = option(0, "Point i depends on the seed and i alone, on one machine.", least=0)
    device: Where = Device.auto
    overwrite: Overwrite = False


@distribution.command()
@command(Options)
def sample(o: Options) -> None:
    """Draw points of a learned surface, in its mesh's own frame."""
    begin = time.monotonic()
    check_output(o.out, [".ply"], o.overwrite)
    from geoflow.io.ply import write_cloud
    from geoflow.pretrained import load_surface
    from geoflow.surface.model import BLOCK

    model = load_surface(o.run, o.device.value)
    with progress_bar("sampling", -(-o.n // BLOCK)) as advance:

        def blocks() -> Iterator[Any]:
            for block in model.stream(o.n, o.steps, o.seed):
                yield block
                advance("")

        write_cloud(o.out, blocks(), o.n, coloured=model.frame.channels == 6)
    print(f"{o.n:,} points, {o.steps} calls each, in {o.out}; {time.monotonic() - begin:.1f} s")
