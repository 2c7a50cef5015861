"""What a cumulative training step costs beside an ordinary one, on synthetic grids.

    python benchmarks/step_cost.py [--batch 256] [--device auto]

The ordinary step trains r = t only. The cumulative one is the recipe's: a share of the batch has
r != t and needs two more network calls, without gradients. Both are whole optimiser steps of the
Trainer, compiled on a GPU; the median of 30 after warm-up, in turns, so that both meet the same
clock rates.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from typing import Any

import numpy as np
import torch
from script import add_device, argument_parser, run_script

from geoflow.model import half_precision, pick_device
from geoflow.recipes import get_recipe
from geoflow.shapes import GridSource
from geoflow.training import Trainer, set_fields

CATEGORIES, SHAPES = 15, 600


class OneProcess:
    """What Trainer uses of an Accelerator, for one process; accelerate need not be installed."""

    num_processes, process_index, is_main_process = 1, 0, True

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        return half_precision(self.device)


def random_source(resolution: int, device: torch.device) -> GridSource:
    """Grids of random int8 values."""
    rng = np.random.default_rng(0)
    values = rng.integers(-127, 128, (SHAPES,) + (resolution,) * 3, np.int8)
    labels = np.arange(SHAPES) % CATEGORIES
    names = [f"category {k}" for k in range(CATEGORIES)]
    return GridSource(values, labels, names, np.ones(SHAPES), 0.1, device)


def make_trainer(
    args: argparse.Namespace, source: GridSource, device: torch.device, cumulative: bool
) -> Trainer:
    """A trainer of the recipe, past its part that trains r = t only; or with that part alone."""
    instant = 0.0 if cumulative else 1.0
    recipe = set_fields(get_recipe(args.recipe), [f"batch={args.batch}", f"instant={instant}"])
    accelerator: Any = OneProcess(device)
    trainer = Trainer(recipe, source, 0, accelerator)
    if device.type == "cuda" and not args.no_compile:
        trainer.compile()
    return trainer


def time_step(trainer: Trainer) -> float:
    """Seconds of one step."""
    if trainer.device.type == "cuda":
        torch.cuda.synchronize(trainer.device)
    begin = time.perf_counter()
    trainer.train_step()
    if trainer.device.type == "cuda":
        torch.cuda.synchronize(trainer.device)
    return time.perf_counter() - begin


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--recipe", default="objects-sdf")
    parser.add_argument("--batch", type=int, default=256)
    add_device(parser)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--no-compile", action="store_true")
    args = parser.parse_args()
    torch.set_float32_matmul_precision("high")
    device = pick_device(args.device)
    arguments = get_recipe(args.recipe).network_arguments
    if "resolution" not in arguments:
        raise ValueError(f"--recipe must be one of SDF grids; {args.recipe} is not")
    source = random_source(int(arguments["resolution"]), device)
    trainers = [make_trainer(args, source, device, cumulative) for cumulative in (False, True)]
    for trainer in trainers:
        for i in range(args.warmup):
            print(f"warm-up {i + 1}: {time_step(trainer):.2f} s", file=sys.stderr, flush=True)
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(args.steps):
        for trainer, times in zip(trainers, seconds, strict=True):
            times.append(time_step(trainer))
    ordinary, cumulative = (1000 * statistics.median(times) for times in seconds)
    share = trainers[1].recipe.times.cumulative
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    print(f"{args.recipe}, batch {args.batch}, {where}, median of {args.steps} steps")
    print(f"ordinary step (r = t):                {ordinary:8.1f} ms")
    print(f"cumulative step ({share:.0%} with r != t): {cumulative:8.1f} ms")
    print(f"ratio:                                {cumulative / ordinary:8.2f}")


if __name__ == "__main__":
    run_script(main)
