"""`geoflow evaluate GENERATED REFERENCE`: scores of a folder of shapes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from geoflow.cli.errors import Device, UsageError, check_least, note, one_line, usage
from geoflow.cli.progress import progress_bar
from geoflow.files import check_target, write_atomically


class Metric(StrEnum):
    cd, emd = "cd", "emd"


class Normalise(StrEnum):
    set, shape, none = "set", "shape", "none"


@one_line
def evaluate(
    generated: Annotated[Path, typer.Argument(help="Folder of meshes or clouds to judge.")],
    reference: Annotated[Path, typer.Argument(help="Folder of those to compare them with.")],
    json: Annotated[
        str | None, typer.Option(help="JSON to write; - for stdout, instead of the table.")
    ] = None,
    metric: Annotated[Metric, typer.Option(help="Chamfer or earth mover's.")] = Metric.cd,
    points: Annotated[int, typer.Option(help="Points a shape.")] = 2048,
    normalise: Annotated[
        Normalise, typer.Option(help="By the reference set, every shape alone, or not.")
    ] = Normalise.set,
    paired: Annotated[
        bool, typer.Option("--paired", help="Match shapes by name, not the nearest.")
    ] = False,
    threshold: Annotated[
        float, typer.Option(help="Of the F-score; 1 is the shape's longest side.")
    ] = 0.02,
    seed: Annotated[int, typer.Option(help="Of the points drawn.")] = 0,
    device: Annotated[Device, typer.Option(help="Where distances are computed.")] = Device.auto,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the JSON.")] = False,
) -> None:
    """Score a folder of shapes against another: 1-NNA, MMD, COV, JSD, F-score and more."""
    check_least(16, points=points)
    check_least(0, seed=seed)
    if not 0 < threshold <= 1:
        raise UsageError(f"--threshold must be above 0 and at most 1; got {threshold}")
    for name, folder in (("GENERATED", generated), ("REFERENCE", reference)):
        if not folder.is_dir():
            raise UsageError(f"{name} must be a folder of shapes; {folder} is not one")
    if json not in (None, "-"):
        check_target(Path(json), overwrite=overwrite)
    from geoflow.model.device import pick_device
    from geoflow.scores import evaluate as scoring
    from geoflow.scores.folders import plan

    picked = str(usage(pick_device, device.value))
    settings = scoring.Settings(
        metric.value, points, seed, picked, normalise.value, threshold, paired
    )
    chosen = plan(generated, reference, paired=paired, seed=seed)
    for line in chosen.notes:
        note(line)
    with progress_bar("evaluating", 2 * chosen.shapes) as advance:
        scores = scoring.evaluate(chosen, settings, advance)
    report = scoring.report(scores, chosen, settings, (generated, reference))
    if json == "-":
        print(report)
        return
    if json is not None:
        write_atomically(Path(json), report.encode() + b"\n")
    print_table(scores, metric.value.upper())


def print_table(scores: dict[str, dict[str, Any]], metric: str) -> None:
    """A row a category on stdout: shares in %, distances as they are, - for unknown."""
    from rich.console import Console
    from rich.table import Table

    heads = {
        "shapes": "shapes",
        "one_nna": f"1-NNA-{metric} %",
        "mmd": f"MMD-{metric}",
        "coverage": f"COV-{metric} %",
        "jsd": "JSD",
        "f_score": "F-score %",
        "normal_consistency": "normals %",
        "watertight": "closed %",
        "pair_distance": f"{metric} of pairs",
    }
    table = Table("category", box=None, pad_edge=False, header_style="")
    keys = [key for key in heads if key in next(iter(scores.values()))]
    for key in keys:
        table.add_column(heads[key], justify="right")
    for name, row in scores.items():
        table.add_row(name, *(_cell(key, row[key]) for key in keys))
    # As wide as the table is: nothing is folded or cut where stdout is a narrow window or a file.
    Console(width=10_000, markup=False, highlight=False, emoji=False).print(table)


def _cell(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    if key == "shapes":
        return str(value)
    return f"{value:.4g}" if key in ("mmd", "jsd", "pair_distance") else f"{100 * value:.1f}"
