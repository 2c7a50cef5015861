"""Two folders of shapes in, scores out, by the PVD protocol: start at `evaluate`."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from geoflow.scores import distances
from geoflow.scores import sets as metrics
from geoflow.scores.folders import Plan, ShapeSet, read_set
from geoflow.scores.nearest import Progress

Scores = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to measure: the options of `geoflow evaluate` but for `device`, "cpu" or "cuda"."""

    metric: str = "cd"
    points: int = 2048
    seed: int = 0
    device: str = "cpu"
    normalise: str = "set"
    threshold: float = 0.02
    paired: bool = False


def evaluate(
    chosen: Plan, settings: Settings, progress: Callable[[str], None] = lambda label: None
) -> dict[str, Scores]:
    """Scores of every category, and their "mean" where there are several.

    `progress` is called 2 * chosen.shapes times: once a shape read and once a shape compared.

    Returns:
        category -> shapes (on either side), one_nna, mmd, coverage, jsd, f_score,
        normal_consistency (None: a side has no normals), watertight (share of the generated meshes;
        None: clouds) and, with `paired`, pair_distance. Shares are 0 to 1; one_nna is None for one
        shape.

    Raises:
        ValueError: As `read_set`; or a set has no extent.
    """
    scores = {}
    for name, files in chosen.groups.items():
        how = settings.points, settings.seed, progress
        first, second = (read_set(paths, side, *how) for side, paths in enumerate(files))
        scores[name] = _score(first, second, settings, _steps(name, 2 * len(files[0]), progress))
    if len(scores) > 1:
        columns = {key: [s[key] for s in scores.values()] for key in next(iter(scores.values()))}
        means = {key: _mean(column) for key, column in columns.items()}
        scores["mean"] = means | {"shapes": sum(columns["shapes"])}
    return scores


def _mean(values: list[Any]) -> float | None:
    return None if None in values else statistics.fmean(values)


def _steps(label: str, total: int, progress: Callable[[str], None]) -> Progress:
    """Turns (done, all) of any length into `total` steps."""
    reported = 0

    def step(done: int, count: int) -> None:
        nonlocal reported
        while reported < done * total // count:
            reported += 1
            progress(label)

    return step


def _score(first: ShapeSet, second: ShapeSet, settings: Settings, steps: Progress) -> Scores:
    a, b = metrics.normalise_sets(first.points, second.points, settings.normalise)
    if settings.metric == "emd":
        aa, ab, bb = distances.three_matrices(distances.emd_matrix, a, b, steps)
    else:
        aa, ab, bb = distances.chamfer_matrices(a, b, device=settings.device, progress=steps)
    coverage, mmd = metrics.coverage_mmd(ab)
    match = np.arange(len(b)) if settings.paired else ab.argmin(axis=0)
    thresholds = settings.threshold * np.ptp(b, axis=1).max(axis=1).astype(float)
    f_scores, normals = [], []
    for j, i in enumerate(match):
        f_scores.append(metrics.f_score(a[i], b[j], thresholds[j]))
        n, m = first.normals[i], second.normals[j]
        if n is not None and m is not None:
            normals.append(metrics.normal_consistency(a[i], n, b[j], m))
    scores = {
        "shapes": len(a),
        "one_nna": metrics.one_nna(aa, ab, bb) if len(a) > 1 else None,
        "mmd": mmd,
        "coverage": coverage,
        "jsd": metrics.jsd(a, b),
        "f_score": statistics.fmean(f_scores),
        "normal_consistency": statistics.fmean(normals) if len(normals) == len(b) else None,
        "watertight": _mean(first.closed),
    }
    if settings.paired:  # of Chamfer distances, `ab` knows only the nearest
        alone = (distances.chamfer_matrix(a[i : i + 1], b[i : i + 1]).item() for i in range(len(a)))
        pairs = ab.diagonal() if settings.metric == "emd" else alone
        scores["pair_distance"] = statistics.fmean(pairs)
    return scores
