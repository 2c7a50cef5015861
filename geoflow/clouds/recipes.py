"""Recipes of clouds. Each docstring gives the command, the cost and the score."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from geoflow.checks import one_of
from geoflow.clouds.data import PointSource
from geoflow.flow.objective import Loss, PseudoHuber, TimeSampling
from geoflow.flow.targets import PathPairs
from geoflow.training.recipe import Recipe, Stage


def objects_points(form: str = "u-FM") -> Recipe:
    """Class-conditional clouds of 2,048 surface points of the same 15 categories.

    Command: geoflow train objects-points --data DATA --out RUN

    The same in three forms: objects-points is u-FM, by far the best, objects-points-fm is x1-FM,
    objects-points-edm is EDM. Errors count in units of the raw output and r > t learns from paths,
    by distances, as for `shape_distribution`; the semigroup law with plain errors came out blurred.
    The pool of paths takes 6.8 GB of the device (64 parts of 166 paths, 26 clouds each).

    Raises:
        ValueError: another form.
    """
    one_of("form", form, POINT_FORMS)
    name, arguments, times, stages, cost, score = POINT_FORMS[form]
    return Recipe(
        name=name,
        summary=f"clouds of 2,048 points, 15 categories, class-conditional; {form}",
        network="PointTransformer",
        network_arguments={},
        transport=form,
        transport_arguments=arguments,
        source=PointSource,
        stages=stages,
        batch=256,
        ema=0.999,
        times=replace(times, cumulative=0.65, to_data=0.8, from_noise=0.7, uniform=0.2),
        loss=Loss(cumulative_norm=PseudoHuber(0.01), adaptive=0.1, raw_units=True),
        targets=PathPairs(intervals=25, parts=64, renew=30),
        lead=0.4,
        device_draws=True,
        cost=cost,
        score=score,
    )


# r = t alone, then r > t from paths of what that gave; then both once more.
_ROUND = (
    Stage(4_641, instant=1.0, learning_rate=5e-4, warmup=300, decay=0.4),
    Stage(4_015, instant=0.0, learning_rate=4e-4, warmup=300, decay=0.6),
)
_ROUNDS = (*_ROUND, replace(_ROUND[0], steps=3_568), _ROUND[1])
_PARTS = "made in parts, see the model card of points"
POINT_FORMS: dict[str, tuple[str, dict[str, Any], TimeSampling, tuple[Stage, ...], str, str]] = {
    "u-FM": (
        "objects-points",
        {},
        TimeSampling(mean=0.0, std=1.2),
        _ROUNDS,
        "15.8 minutes on one H200, one run",
        "1-NNA 62.5 / 56.0 / 55.1 % at 1 / 2 / 4 calls; training shapes: 52.2 (docs/results.md)",
    ),
    "x1-FM": (
        "objects-points-fm",
        {"noise_std": 4.0, "preconditioning": "edm"},
        TimeSampling(mean=0.8, std=1.6),
        _ROUND,
        "8 minutes on one H200",
        _PARTS,
    ),
    "EDM": (
        "objects-points-edm",
        {"data_std": 1.0},
        TimeSampling(mean=0.4, std=1.0),
        _ROUND,
        "8 minutes on one H200",
        _PARTS,
    ),
}
"""Name, arguments of the transport, logistic-normal times, stages, cost and score by form."""
