"""Recipes of single surfaces. Each docstring gives the command, the cost and the score."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from geoflow.checks import one_of
from geoflow.flow.objective import Loss, PseudoHuber, TimeSampling
from geoflow.flow.targets import PathPairs
from geoflow.surface.data import SurfaceSource
from geoflow.training.recipe import Recipe, Stage

# Half of the times are uniform; the rest where noise and details are of one size.
_EVEN, _LATE = TimeSampling(mean=0.6, std=1.0), TimeSampling(mean=1.2, std=1.5)
SURFACE_FORMS: dict[str, tuple[str, dict[str, Any], TimeSampling, float, str]] = {
    "EDM": (
        "shape-distribution",
        {"data_std": 1.0},
        _EVEN,
        0.7,
        "CD 0.0080 / 0.0082 / 0.0091 at 60 / 3 / 1 calls on a chair; floor 0.0071",
    ),
    "x1-FM": ("shape-distribution-fm", {"preconditioning": "edm"}, _LATE, 0.5, ""),
    "u-FM": ("shape-distribution-u", {}, _LATE, 0.5, ""),
}
"""Name, arguments of the transport, logistic-normal times, lead of few calls and score by form."""


def shape_distribution(form: str = "EDM") -> Recipe:
    """The points of one surface: a sample is one point, the network an MLP of 5.2 M parameters.

    Command: geoflow train shape-distribution --data MESH --out RUN --minutes 14.5 --fit

    MESH is a mesh file, or an .npz of vertices and faces; --set texture=true learns its colours.
    No adaptive weight: it would move a target of three dimensions off its mean. Errors count in
    units of the raw output, so that all noise levels do. r > t learns from paths: with the
    semigroup law a jump waits for the one after it. Its errors are distances, not squares, and most
    of its pairs go from pure noise or to the data. Data predictions have EDM's preconditioning on
    either schedule; a normalised surface has standard deviation 1.

    Raises:
        ValueError: a form but "EDM", "x1-FM" and "u-FM".
    """
    one_of("form", form, SURFACE_FORMS)
    name, arguments, times, lead, score = SURFACE_FORMS[form]
    return Recipe(
        name=name,
        summary=f"the points of a single surface, with or without colours; {form}",
        network="PointMLP",
        network_arguments={"width": 512, "depth": 6},
        transport=form,
        transport_arguments=arguments,
        source=SurfaceSource,
        source_arguments={"texture": False},
        stages=(Stage(20_000, instant=0.3, learning_rate=1.5e-3, warmup=100, decay=0.5),),
        batch=1 << 16,
        weight_decay=0.0,
        times=replace(times, to_data=0.8, from_noise=0.8, uniform=0.5, cumulative=0.65),
        loss=Loss(cumulative_norm=PseudoHuber(0.01), adaptive=None, raw_units=True),
        targets=PathPairs(intervals=30, parts=32, renew=50, teachers=2),
        lead=lead,
        device_draws=True,
        options="--minutes 14.5 --fit",
        cost=f"{'9 to 14' if form == 'EDM' else 2} minutes a surface on one H200",
        score=score,
    )
