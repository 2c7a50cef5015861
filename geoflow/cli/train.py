"""`geoflow train RECIPE` and `geoflow recipes`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geoflow.cli.errors import Device, UsageError, check_least, check_run, note, one_line, usage

if TYPE_CHECKING:
    from geoflow.training.recipe import Recipe


@one_line
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe; geoflow recipes lists them.")],
    data: Annotated[Path, typer.Option(help="Folder that data_prep/objects.py wrote.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    minutes: Annotated[float | None, typer.Option(help="Stop after so many minutes.")] = None,
    fit: Annotated[
        bool, typer.Option("--fit", help="Plan the whole run to take --minutes.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    init: Annotated[
        Path | None, typer.Option(help="Start from this checkpoint; --instant is then 0.")
    ] = None,
    instant: Annotated[
        float | None, typer.Option(help="Share of the run, from its start, that trains r = t only.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Length of the whole run.")] = None,
    batch: Annotated[int | None, typer.Option(help="Samples a step, all processes.")] = None,
    seed: Annotated[int, typer.Option(help="Of the whole run.")] = 0,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.auto,
    compile: Annotated[bool, typer.Option(help="Compile the network (GPU).")] = True,
    tensorboard: Annotated[bool, typer.Option(help="Also log to TensorBoard.")] = False,
    save_minutes: Annotated[float, typer.Option(help="Between saved states.")] = 2.0,
    sample_minutes: Annotated[float, typer.Option(help="Between drawn samples.")] = 4.0,
) -> None:
    """Train a recipe; on many GPUs: accelerate launch -m geoflow train RECIPE ..."""
    check_least(1, steps=steps, batch=batch)
    check_least(0, minutes=minutes, instant=instant)
    if instant is not None and instant > 1:
        raise UsageError(f"--instant must be at most 1, a share of the run; got {instant:g}")
    if fit and (steps is not None or not minutes):
        raise UsageError("--fit needs --minutes above 0 and no --steps; it chooses the steps")
    from geoflow.recipes import get_recipe

    chosen = usage(get_recipe, recipe)
    if chosen.command:
        raise UsageError(f"{recipe} is trained by {chosen.command}")
    check_run(out, resume=resume)
    from geoflow.model.checkpoint import load_checkpoint
    from geoflow.model.device import pick_device
    from geoflow.training.loop import RunOptions, draw_samples, run_training, within
    from geoflow.training.state import STATE
    from geoflow.training.trainer import Trainer, start_processes

    picked = usage(pick_device, device.value)
    found = resume and (out / STATE).exists()
    if init is not None and instant is None and not found:
        instant = 0.0
    changes: dict[str, Any] = {"steps": steps, "batch": batch, "instant": instant}
    changes = {k: v for k, v in changes.items() if v is not None}
    chosen = _as_kept(chosen, changes, out) if found else dataclasses.replace(chosen, **changes)
    accelerator = start_processes(picked)
    source = chosen.source.open(data, accelerator.device)
    compile = compile and picked.type == "cuda"
    say = note if accelerator.is_main_process else lambda _: None
    if resume and not found:
        say(f"{out} holds no state to resume; starting afresh")
    if fit and found:
        say(f"{out} keeps its length, {chosen.steps} steps, whatever --minutes says")
    elif fit and minutes:
        say(f"measuring how many steps {minutes:g} minutes hold")
        chosen = within(chosen, minutes, source, accelerator, compile=compile)
    trainer = Trainer(chosen, source, seed, accelerator)
    if found:
        trainer.resume(out)
    elif init is not None:
        trainer.warm_start(*load_checkpoint(init)[:2])
    limit = None if fit else minutes
    options = RunOptions(
        limit, save_minutes, sample_minutes, compile=compile, tensorboard=tensorboard
    )
    line = run_training(trainer, out, options, draw_samples)
    if trainer.main:
        print(line)


def _as_kept(recipe: Recipe, changes: dict[str, Any], run: Path) -> Recipe:
    """The recipe of a run that goes on; options that would change it are refused."""
    from geoflow.training.loop import continued

    kept = continued(recipe, run)
    for name, value in changes.items():
        if value != (known := getattr(kept, name)):
            raise UsageError(
                f"--{name} must stay {known:g} in {run}; got {value:g}; leave it out, or use "
                "another --out"
            )
    return kept


@one_line
def recipes() -> None:
    """List the training recipes with their cost and score."""
    from geoflow.recipes import RECIPES

    for make in RECIPES.values():
        r = make()
        print(f"{r.name}\n    {r.summary}")
        print(f"    {r.network}, {r.transport}, {r.steps} steps of {r.batch}")
        for word, text in (("cost", r.cost), ("score", r.score)):
            if text:
                print(f"    {word}: {text}")
