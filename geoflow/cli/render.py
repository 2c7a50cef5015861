"""`geoflow render DIR`: a contact sheet of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geoflow.cli.errors import MeshFormat, UsageError, check_least, one_line
from geoflow.cli.progress import progress_bar
from geoflow.files import check_target


@one_line
def render(
    folder: Annotated[Path, typer.Argument(help="Folder of meshes or clouds, such as outputs.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="PNG to write.")] = Path("sheet.png"),
    columns: Annotated[int | None, typer.Option(help="Shapes in a row.")] = None,
    limit: Annotated[int, typer.Option(help="Draw at most so many shapes.")] = 100,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the picture.")] = False,
) -> None:
    """Draw a contact sheet of a folder of meshes and .ply clouds."""
    check_least(1, columns=columns, limit=limit)
    if out.suffix.lower() != ".png":
        raise UsageError(f"--out must end in .png; got {out}")
    if not folder.is_dir():
        raise UsageError(f"DIR must be a folder of shapes; {folder} is not one")
    check_target(out, overwrite=overwrite)
    endings = {f".{f.value}" for f in MeshFormat}
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in endings)
    if not paths:
        raise ValueError(f"{folder} holds no .obj, .glb, .stl, .ply or .3mf; generate some first")
    paths = paths[:limit]
    from geoflow.render.sheet import render_sheet

    with progress_bar("drawing", len(paths)) as advance:
        render_sheet(
            paths,
            out,
            columns=columns,
            overwrite=overwrite,
            progress=lambda done, total: advance(""),
        )
    print(f"{len(paths)} shapes in {out}")
