"""`geoflow evaluate GENERATED REFERENCE`: scores of a folder of shapes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from geoflow.cli.errors import UsageError, note
from geoflow.cli.options import Device, Overwrite, Seed, command
from geoflow.cli.progress import progress_bar
from geoflow.files import check_target


class Metric(StrEnum):
    cd, emd = "cd", "emd"


class Normalise(StrEnum):
    set, shape, none = "set", "shape", "none"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Of `geoflow evaluate`."""

    generated: Annotated[Path, typer.Argument(help="Folder of meshes or clouds to judge.")]
    reference: Annotated[Path, typer.Argument(help="Folder of those to compare them with.")]
    json: Annotated[
        str | None, typer.Option(help="JSON to write; - for stdout, instead of the table.")
    ] = None
    metric: Annotated[
        Metric, typer.Option(help="Chamfer or earth mover's.", case_sensitive=False)
    ] = Metric.cd
    points: Annotated[int, typer.Option(help="Points a shape.", min=16)] = 2048
    normalise: Annotated[
        Normalise, typer.Option(help="By the reference set, every shape alone, or not.")
    ] = Normalise.set
    paired: Annotated[
        bool, typer.Option("--paired", help="Match shapes by name, not the nearest.")
    ] = False
    threshold: Annotated[
        float, typer.Option(help="Of the F-score; 1 is the shape's longest side.")
    ] = 0.02
    seed: Seed = 0
    device: Annotated[Device, typer.Option(help="Where distances are computed.")] = Device.auto
    overwrite: Overwrite = False

    def check(self) -> None:
        """What can be checked before anything is read."""
        if not 0 < self.threshold <= 1:
            raise UsageError(f"--threshold must be above 0 and at most 1; got {self.threshold}")
        for name, folder in (("GENERATED", self.generated), ("REFERENCE", self.reference)):
            if not folder.is_dir():
                raise UsageError(f"{name} must be a folder of shapes; {folder} is not one")
        if self.json not in (None, "-"):
            check_target(Path(self.json), overwrite=self.overwrite)


@command(Options)
def evaluate(o: Options) -> None:
    """Score a folder of shapes against another: 1-NNA, MMD, COV, JSD, F-score and more."""
    o.check()
    from geoflow.model.device import pick_device
    from geoflow.scores import evaluate as scoring
    from geoflow.scores.folders import plan

    device = str(pick_device(o.device.value))
    settings = scoring.Settings(
        o.metric.value, o.points, o.seed, device, o.normalise.value, o.threshold, o.paired
    )
    chosen = plan(o.generated, o.reference, paired=o.paired, seed=o.seed)
    for line in chosen.notes:
        note(line)
    with progress_bar("evaluating", 2 * chosen.shapes) as advance:
        scores = scoring.evaluate(chosen, settings, advance)
    print(scoring.output(scores, chosen, settings, (o.generated, o.reference), o.json))
