"""Training runs: the loop around `Trainer`, its limits, log and pictures; it saves when stopped."""

from __future__ import annotations

import csv
import json
import math
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from geoflow.data.source import Source
from geoflow.files import write_atomically
from geoflow.render.tiles import join_tiles
from geoflow.training.recipe import Recipe
from geoflow.training.trainer import Trainer

if TYPE_CHECKING:
    from accelerate import Accelerator

RECIPE = "recipe.json"
MEASURED = 2.0  # seconds of steps of each kind

Draw = Callable[[Trainer], bytes]
"""Draws samples of the averaged network to a PNG."""


@dataclass
class RunOptions:
    """How a run is carried out; nothing here changes what is learned.

    Attributes:
        minutes: stop after so many.
        save_minutes, sample_minutes, log_every: between states, pictures and rows (in steps).
        compile, tensorboard: whether to.
        settings: --set options that made the recipe, kept for --resume.
    """

    minutes: float | None = None
    save_minutes: float = 2.0
    sample_minutes: float = 4.0
    log_every: int = 50
    compile: bool = False
    tensorboard: bool = False
    settings: tuple[str, ...] = ()


class Interrupt:
    """Ctrl-C asks the loop to stop where it may be resumed exactly; a second one stops at once."""

    def __enter__(self) -> Interrupt:
        self.asked = False
        self.before = signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        print("stopping at the next row of the log; Ctrl-C again stops at once", file=sys.stderr)

    def __exit__(self, *error: object) -> None:
        signal.signal(signal.SIGINT, self.before)


class Log:
    """Rows of run/log.csv, and TensorBoard; a resumed run drops those past where it resumes."""

    def __init__(self, run: Path, start_step: int, tensorboard: bool) -> None:
        path, kept = run / "log.csv", []
        if start_step and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                kept = [r for r in [*csv.reader(file)][1:] if r and int(r[0]) <= start_step]
        self.file = path.open("w", newline="", encoding="utf-8")
        self.rows = csv.writer(self.file)
        self.rows.writerows([["step", "error", "learning_rate", "seconds"], *kept])
        self.board, self.error = None, ""
        self.begin = self.shown = time.monotonic()
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(run / "tensorboard"), purge_step=start_step)

    def write(self, trainer: Trainer, error: float) -> None:
        """A row."""
        step, rate, seconds = trainer.step, trainer.learning_rate(), trainer.seconds
        self.error = f"  error {error:.4f}"
        self.rows.writerow([step, repr(error), repr(rate), f"{seconds:.1f}"])
        self.file.flush()
        if self.board:
            self.board.add_scalar("error", error, step)
            self.board.add_scalar("learning_rate", rate, step)

    def show(self, step: int, steps: int) -> None:
        """A line on stderr: rewritten each second on a terminal, added now and then to a file."""
        seen, now = sys.stderr.isatty(), time.monotonic()
        if now - self.shown > (1 if seen else 20):
            minutes, self.shown = (now - self.begin) / 60, now
            line = f"step {step:>7}/{steps}{self.error}  {minutes:6.1f} min"
            print(line, end="\r" if seen else "\n", file=sys.stderr, flush=True)

    def close(self) -> None:
        self.file.close()
        if self.board:
            self.board.close()


def recipe_for_minutes(
    recipe: Recipe, minutes: float, source: Source, accelerator: Accelerator, *, compile: bool
) -> Recipe:
    """The recipe with as many steps as take so many minutes on this machine.

    The learning rate must know where the run ends, so steps are measured before it: those with
    r = t alone and those with r > t, after one of each, which compiles and starts the pool of
    paths. What that takes comes on top. For `source` and `accelerator` see `Trainer`; the recipe's
    own steps do not matter.
    """
    trainer, seconds = Trainer(recipe, source, 0, accelerator), []
    if compile:
        trainer.compile()
    for instant in (1.0, 0.0):
        endless = replace(recipe.stages[-1], steps=1_000_000_000, instant=instant)
        trainer.recipe = replace(recipe, stages=(endless,))
        _seconds(trainer, 1)
        one = _seconds(trainer, 1)
        count = max(3, round(MEASURED / one))
        if not instant:  # one in so many steps renews a part of a pool
            renew = getattr(recipe.targets, "renew", 1)
            count = renew * math.ceil(count / renew)
        seconds.append(_seconds(trainer, count))
    trainer.pool = None  # it holds on to the trainer, and to much of a GPU's memory
    alone = sum(stage.first_cumulative for stage in recipe.stages) / recipe.steps
    mean = alone * seconds[0] + (1 - alone) * seconds[1]
    return recipe.scaled(max(len(recipe.stages), round(60 * minutes / mean)))


def _seconds(trainer: Trainer, count: int) -> float:
    """What a step takes, the mean of `count`; the same number in all processes."""
    begin = time.perf_counter()
    for _ in range(count):
        trainer.train_step().item()  # .item() waits for the device
    spent = torch.tensor((time.perf_counter() - begin) / count, device=trainer.device)
    return trainer.reduce(spent, "mean").item()


def settings_of(run: Path) -> list[str]:
    """The --set options, and the length, of a run; raises ValueError without a good recipe.json."""
    path = run / RECIPE
    try:
        stored = json.loads(path.read_text("utf-8"))
        settings, steps = stored["set"], stored["steps"]
        if not (isinstance(steps, int) and all(isinstance(s, str) for s in settings)):
            raise ValueError(f"set {settings!r}, steps {steps!r}")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path} must hold the steps and settings of the run ({type(error).__name__}: "
            f"{error}); start it without --resume"
        ) from None
    return [*settings, f"steps={steps}"]


def check_same(recipe: Recipe, run: Path) -> None:
    """Raises ValueError where a run was started with another transport or other stages."""
    stored, now = json.loads((run / RECIPE).read_text("utf-8")), recipe.described()
    for key in ("name", "transport", "transport_arguments", "network_arguments", "stages", "batch"):
        if stored.get(key) != now[key]:
            raise ValueError(
                f"{run} was started with {key} {stored.get(key)}; now it is {now[key]}; use the "
                "same, or another --out"
            )


def run_training(trainer: Trainer, run: Path, options: RunOptions, draw: Draw | None = None) -> str:
    """Trains until the recipe's steps or the minutes are over; saves at the end and on Ctrl-C.

    Args:
        trainer, options: fresh, or resumed; limits and intervals.
        run: folder for state, checkpoint, log.csv and samples/.
        draw: draws samples; called every few minutes by the main process.

    Returns:
        one line that says how far it came.
    """
    if trainer.main:
        (run / "samples").mkdir(parents=True, exist_ok=True)
        settings = [s for s in options.settings if not s.startswith("steps=")]
        described = trainer.recipe.described() | {"set": settings}
        write_atomically(run / RECIPE, json.dumps(described, indent=2).encode())
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
        if log:
            log.show(trainer.step, trainer.recipe.steps)
        if trainer.step % options.log_every and trainer.step < trainer.recipe.steps:
            continue
        error = trainer.reduce(torch.stack(errors).mean(), "mean").item()
        if not math.isfinite(error):
            raise ValueError(
                f"the error must be finite; it is {error} at step {trainer.step}; resume from the "
                "state before, or start with a lower --set learning_rate"
            )
        now = time.monotonic()
        trainer.seconds = before + now - begin
        if log:
            log.write(trainer, error)
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
    """PNG of the recipe's samples, a row each."""
    tiles = [trainer.source.picture(row, 128) for row in trainer.recipe.samples(trainer)]
    return join_tiles(np.concatenate(tiles), len(tiles[0]))
