"""`geoflow render DIR`: a contact sheet of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geoflow.checks import ArgumentError
from geoflow.cli.choices import MeshFormat, Overwrite
from geoflow.cli.errors import check_output
from geoflow.cli.options import argument, command, option
from geoflow.cli.progress import progress_bar


@dataclass(frozen=True, kw_only=True)
class Options:
    folder: Path = argument("Folder of meshes or clouds, such as outputs.")
    out: Path = option(Path("sheet.png"), "PNG to write.", "--out", "-o")
    columns: int | None = option(None, "Shapes in a row; about a square if not given.", least=1)
    limit: int = option(100, "Draw at most so many shapes.", least=1)
    overwrite: Overwrite = False


@command(Options)
def render(o: Options) -> None:
    """Draw a contact sheet of a folder of meshes and .ply clouds."""
    check_output(o.out, [".png"], o.overwrite)
    if not o.folder.is_dir():
        raise ArgumentError(f"DIR must be a folder of shapes; {o.folder} is not one")
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
