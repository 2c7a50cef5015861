"""`geoflow evaluate GENERATED REFERENCE`: scores of a folder of shapes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from geoflow import __version__
from geoflow.checks import ArgumentError
from geoflow.cli.choices import Device, Overwrite
from geoflow.cli.errors import note
from geoflow.cli.options import argument, command, option
from geoflow.cli.progress import progress_bar
from geoflow.files import check_target, write_atomically

Metric = StrEnum("Metric", "cd emd")
Normalise = StrEnum("Normalise", "set shape none")
HEADS = {  # score -> its head in the table; {} is the metric
    "shapes": "shapes", "one_nna": "1-NNA-{} %", "mmd": "MMD-{}", "coverage": "COV-{} %",
    "jsd": "JSD", "f_score": "F-score %", "normal_consistency": "normals %",
    "watertight": "closed %", "pair_distance": "{} of pairs",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Options:
    generated: Path = argument("Folder of meshes or clouds to judge.")
    reference: Path = argument("Folder of those to compare them with.")
    json: str | None = option(
        None, "Also write settings and scores there; - writes them to stdout, without the table."
    )
    metric: Metric = option(
        Metric.cd, "cd (Chamfer), or emd (earth mover's, exact and slow).", case_sensitive=False
    )
    points: int = option(2048, "Points a shape; clouds must have as many.", least=16)
    normalise: Normalise = option(
        Normalise.set,
        "set: by mean and deviation of the reference's points; shape: every shape into the same "
        "box; none.",
    )
    paired: bool = option(
        False, "Match shapes of the same name, not each reference with the nearest.", "--paired"
    )
    threshold: float = option(
        0.02, "Of the F-score, as a share of the reference shape's longest side."
    )
    seed: int = option(0, "Of the points, and of the shapes where one side has more.", least=0)
    device: Device = option(Device.auto, "Where Chamfer distances are computed.")
    overwrite: Overwrite = False


@command(Options)
def evaluate(o: Options) -> None:
    """Score a folder of shapes against another: 1-NNA, MMD, COV, JSD, F-score and more."""
    if not 0 < o.threshold <= 1:
        raise ArgumentError(f"--threshold must be above 0 and at most 1; got {o.threshold}")
    for name, folder in (("GENERATED", o.generated), ("REFERENCE", o.reference)):
        if not folder.is_dir():
            raise ArgumentError(f"{name} must be a folder of shapes; {folder} is not one")
    if o.json not in (None, "-"):
        check_target(Path(o.json), overwrite=o.overwrite)
    from geoflow.model.device import pick_device
    from geoflow.scores import evaluate as scoring
    from geoflow.scores.folders import plan

    device = str(pick_device(o.device.value))
    how = (o.metric, o.points, o.seed, device, o.normalise, o.threshold, o.paired)
    settings = scoring.Settings(*how)
    chosen = plan(o.generated, o.reference, paired=o.paired, seed=o.seed)
    for line in chosen.notes:
        note(line)
    with progress_bar("evaluating", 2 * chosen.shapes) as advance:
        scores = scoring.evaluate(chosen, settings, advance)
    known = {"geoflow": __version__, "generated": str(o.generated), "reference": str(o.reference)}
    known |= {"settings": asdict(settings), "notes": chosen.notes, "scores": scores}
    report = json.dumps(known, indent=1, allow_nan=False)
    if o.json == "-":
        print(report)
        return
    if o.json is not None:
        write_atomically(Path(o.json), report.encode() + b"\n")
    print_table(scores, o.metric.upper())


def print_table(scores: dict[str, dict[str, Any]], metric: str) -> None:
    """A row a category on stdout: shares in %, distances as they are, - for unknown."""
    from rich.console import Console
    from rich.table import Column, Table

    heads = {key: HEADS[key].format(metric) for key in next(iter(scores.values()))}
    columns = [Column(head, justify="right") for head in heads.values()]
    table = Table("category", *columns, box=None, pad_edge=False, header_style="")
    for name, row in scores.items():
        table.add_row(name, *(_cell(head, row[key]) for key, head in heads.items()))
    # As wide as the table is: nothing is folded or cut where stdout is a narrow window or a file.
    Console(width=10_000, markup=False, highlight=False, emoji=False).print(table)


def _cell(head: str, value: float | None) -> str:
    if value is None or isinstance(value, int):
        return "-" if value is None else str(value)
    return f"{100 * value:.1f}" if head.endswith("%") else f"{value:.4g}"
