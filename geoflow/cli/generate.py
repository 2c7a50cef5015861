"""`geoflow generate`: meshes or clouds, and a manifest."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from geoflow.checks import ArgumentError
from geoflow.cli.choices import Device, MeshFormat, Overwrite, Resolution, Steps, Where
from geoflow.cli.errors import note
from geoflow.cli.options import command, option
from geoflow.cli.progress import progress_bar

if TYPE_CHECKING:
    from geoflow.cli.batch import Order
    from geoflow.model.maker import Maker


class Backbone(StrEnum):
    grid, points = "grid", "points"


@dataclass(frozen=True, kw_only=True)
class Options:
    n: int = option(
        1, "How many shapes; shape i is the same whatever this is.", "--n", "-n", least=1
    )
    steps: Steps = 2
    category: str = option("all", "A category (geoflow info lists them), or all: each in turn.")
    seed: int = option(
        0, "Shape i depends on the seed and i alone, not on --n or what else is asked.", least=0
    )
    guidance: float = option(
        1.0, "Above 1 exaggerates the category; every step then takes two calls.", least=0
    )
    resolution: Resolution | None = option(
        None, "Cells a side of the grid that is meshed; 128 if not given; not of clouds."
    )
    format: MeshFormat = option(
        MeshFormat.obj, "Of the files; with --backbone points, ply is the cloud itself."
    )
    out: Path = option(Path("outputs"), "Folder for the shapes.", "--out", "-o")
    device: Where = Device.auto
    backbone: Backbone = option(
        Backbone.grid,
        "grid makes a mesh at once; points makes a cloud of 2,048 points and, unless the format is "
        "ply, a closed mesh of it in one call more.",
    )
    checkpoint: str | None = option(
        None,
        "A bundled name, or a folder with config.json: a checkpoint or a run; objects or points if "
        "not given.",
    )
    overwrite: Overwrite = False
    resume: bool = option(
        False,
        "Finish an interrupted run: repeat its command and add this; --n may differ.",
        "--resume",
    )

    @property
    def meshes(self) -> bool:
        """Whether meshes are made, not clouds."""
        return self.backbone == Backbone.grid or self.format != MeshFormat.ply


@command(Options)
def generate(o: Options) -> None:
    """Generate meshes or clouds: DIR/<category>_<index>.<format> and DIR/manifest.json."""
    begin = time.monotonic()
    if o.overwrite and o.resume:
        raise ArgumentError("--overwrite and --resume exclude each other; give one")
    if o.resolution is not None and not o.meshes:
        raise ArgumentError(
            "--resolution is of meshes; leave it out with --backbone points and ply"
        )
    from geoflow.cli.batch import Batch, summary
    from geoflow.model.device import pick_device

    device = pick_device(o.device.value).type
    order, digest, load = _plan(o)
    batch = Batch(o.out, order, digest, device, resume=o.resume, overwrite=o.overwrite)
    if o.resume and not batch.resumed:
        note(f"{o.out} holds no manifest to resume; starting afresh")
    generator = load()
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


def _plan(o: Options) -> tuple[Order, str, Callable[[], Maker]]:
    """The order, the hash of the weights, and what loads them: a wrong category is found before."""
    from geoflow.cli.batch import Order
    from geoflow.clouds.mesher import CloudMesher
    from geoflow.clouds.model import PointGenerator
    from geoflow.model.checkpoint import digest_of
    from geoflow.model.maker import Request
    from geoflow.pretrained import config_of, load
    from geoflow.shapes.model import MeshRequest, ObjectGenerator

    of_clouds, objects = o.backbone == Backbone.points, (ObjectGenerator,)
    kind, name = (PointGenerator, "points") if of_clouds else (ObjectGenerator, "objects")
    name, through = o.checkpoint or name, "objects" if of_clouds and o.meshes else None
    config = config_of(name, (kind,))
    request, digest = Request(o.steps, o.category, o.seed, o.guidance), digest_of(config)
    if o.meshes:
        request = MeshRequest(**asdict(request), resolution=int(o.resolution or 128))
    order = Order(o.n, request, o.format.value, kind.categories_of(config))
    if through:
        digest += f"+{digest_of(config_of(through, objects))}"

    def load_all() -> Maker:
        made = load(name, o.device.value, (kind,))
        if through is None:
            return made
        assert isinstance(made, PointGenerator)
        return CloudMesher(made, load(through, o.device.value, objects))

    return order, digest, load_all
