"""Training runs: the loop around `Trainer`, its limits, log and pictures; it saves when stopped."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from geoflow.files import write_atomically
from geoflow.flow.condition import Condition
from geoflow.flow.transport import get_transport
from geoflow.render.quick import draw_clouds, draw_grids
from geoflow.render.tiles import join_tiles
from geoflow.training.interrupts import Interrupt
from geoflow.training.log import Log
from geoflow.training.recipe import Recipe, Source
from geoflow.training.trainer import Trainer

if TYPE_CHECKING:
    from accelerate import Accelerator

RECIPE = "recipe.json"
MEASURED = 2.0  # seconds of steps of each kind

Draw = Callable[[Trainer], bytes]
"""Draws samples of the averaged network to a PNG."""


@dataclass
class RunOptions:
    """How a run is carried out; nothing here changes what is learned."""

    minutes: float | None = None
    save_minutes: float = 2.0
    sample_minutes: float = 4.0
    log_every: int = 50
    compile: bool = False
    tensorboard: bool = False


def within(
    recipe: Recipe, minutes: float, source: Source, accelerator: Accelerator, *, compile: bool
) -> Recipe:
    """The recipe with as many steps as take so many minutes on this machine.

    The learning rate must know where the run ends, so steps are measured before it: those with
    r = t alone and those with r > t, after one of each, which compiles and starts the pool of
    paths. What that takes comes on top.

    Args:
        recipe: what will be trained; its steps do not matter.
        minutes: of the steps, above 0.
        source, accelerator: see `Trainer`.
        compile: as the run will do.
    """
    trainer, seconds = Trainer(recipe, source, 0, accelerator), []
    if compile:
        trainer.compile()
    for instant in (1.0, 0.0):
        trainer.recipe = replace(recipe, steps=1_000_000_000, instant=instant)
        _seconds(trainer, 1)
        one = _seconds(trainer, 1)
        count = max(3, round(MEASURED / one))
        if recipe.paths and not instant:  # one in so many steps renews a part of the pool
            count = recipe.renew_paths * math.ceil(count / recipe.renew_paths)
        seconds.append(_seconds(trainer, count))
    trainer.paths = None  # it holds on to the trainer, and to much of a GPU's memory
    mean = recipe.instant * seconds[0] + (1 - recipe.instant) * seconds[1]
    return replace(recipe, steps=max(1, round(60 * minutes / mean)))


def _seconds(trainer: Trainer, count: int) -> float:
    """What a step takes, the mean of `count`; the same number in all processes."""
    begin = time.perf_counter()
    for _ in range(count):
        trainer.train_step().item()  # .item() waits for the device
    spent = torch.tensor((time.perf_counter() - begin) / count, device=trainer.device)
    return trainer.reduce(spent, "mean").item()


def continued(recipe: Recipe, run: Path) -> Recipe:
    """The recipe with the length, batch and share of r = t of the run in a folder.

    Raises:
        ValueError: the folder has no recipe.json with them, or the run has another transport.
    """
    path = run / RECIPE
    try:
        stored: Any = json.loads(path.read_text("utf-8"))
        steps, batch, instant = (stored[key] for key in ("steps", "batch", "instant"))
        if not (min(steps, batch) >= 1 and isinstance(steps, int) and isinstance(batch, int)):
            raise ValueError(f"steps {steps!r}, batch {batch!r}")
        known = replace(recipe, steps=steps, batch=batch, instant=float(instant))
        form = get_transport(stored["transport"], **stored["transport_arguments"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path} must hold the steps, batch and instant of the run ({type(error).__name__}: "
            f"{error}); start it without --resume"
        ) from None
    if form != get_transport(recipe.transport, **recipe.transport_arguments):
        raise ValueError(
            f"{run} was started with the transport {stored['transport']} "
            f"{stored['transport_arguments']}; {recipe.name} has {recipe.transport} "
            f"{recipe.transport_arguments} now; use the same, or another --out"
        )
    return known


def run_training(trainer: Trainer, run: Path, options: RunOptions, draw: Draw | None = None) -> str:
    """Trains until the recipe's steps or the minutes are over; saves at the end and on Ctrl-C.

    Args:
        trainer: fresh, or resumed.
        run: folder for state, checkpoint, log.csv and samples/.
        options: limits and intervals.
        draw: draws samples; called every few minutes by the main process.

    Returns:
        one line that says how far it came.
    """
    if trainer.main:
        (run / "samples").mkdir(parents=True, exist_ok=True)
        described = json.dumps(asdict(trainer.recipe), indent=2, default=repr)
        write_atomically(run / RECIPE, described.encode())
    trainer.accelerator.wait_for_everyone()
    log = Log(run, trainer.step, options.tensorboard) if trainer.main else None
    if options.compile:
        trainer.compile()
    try:
        with Interrupt() as interrupt:
            _loop(trainer, run, options, log, draw, interrupt)
        trainer.save(run)
    finally:
        if log:
            log.close()
    done = trainer.step >= trainer.recipe.steps
    return (
        f"{trainer.recipe.name}: step {trainer.step} of {trainer.recipe.steps}, "
        f"{trainer.seconds / 60:.1f} minutes, checkpoint in {run / 'checkpoint'}"
        + ("" if done else "; continue with --resume")
    )


def _loop(
    trainer: Trainer,
    run: Path,
    options: RunOptions,
    log: Log | None,
    draw: Draw | None,
    interrupt: Interrupt,
) -> None:
    begin = time.monotonic()
    before, saved, drawn = trainer.seconds, begin, begin
    errors: list[Tensor] = []
    while trainer.step < trainer.recipe.steps:
        errors.append(trainer.train_step())
        if trainer.step % options.log_every and trainer.step < trainer.recipe.steps:
            continue
        error = trainer.reduce(torch.stack(errors).mean(), "mean").item()
        now = time.monotonic()
        trainer.seconds = before + now - begin
        if log:
            log.write(trainer.step, error, trainer.learning_rate(), trainer.seconds)
            log.status(
                trainer.step, trainer.recipe.steps, error, trainer.seconds, options.log_every
            )
        errors = []
        if draw and trainer.main and now - drawn > 60 * options.sample_minutes:
            write_atomically(run / "samples" / f"step-{trainer.step:07d}.png", draw(trainer))
            drawn = time.monotonic()
        if now - saved > 60 * options.save_minutes:
            trainer.save(run)
            saved = time.monotonic()
        # every process must stop at the same step: the main one decides
        over = options.minutes is not None and now - begin > 60 * options.minutes
        over = (over and trainer.main) or interrupt.asked
        flag = torch.tensor(float(over), device=trainer.device)
        if trainer.reduce(flag, "sum").item() > 0:
            break


def draw_samples(trainer: Trainer) -> bytes:
    """PNG of one sample a category at 1, 2 and 8 calls, sampled as the checkpoint will say."""
    labels = torch.arange(len(trainer.source.categories), device=trainer.device)
    generator = torch.Generator(trainer.device).manual_seed(0)
    data, given = trainer.source.batch(len(labels), torch.Generator().manual_seed(0))
    cond = given if isinstance(given, Condition) else Condition(labels)
    noise = torch.randn(data.shape, generator=generator, device=trainer.device)
    tiles = []
    for steps in (1, 2, 8):
        with trainer.accelerator.autocast():
            samples = trainer.sampling.sample(
                trainer.transport, trainer.ema, noise, steps, cond, cumulative=True
            )
        shapes = trainer.source.decode(samples)
        tiles.append((draw_clouds if shapes.dim() == 3 else draw_grids)(shapes, 128))
    return join_tiles(np.concatenate(tiles), len(labels))
