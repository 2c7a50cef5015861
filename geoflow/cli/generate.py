"""`geoflow generate`: meshes or clouds, and a manifest."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from geoflow.cli.errors import UsageError, note
from geoflow.cli.options import (
    AtLeast,
    Device,
    MeshFormat,
    Overwrite,
    Resolution,
    Steps,
    Where,
    command,
    seed_option,
)
from geoflow.cli.progress import progress_bar


class Backbone(StrEnum):
    grid, points = "grid", "points"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Of `geoflow generate`."""

    n: Annotated[
        int,
        typer.Option("--n", "-n", help="How many shapes; shape i is the same whatever this is."),
        AtLeast(1),
    ] = 1
    steps: Steps = 2
    category: Annotated[
        str, typer.Option(help="A category (geoflow info lists them), or all: each in turn.")
    ] = "all"
    seed: seed_option(  # pyright: ignore[reportInvalidTypeForm]
        "Shape i depends on the seed and i alone, not on --n or what else is asked."
    ) = 0
    guidance: Annotated[
        float,
        typer.Option(help="Above 1 exaggerates the category; every step then takes two calls."),
        AtLeast(0),
    ] = 1.0
    resolution: Annotated[
        Resolution | None,
        typer.Option(
            help="Cells a side of the grid that is meshed; 128 if not given; not of clouds."
        ),
    ] = None
    format: Annotated[
        MeshFormat,
        typer.Option(help="Of the files; with --backbone points, ply is the cloud itself."),
    ] = MeshFormat.obj
    out: Annotated[Path, typer.Option(help="Folder for the shapes.")] = Path("outputs")
    device: Where = Device.auto
    backbone: Annotated[
        Backbone,
        typer.Option(
            help="grid makes a mesh at once; points makes a cloud of 2,048 points and, unless the "
            "format is ply, a closed mesh of it in one call more."
        ),
    ] = Backbone.grid
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="A bundled name, or a folder with config.json: a checkpoint or a run; objects or "
            "points if not given."
        ),
    ] = None
    overwrite: Overwrite = False
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Finish an interrupted run: repeat its command and add this; --n may differ.",
        ),
    ] = False

    @property
    def meshes(self) -> bool:
        """Whether meshes are made, not clouds."""
        return self.backbone == Backbone.grid or self.format != MeshFormat.ply


@command(Options)
def generate(o: Options) -> None:
    """Generate meshes or clouds: DIR/<category>_<index>.<format> and DIR/manifest.json."""
    begin = time.monotonic()
    if o.overwrite and o.resume:
        raise UsageError("--overwrite and --resume exclude each other; give one")
    if o.resolution is not None and not o.meshes:
        raise UsageError("--resolution is of meshes; leave it out with --backbone points and ply")
    from geoflow.cli.batch import Batch, summary
    from geoflow.model.device import pick_device

    device = pick_device(o.device.value)
    maker = _Maker(o)
    batch = Batch(
        o.out, maker.order(), maker.digest, device.type, resume=o.resume, overwrite=o.overwrite
    )
    if o.resume and not batch.resumed:
        note(f"{o.out} holds no manifest to resume; starting afresh")
    generator = maker.load()
    batch.begin()
    try:
        with progress_bar("generating", o.n, batch.kept) as advance:
            for entry in batch.run(generator):
                advance(entry["file"])
    except KeyboardInterrupt:
        have = len(batch.asked())
        print(f"interrupted: {have} of {o.n} shapes; finish with --resume", file=sys.stderr)
        raise
    print(summary(batch, time.monotonic() - begin))


class _Maker:
    """What makes the shapes: of the backbone points, clouds or surfaces of them.

    Its config.json is read at once, its weights by `load`: a wrong category is found before them.
    """

    def __init__(self, o: Options) -> None:
        from geoflow.clouds.model import PointGenerator
        from geoflow.model.checkpoint import digest_of
        from geoflow.pretrained import config_of
        from geoflow.shapes.model import ObjectGenerator

        self.o, points = o, o.backbone == Backbone.points
        self.kind = PointGenerator if points else ObjectGenerator
        self.name = o.checkpoint or ("points" if points else "objects")
        config = config_of(self.name, (self.kind,))
        self.categories, self.digest = self.kind.categories_of(config), digest_of(config)
        self.through = "objects" if points and o.meshes else None
        if self.through:
            self.digest += f"+{digest_of(config_of(self.through, (ObjectGenerator,)))}"

    def order(self) -> Any:
        """What is asked for, checked."""
        from geoflow.cli.batch import Order

        o = self.o
        cells = (128 if o.resolution is None else int(o.resolution.value)) if o.meshes else None
        order = Order(o.n, o.steps, o.category, o.seed, o.guidance, cells, o.format.value)
        return order.checked(self.categories)

    def load(self) -> Any:
        """The generator."""
        from geoflow.clouds.mesher import CloudMesher
        from geoflow.clouds.model import PointGenerator
        from geoflow.pretrained import load
        from geoflow.shapes.model import ObjectGenerator

        made = load(self.name, self.o.device.value, (self.kind,))
        if self.through is None:
            return made
        assert isinstance(made, PointGenerator)
        return CloudMesher(made, load(self.through, self.o.device.value, (ObjectGenerator,)))
