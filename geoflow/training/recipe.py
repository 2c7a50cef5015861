"""A recipe: what to train, as data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from geoflow.flow.condition import Condition
from geoflow.flow.objective import TimeSampling, mean_square


class Source(Protocol):
    """Where batches come from."""

    categories: list[str]

    @classmethod
    def open(cls, folder: Path, device: torch.device) -> Source: ...

    def batch(
        self, size: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | Condition | None]: ...

    def describe(self) -> dict[str, Any]: ...

    def decode(self, samples: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Recipe:
    """Everything a training run depends on besides its data and its seed.

    Attributes:
        name, summary, cost, score: shown by `geoflow recipes`; the last two are measured.
        network, network_arguments: see geoflow.networks.
        source: its `open(path, device)` reads what it is trained on, see `Source`.
        transport, transport_arguments: see geoflow.flow.transport.get_transport.
        steps, batch: optimiser steps and samples in each, over all processes.
        learning_rate, warmup, decay: peak of AdamW's rate, steps of warm-up, share of the run (with
            `restart` of each part) over which the rate falls linearly to zero at the end.
        instant: share of the run, from its start, that trains r = t only.
        restart: the rate falls to zero at the end of that share as well, and starts again: r > t
            learns from a network that is as good as it gets.
        label_drop: how often the label is hidden, for guidance.
        ema: decay of the averaged weights, which are the ones saved.
        times, error_norm, cumulative_norm, adaptive, raw_units, difference_share: see
            geoflow.flow.objective. The times of r = t hold for the whole run.
        distill: r > t learns from a frozen copy of the average, made when r > t starts.
        leaps: share of the steps in which the averaged network is its own teacher: it leaps to
            a time drawn between t and r, and on to r.
        cumulative_ema: decay of the averaged weights once r > t is trained; the average is then
            part of the target, so it must follow sooner.
        paths: r > t learns from paths of the frozen network with so many intervals, see
            geoflow.flow.paths; 0: from `Distillation`, or from the data.
        path_parts, renew_paths: parts of the pool of paths, at least 8, with which it starts; and
            in how many steps one is added, or renewed once all are there.
        teachers: how many frozen copies there are, one after another, in the part with r > t.
        lead, mean_last: of few calls, see geoflow.flow.sampling.
        device_draws: draw times and data by the device's generator: no step waits for a copy.
        command: trains it, where that is not `geoflow train`.
    """

    name: str
    summary: str
    network: str
    network_arguments: dict[str, Any]
    transport: str
    transport_arguments: dict[str, Any]
    source: type[Source]
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
