"""`geoflow generate`: meshes or clouds, and a manifest."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from geoflow.cli.errors import (
    Device,
    MeshFormat,
    Resolution,
    UsageError,
    check_least,
    note,
    one_line,
    usage,
)
from geoflow.cli.progress import progress_bar


class Backbone(StrEnum):
    grid, points = "grid", "points"


@one_line
def generate(
    n: Annotated[int, typer.Option("--n", "-n", help="How many shapes.")] = 1,
    steps: Annotated[int, typer.Option(help="Network calls for each shape.")] = 2,
    category: Annotated[
        str, typer.Option(help="A category (geoflow info lists them), or all in turn.")
    ] = "all",
    seed: Annotated[int, typer.Option(help="Shape i depends on (seed, i) alone.")] = 0,
    guidance: Annotated[
        float, typer.Option(help="Above 1 exaggerates the category, at twice the cost.")
    ] = 1.0,
    resolution: Annotated[
        Resolution | None, typer.Option(help="Cells a side of the meshed grid, 128 if not given.")
    ] = None,
    format: Annotated[
        MeshFormat, typer.Option(help="With --backbone points, ply is the cloud itself.")
    ] = MeshFormat.obj,
    out: Annotated[Path, typer.Option(help="Folder for the shapes.")] = Path("outputs"),
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.auto,
    backbone: Annotated[
        Backbone,
        typer.Option(help="grid makes meshes; points makes clouds (ply), or meshes of clouds."),
    ] = Backbone.grid,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="A bundled name (objects or points), or a folder with config.json."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Finish an interrupted run.")] = False,
) -> None:
    """Generate meshes or clouds: DIR/<category>_<index>.<format> and DIR/manifest.json."""
    begin = time.monotonic()
    check_least(1, n=n, steps=steps)
    check_least(0, seed=seed, guidance=guidance)
    if overwrite and resume:
        raise UsageError("--overwrite and --resume exclude each other; give one")
    meshes = backbone == Backbone.grid or format != MeshFormat.ply
    if resolution is not None and not meshes:
        raise UsageError("--resolution is of meshes; leave it out with --backbone points and ply")
    cells = (128 if resolution is None else int(resolution.value)) if meshes else None
    from geoflow.cli.batch import Batch, Order, summary
    from geoflow.model.device import pick_device

    usage(pick_device, device.value)
    generator = _load_generator(backbone, checkpoint, device.value, meshes=meshes)
    usage(generator.category_of, 0, category)
    order = Order(n, steps, category, seed, guidance, cells, format.value)
    batch = Batch(out, order, generator, resume=resume, overwrite=overwrite)
    if resume and not batch.resumed:
        note(f"{out} holds no manifest to resume; starting afresh")
    try:
        with progress_bar("generating", n, batch.kept) as advance:
            for entry in batch.run():
                advance(entry["file"])
    except KeyboardInterrupt:
        have = len(batch.asked())
        print(f"interrupted: {have} of {n} shapes; finish with --resume", file=sys.stderr)
        raise
    print(summary(batch, time.monotonic() - begin))


def _load_generator(
    backbone: Backbone, checkpoint: str | None, device: str, *, meshes: bool
) -> Any:
    """What makes the shapes: of the backbone points, clouds or surfaces of them."""
    from geoflow.pretrained import load_generator

    if backbone == Backbone.grid:
        return load_generator(checkpoint or "objects", device, "grid")
    clouds = load_generator(checkpoint or "points", device, "points")
    if not meshes:
        return clouds
    from geoflow.clouds.mesher import CloudMesher

    return CloudMesher(clouds, load_generator("objects", device, "grid"))
