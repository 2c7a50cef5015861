"""A recipe: what to train, as data, and how one value of it is changed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from itertools import accumulate
from typing import Any, NamedTuple, get_type_hints

from torch import Tensor

from geoflow.checks import ArgumentError, at_least, one_of
from geoflow.data.source import Source
from geoflow.flow.objective import Loss, TimeSampling
from geoflow.flow.targets import Residual, Targets
from geoflow.flow.transport import Transport
from geoflow.networks import NETWORKS


@dataclass(frozen=True)
class Stage:
    """A part of a run with a learning rate that rises, stays and falls to zero."""

    steps: int  # of the optimiser
    instant: float = 0.35  # share of the stage, from its start, that trains r = t only
    learning_rate: float = 6e-4  # the peak of AdamW's
    warmup: int = 1000  # steps of its rise
    decay: float = 0.4  # share of the stage over which it falls linearly to zero at the end

    def __post_init__(self) -> None:
        at_least("steps", self.steps, 1)
        at_least("warmup", self.warmup, 1)
        at_least("learning_rate", self.learning_rate, 0)
        for name in ("instant", "decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], a share; got {getattr(self, name)}")

    @property
    def first_cumulative(self) -> int:
        """The stage's first step with r > t."""
        return math.ceil(self.instant * self.steps)

    def rate(self, step: int) -> float:
        """The learning rate of the stage's step number `step`."""
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.learning_rate * min(1.0, (step + 1) / self.warmup, left)


class Place(NamedTuple):
    """Where a step of a run lies: its stage, the stage's number, and the step inside of it."""

    stage: Stage
    number: int
    step: int

    @property
    def cumulative(self) -> bool:
        """Whether r > t is trained."""
        return self.step >= self.stage.first_cumulative


@dataclass(frozen=True)
class Recipe:
    """Everything a training run depends on besides its data and its seed.

    Attributes:
        name, summary, cost, score: shown by `geoflow recipes`; the last two are measured.
        network, network_arguments: see geoflow.networks.
        transport, transport_arguments: see geoflow.flow.get_transport.
        source, source_arguments: `source.open(path, device, ...)` reads what it is trained on.
        stages: one after another.
        batch: samples a step, over all processes.
        weight_decay: AdamW's.
        label_drop: how often the label is hidden, for guidance.
        ema: decay of the averaged weights, which are the ones saved.
        times, loss: see geoflow.flow.objective. The times of r = t hold for the whole run.
        targets: what r > t learns from, see geoflow.flow.targets.
        lead, mean_last: of few calls, see geoflow.flow.sampling.
        optimizer: "AdamW", or "Muon" for the matrices of transformer blocks and AdamW for the rest.
        device_draws: draw times and data by the device's generator: no step waits for a copy.
        needs: what --init must name, where the recipe continues another one; else empty.
        options: further ones of the command that made the score.
    """

    name: str
    summary: str
    network: str
    network_arguments: dict[str, Any]
    transport: str
    transport_arguments: dict[str, Any]
    source: type[Source]
    stages: tuple[Stage, ...]
    batch: int
    source_arguments: dict[str, Any] = field(default_factory=dict)
    weight_decay: float = 0.01
    label_drop: float = 0.1
    ema: float = 0.9995
    times: TimeSampling = field(default_factory=TimeSampling)
    loss: Any = field(default_factory=Loss)
    targets: Targets = field(default_factory=Residual)
    lead: float = 0.0
    mean_last: bool = False
    optimizer: str = "AdamW"
    device_draws: bool = False
    needs: str = ""
    options: str = ""
    cost: str = ""
    score: str = ""

    def __post_init__(self) -> None:
        at_least("batch", self.batch, 1)
        at_least("weight_decay", self.weight_decay, 0)
        for name in ("ema", "label_drop", "lead"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1); got {getattr(self, name)}")

    @property
    def command(self) -> str:
        """What trains it."""
        return f"geoflow train {self.name} --data DATA --out RUN {self.options}".rstrip()

    def losses(self, run: Any, cumulative: bool) -> tuple[Tensor, Tensor]:
        """Scalar to differentiate and (B,) errors of a step of a `geoflow.training.Trainer`."""
        return run.flow_losses(cumulative)

    def samples(self, run: Any) -> list[Tensor]:
        """What a picture of its progress shows, row by row, as its source draws them."""
        return run.flow_samples()

    @property
    def steps(self) -> int:
        """Of all stages."""
        return sum(stage.steps for stage in self.stages)

    def place(self, step: int) -> Place:
        """Where a step of the run lies; steps past the end lie in the last stage."""
        for number, stage in enumerate(self.stages):
            if step < stage.steps or number == len(self.stages) - 1:
                break
            step -= stage.steps
        return Place(stage, number, step)

    def teacher_at(self, step: int) -> tuple[int, int]:
        """Number of the frozen copy that a step with r > t learns from, and its age in steps."""
        stage, number, step = self.place(step)
        begin, many = stage.first_cumulative, max(1, self.targets.teachers)
        length = stage.steps - begin
        copy = min(many - 1, many * (step - begin) // max(1, length))
        return number * many + copy, step - begin - math.ceil(copy * length / many)

    def scaled(self, steps: int) -> Recipe:
        """The same run in so many steps; every stage keeps its share."""
        if steps < len(self.stages):
            raise ValueError(f"steps must be at least {len(self.stages)}, one a stage; got {steps}")
        ends = [0, *accumulate(stage.steps for stage in self.stages)]
        ends = [max(i, round(end * steps / ends[-1])) for i, end in enumerate(ends)]
        stages = zip(self.stages, ends, ends[1:], strict=False)
        return replace(self, stages=tuple(replace(s, steps=b - a) for s, a, b in stages))

    def described(self) -> dict[str, Any]:
        """All of it as JSON knows it."""
        return json.loads(json.dumps(asdict(self), default=repr)) | {"steps": self.steps}


def set_fields(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """A recipe with some values changed, as `geoflow train --set NAME=VALUE` does.

    Settings are "name=value" each. A name is a field of the recipe, of all its stages, its times,
    loss or targets, or an argument of its network, transport or source; "steps" is the length of
    the whole run, in which stages keep their share. A value is JSON, or a word.

    Raises:
        ArgumentError: no such name, or a value of another kind.
    """
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ArgumentError(f"--set must be NAME=VALUE, such as batch=64; got {setting!r}")
        value: Any = text
        with suppress(ValueError):
            value = json.loads(text)
        try:
            recipe = _set(recipe, name, value)
        except ValueError as error:
            raise ArgumentError(f"--set {setting}: {error}") from None
    return recipe


GROUPS = ("times", "loss", "targets")
FIXED = ("name", "summary", "network", "transport", "cost", "score", "needs", "options")


def _set(recipe: Recipe, name: str, value: Any) -> Recipe:
    if name == "steps":
        return recipe.scaled(_like(name, value, 1))
    own = {n: v for n, v in _plain(recipe).items() if n not in FIXED}
    groups = {group: _plain(getattr(recipe, group)) for group in GROUPS}
    for group, held in {"": own, "stages": _plain(recipe.stages[0]), **groups}.items():
        if name in held:
            change: dict[str, Any] = {name: _like(name, value, held[name])}
            if group == "stages":
                change = {group: tuple(replace(stage, **change) for stage in recipe.stages)}
            elif group:
                change = {group: replace(getattr(recipe, group), **change)}
            return replace(recipe, **change)
    tables = _tables(recipe)
    for table, known in tables.items():
        if name in known:
            example = {int: 1, float: 1.0, str: "", bool: True}.get(known[name])
            value = value if example is None else _like(name, value, example)
            return replace(recipe, **{table: getattr(recipe, table) | {name: value}})
    parts = (own, _plain(recipe.stages[0]), *groups.values(), *tables.values())
    one_of("the name", name, ["steps", *(known for part in parts for known in part)])
    return recipe


def _plain(part: Any) -> dict[str, Any]:
    """The fields of a dataclass that are numbers, words or None."""
    if not is_dataclass(part):
        return {}
    held = {f.name: getattr(part, f.name) for f in fields(part)}
    return {n: v for n, v in held.items() if v is None or isinstance(v, int | float | str)}


def _like(name: str, value: Any, example: Any) -> Any:
    """A value of the kind of the one that was there; None may be a number."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12
    if isinstance(example, bool | str):
        good = isinstance(value, type(example))
        what = "true or false" if isinstance(example, bool) else "a word"
    elif isinstance(example, int):
        good, what = isinstance(value, int) and number, "a whole number"
    else:
        good = number or (value is None and name == "adaptive")
        what = "a finite number within +-1e12"
    if not good:
        raise ValueError(f"{name} must be {what}; got {value!r}")
    return float(value) if isinstance(example, float) and value is not None else value


def _tables(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """The arguments that network, transport and source take, and their types."""
    kinds = (NETWORKS[recipe.network][1], Transport, recipe.source.open)
    other = {"prediction", "schedule", "folder", "device", "split", "return"}
    return {
        f"{what}_arguments": {n: t for n, t in get_type_hints(kind).items() if n not in other}
        for what, kind in zip(("network", "transport", "source"), kinds, strict=True)
    }
