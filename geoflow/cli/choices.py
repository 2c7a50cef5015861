"""Options that commands share, and what may be chosen."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from geoflow.cli.options import AtLeast


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
