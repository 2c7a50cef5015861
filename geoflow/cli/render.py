"""`geoflow render DIR`: a contact sheet of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from geoflow.cli.errors import UsageError, check_picture
from geoflow.cli.options import AtLeast, MeshFormat, Overwrite, command
from geoflow.cli.progress import progress_bar


@dataclass(frozen=True, kw_only=True)
class Options:
    """Of `geoflow render`."""

    folder: Annotated[Path, typer.Argument(help="Folder of meshes or clouds, such as outputs.")]
    out: Annotated[Path, typer.Option("--out", "-o", help="PNG to write.")] = Path("sheet.png")
    columns: Annotated[
        int | None, typer.Option(help="Shapes in a row; about a square if not given."), AtLeast(1)
    ] = None
    limit: Annotated[int, typer.Option(help="Draw at most so many shapes."), AtLeast(1)] = 100
    overwrite: Overwrite = False


@command(Options)
def render(o: Options) -> None:
    """Draw a contact sheet of a folder of meshes and .ply clouds."""
    check_picture(o.out, overwrite=o.overwrite, name="--out")
    if not o.folder.is_dir():
        raise UsageError(f"DIR must be a folder of shapes; {o.folder} is not one")
    endings = {f".{f.value}" for f in MeshFormat}
    paths = sorted(p for p in o.folder.iterdir() if p.suffix.lower() in endings)
    if not paths:
        raise ValueError(f"{o.folder} holds no .obj, .glb, .stl, .ply or .3mf; generate some first")
    paths = paths[: o.limit]
    from geoflow.render.sheet import render_sheet

    with progress_bar("drawing", len(paths)) as advance:
        how = {"columns": o.columns, "overwrite": o.overwrite}
        render_sheet(paths, o.out, **how, progress=lambda done, total: advance(""))
    print(f"{len(paths)} shapes in {o.out}")
