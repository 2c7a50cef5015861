"""Recipes: what to train, as data. Each docstring gives the command, the cost and the score."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from torch import Tensor

from geoflow.checks import one_of
from geoflow.objective import GridError, PseudoHuber, TimeSampling, mean_square


@dataclass(frozen=True)
class Recipe:
    """Everything a training run depends on besides its data and its seed.

    Attributes:
        name, summary, cost, score: shown by `geoflow recipes`; the last two are measured.
        network, network_arguments: see geoflow.networks.
        data: what it is trained on, see geoflow.data.
        transport, transport_arguments: see geoflow.transport.get_transport.
        steps, batch: optimiser steps and samples in each, over all processes.
        learning_rate, warmup, decay: peak of AdamW's rate, steps of warm-up, share of the run (with
            `restart` of each part) over which the rate falls linearly to zero at the end.
        instant: share of the run, from its start, that trains r = t only.
        restart: the rate falls to zero at the end of that share as well, and starts again: r > t
            learns from a network that is as good as it gets.
        label_drop: how often the label is hidden, for guidance.
        ema: decay of the averaged weights, which are the ones saved.
        times, error_norm, cumulative_norm, adaptive, raw_units, difference_share: see
            geoflow.objective. The times of r = t hold for the whole run.
        distill: r > t learns from a frozen copy of the average, made when r > t starts.
        leaps: share of the steps in which the averaged network is its own teacher: it leaps to
            a time drawn between t and r, and on to r.
        cumulative_ema: decay of the averaged weights once r > t is trained; the average is then
            part of the target, so it must follow sooner.
        paths: r > t learns from paths of the frozen network with so many intervals, see
            geoflow.paths; 0: from `Distillation`, or from the data.
        path_parts, renew_paths: parts of the pool of paths, at least 8, with which it starts; and
            in how many steps one is added, or renewed once all are there.
        teachers: how many frozen copies there are, one after another, in the part with r > t.
        lead, mean_last: of few calls, see geoflow.sampling.
        device_draws: draw times and data by the device's generator: no step waits for a copy.
        command: trains it, where that is not `geoflow train`.
    """

    name: str
    summary: str
    network: str
    network_arguments: dict[str, Any]
    transport: str
    transport_arguments: dict[str, Any]
    steps: int
    batch: int
    learning_rate: float = 6e-4
    warmup: int = 1000
    decay: float = 0.4
    weight_decay: float = 0.01
    instant: float = 0.35
    restart: bool = False
    label_drop: float = 0.1
    ema: float = 0.9995
    times: TimeSampling = field(default_factory=TimeSampling)
    error_norm: Callable[[Tensor], Tensor] = mean_square
    cumulative_norm: Callable[[Tensor], Tensor] | None = None
    adaptive: float | None = 0.05
    raw_units: bool = False
    difference_share: float = 0.1
    distill: bool = False
    leaps: float = 0.0
    cumulative_ema: float = 0.995
    data: str = "grids"
    paths: int = 0
    path_parts: int = 8
    renew_paths: int = 25
    teachers: int = 1
    lead: float = 0.0
    mean_last: bool = False
    device_draws: bool = False
    command: str = ""
    cost: str = ""
    score: str = ""

    @property
    def first_cumulative(self) -> int:
        """The first step with r > t."""
        return math.ceil(self.instant * self.steps)

    def teacher_at(self, step: int) -> tuple[int, int]:
        """Number of the frozen copy that a step with r > t learns from, and its age in steps."""
        start = self.first_cumulative
        length = self.steps - start
        copy = self.teachers * (step - start) // max(1, length)
        return copy, step - start - math.ceil(copy * length / self.teachers)


def objects_sdf() -> Recipe:
    """Class-conditional truncated SDF grids of 15 categories of furniture and household objects.

    Command: geoflow train objects-sdf --data DATA --out RUN

    The noise is so strong because a smooth grid is redundant: at standard deviation 4 the shape was
    decided within the first tenth of the clock, and 50 equal steps missed it. The uniform share
    teaches the last hundredth of the clock, without which many small steps drift.
    """
    return Recipe(
        name="objects-sdf",
        summary="64^3 SDF grids, 15 categories, class-conditional",
        network="GridTransformer",
        network_arguments={"resolution": 64, "patch": 8, "overlap": 2, "width": 320, "depth": 10},
        transport="x1-FM",
        transport_arguments={"noise_std": 24.0},
        steps=24_000,
        learning_rate=4e-4,
        warmup=300,
        instant=0.55,
        batch=256,
        times=TimeSampling(mean=-0.4, std=1.2, to_data=0.8, from_noise=0.7, uniform=0.2),
        difference_share=0.06,
        distill=True,
        leaps=0.75,
        cost="30,220 steps in five parts, 31 minutes on two H100; see the model card",
        score="1-NNA 58.3 / 56.5 / 56.0 % at 1 / 2 / 4 calls; r = t, 50 calls: 56.2; data: 47.6",
        error_norm=GridError(),
    )


def objects_sdf_tiny() -> Recipe:
    """A small network for the same grids, to try the pipeline on a CPU in a minute; makes blobs.

    Command: geoflow train objects-sdf-tiny --data DATA --out RUN --device cpu
    """
    large = objects_sdf()
    small = {"width": 64, "depth": 2, "hidden": 128}
    return replace(
        large,
        name="objects-sdf-tiny",
        summary="a small network for the same grids: checks the pipeline on a CPU",
        network_arguments=large.network_arguments | small,
        steps=200,
        batch=8,
        learning_rate=6e-4,
        warmup=20,
        cost="",
        score="",
    )


def objects_surface() -> Recipe:
    """The network of `objects-sdf` with a sparse cloud of the surface as a further condition.

    Command: geoflow train objects-surface --data DATA --init CHECKPOINT --steps 4800 --out RUN

    CHECKPOINT is one of `objects-sdf`, or a run of this recipe: what reads the cloud starts at
    zero, so the network starts as good without clouds as it was. From `objects-sdf`, give
    --instant 0.4 first. The rate is low and falls early, and the average is a long one: shapes
    from a category alone got worse with the values of `objects-sdf`.
    """
    plain = objects_sdf()
    return replace(
        plain,
        name="objects-surface",
        summary="64^3 SDF grids from 64 to 1,024 points, or from a category alone; bundled",
        network_arguments=plain.network_arguments | {"cloud": True, "context_every": 5},
        data="scans",
        learning_rate=3e-4,
        decay=0.8,
        cumulative_ema=0.998,
        cost="31 minutes of objects-sdf, then 15 in two parts, on two H100; see the model card",
        score="",
    )


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
        data="points",
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


def characters_joints() -> Recipe:
    """Joints of characters: 1,024 surface points travel to the joints that they belong to.

    Command: geoflow train characters-joints --data DATA --out RUN

    DATA holds npz files of rigged characters. Noise much wider than the joints' distances would
    leave nothing to decide until late on the clock, so it is weak, and late times are drawn more
    often.
    """
    return Recipe(
        name="characters-joints",
        summary="joints of a character from 1,024 surface points; DDIM form",
        network="JointTransformer",
        network_arguments={},
        transport="DDIM",
        transport_arguments={"noise_std": 0.35, "data_std": 0.4},
        data="characters",
        steps=9_300,
        batch=256,
        learning_rate=7e-4,
        warmup=500,
        instant=0.6,
        label_drop=0.5,
        times=TimeSampling(mean=0.4, std=1.3, to_data=0.8, from_noise=0.7, uniform=0.2),
        adaptive=0.01,
        difference_share=0.06,
        distill=True,
        leaps=0.75,
        lead=0.6,
        mean_last=True,
        device_draws=True,
        cost="38 minutes on one GPU, in five parts; see the model card",
        score="CD-J2J 0.6 %, IoU 99 % on unseen bodies at 2 calls; 2.9 %, 83 % on toys",
    )


def characters_joints_fm() -> Recipe:
    """The same on straight paths (x1-FM).

    Command: geoflow train characters-joints-fm --data DATA --out RUN
    """
    return replace(
        characters_joints(),
        name="characters-joints-fm",
        summary="the same in x1-FM form",
        cost="8.7 minutes on one H200",
        score="CD-J2J 0.7 %, IoU 98 % on unseen bodies at 2 calls; 3.2 %, 78 % on toys",
        transport="x1-FM",
    )


def characters_joints_edm() -> Recipe:
    """The same with EDM's noise levels, 0.0001 to 4 here.

    Command: geoflow train characters-joints-edm --data DATA --out RUN
    """
    return replace(
        characters_joints(),
        name="characters-joints-edm",
        summary="the same in EDM form",
        cost="8.7 minutes on one H200",
        score="CD-J2J 1.2 %, IoU 95 % on unseen bodies at 2 calls; 2.8 %, 70 % on toys",
        transport="EDM",
        transport_arguments={"noise_std": 0.05, "data_std": 0.4},
    )


DISTRIBUTION = "shape-distribution"
# Half of the times are uniform; the rest where noise and details are of one size.
_EVEN, _LATE = TimeSampling(mean=0.6, std=1.0), TimeSampling(mean=1.2, std=1.5)
DISTRIBUTION_FORMS: dict[str, tuple[dict[str, Any], TimeSampling, float]] = {
    "edm": ({"data_std": 1.0}, _EVEN, 0.7),
    "x1-fm": ({"preconditioning": "edm"}, _LATE, 0.5),
    "u-fm": ({}, _LATE, 0.5),
}
"""Arguments of the transport, logistic-normal times, and lead of few calls, by the form's name in
small letters."""


def shape_distribution(form: str = "EDM") -> Recipe:
    """The points of one surface: a sample is one point, the network an MLP of 5.2 M parameters.

    Command: geoflow distribution fit MESH --out RUN

    No adaptive weight: it would move a target of three dimensions off its mean. Errors count in
    units of the raw output, so that all noise levels do. r > t learns from paths: with the
    semigroup law a jump waits for the one after it. Its errors are distances, not squares, and most
    of its pairs go from pure noise or to the data. Data predictions have EDM's preconditioning on
    either schedule; a normalised surface has standard deviation 1.

    Args:
        form: "EDM", "x1-FM" or "u-FM"; case does not matter.

    Raises:
        ValueError: another form.
    """
    one_of("form", form.lower(), DISTRIBUTION_FORMS)
    arguments, times, lead = DISTRIBUTION_FORMS[form.lower()]
    return Recipe(
        name=DISTRIBUTION,
        summary="the points of a single surface, with or without colours",
        command="geoflow distribution fit MESH",
        network="PointMLP",
        network_arguments={"width": 512, "depth": 6},
        transport=form,
        transport_arguments=arguments,
        steps=20_000,
        batch=1 << 16,
        learning_rate=1.5e-3,
        warmup=100,
        decay=0.5,
        weight_decay=0.0,
        instant=0.3,
        times=replace(times, to_data=0.8, from_noise=0.8, uniform=0.5, cumulative=0.65),
        cumulative_norm=PseudoHuber(0.01),
        adaptive=None,
        raw_units=True,
        paths=30,
        path_parts=32,
        renew_paths=50,
        teachers=2,
        lead=lead,
        device_draws=True,
        cost="9 to 14 minutes a surface on one H200",
        score="EDM: CD 0.0080 / 0.0082 / 0.0091 at 60 / 3 / 1 calls on a chair; floor 0.0071",
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "objects-sdf": objects_sdf,
    "objects-sdf-tiny": objects_sdf_tiny,
    "objects-surface": objects_surface,
    **{name: partial(objects_points, form) for form, (name, *_) in POINT_FORMS.items()},
    "characters-joints": characters_joints,
    "characters-joints-fm": characters_joints_fm,
    "characters-joints-edm": characters_joints_edm,
    DISTRIBUTION: shape_distribution,
}


def get_recipe(name: str) -> Recipe:
    """A recipe by name.

    Raises:
        ValueError: unknown name; lists the names and the nearest.
    """
    one_of("recipe", name, RECIPES)
    return RECIPES[name]()
