"""Recipes of clouds. Each docstring gives the command, the cost and the score."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from geoflow.checks import one_of
from geoflow.clouds.data import PointSource
from geoflow.flow.objective import PseudoHuber, TimeSampling
from geoflow.training.recipe import Recipe


def objects_points(form: str = "u-FM") -> Recipe:
    """Class-conditional clouds of 2,048 surface points of the same 15 categories.

    Command: geoflow train objects-points --data DATA --out RUN

    The same in three forms: objects-points is u-FM, by far the best, objects-points-fm is x1-FM,
    objects-points-edm is EDM. Errors count in units of the raw output and r > t learns from paths,
    by distances, as for `shape_distribution`; the semigroup law with plain errors came out blurred.
    The pool of paths takes 6.8 GB of the device (64 parts of 166 paths, 26 clouds each).

    Args:
        form: "u-FM", "x1-FM" or "EDM".

    Raises:
        ValueError: another form.
    """
    one_of("form", form, POINT_FORMS)
    name, arguments, times, cost, score = POINT_FORMS[form]
    return Recipe(
        name=name,
        summary=f"clouds of 2,048 points, 15 categories, class-conditional; {form}",
        network="PointTransformer",
        network_arguments={},
        transport=form,
        transport_arguments=arguments,
        source=PointSource,
        steps=16_000,
        batch=256,
        learning_rate=5e-4,
        warmup=300,
        decay=0.5,
        instant=0.5,
        restart=True,
        ema=0.999,
        times=replace(times, cumulative=0.65, to_data=0.8, from_noise=0.7, uniform=0.2),
        cumulative_norm=PseudoHuber(0.01),
        adaptive=0.1,
        raw_units=True,
        paths=25,
        path_parts=64,
        renew_paths=30,
        lead=0.4,
        device_draws=True,
        cost=cost,
        score=score,
    )


_SHORT = "8 minutes on one H200, in two parts (u-FM after them: 66.7 / 61.5 %)"
POINT_FORMS: dict[str, tuple[str, dict[str, Any], TimeSampling, str, str]] = {
    "u-FM": (
        "objects-points",
        {},
        TimeSampling(mean=0.0, std=1.2),
        "15 minutes on one H200, in four parts; see the model card",
        "1-NNA 62.9 / 58.0 % at 1 / 2 calls; data: 48.6",
    ),
    "x1-FM": (
        "objects-points-fm",
        {"noise_std": 4.0, "preconditioning": "edm"},
        TimeSampling(mean=0.8, std=1.6),
        _SHORT,
        "1-NNA 71.2 / 72.7 % at 1 / 2 calls",
    ),
    "EDM": (
        "objects-points-edm",
        {"data_std": 1.0},
        TimeSampling(mean=0.4, std=1.0),
        _SHORT,
        "1-NNA 72.5 / 68.7 % at 1 / 2 calls",
    ),
}
"""Name, arguments of the transport, logistic-normal times, cost and score by form."""
