"""`geoflow train RECIPE`, `geoflow recipes` and `geoflow pack RUN`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path

from geoflow.checks import ArgumentError
from geoflow.cli.choices import Device, Overwrite, Where
from geoflow.cli.errors import note, one_line
from geoflow.cli.options import argument, command, option


@dataclass(frozen=True, kw_only=True)
class Options:
    recipe: str = argument("A recipe; geoflow recipes lists them.")
    data: Path = option(
        MISSING,
        "Folder that a script of data_prep wrote; for a single surface a mesh file, or .npz of "
        "vertices and faces.",
    )
    out: Path = option(MISSING, "Folder of the run.")
    minutes: float | None = option(
        None, "Stop after so many minutes and save; with --fit, the length of the whole run."
    )
    fit: bool = option(
        False,
        "Plan the whole run to take --minutes: steps are measured first, because the learning rate "
        "must fall to zero at its end.",
        "--fit",
    )
    steps: int | None = option(
        None, "Length of the whole run; its stages keep their shares.", least=1
    )
    set: list[str] = option(
        (),
        "Change a value of the recipe, of its stages, times, loss, targets, network, transport or "
        "data, such as batch=64, instant=0.4, width=128; may be repeated.",
        metavar="NAME=VALUE",
    )
    init: Path | None = option(None, "Start from the weights of this checkpoint or run.")
    resume: bool = option(
        False,
        "Continue the run in --out, with the length and values that it was started with; without a "
        "saved state it starts afresh.",
        "--resume",
    )
    seed: int = option(0, "Of the whole run.", least=0)
    device: Where = Device.auto
    compile: bool = option(True, "Compile the network (GPU only).")
    tensorboard: bool = option(False, "Also log to TensorBoard.")
    save_minutes: float = option(2.0, "Minutes between saved states.")
    sample_minutes: float = option(4.0, "Minutes between drawn samples.")

    @property
    def settings(self) -> tuple[str, ...]:
        """All that changes the recipe."""
        return (*self.set, *([] if self.steps is None else [f"steps={self.steps}"]))


@command(Options)
def train(o: Options) -> None:
    """Train a recipe; on many GPUs: accelerate launch -m geoflow train RECIPE ..."""
    if o.minutes is not None and not o.minutes > 0:
        raise ArgumentError(f"--minutes must be above 0; got {o.minutes:g}")
    if o.fit and (o.steps is not None or not o.minutes):
        raise ArgumentError("--fit needs --minutes and no --steps; it chooses the steps")
    from geoflow.recipes import get_recipe

    recipe = get_recipe(o.recipe)
    for name in () if o.resume else ("state.safetensors", "recipe.json", "log.csv", "checkpoint"):
        if (o.out / name).exists():
            raise ValueError(f"{o.out} holds a run; continue it with --resume or use another --out")
    from geoflow.model.checkpoint import checkpoint_folder, load_checkpoint
    from geoflow.model.device import pick_device
    from geoflow.training import loop
    from geoflow.training.recipe import set_fields
    from geoflow.training.trainer import STATE, Trainer, start_processes

    device = pick_device(o.device.value)
    found = o.resume and (o.out / STATE).exists()
    if not found and recipe.needs and o.init is None:
        raise ArgumentError(f"{recipe.name} needs --init, {recipe.needs}")
    settings = loop.settings_of(o.out) if found else o.settings
    _refuse_others(o, settings)
    recipe = set_fields(recipe, settings)
    if found:
        loop.check_same(recipe, o.out)
    accelerator = start_processes(device)
    source = recipe.source.open(o.data, accelerator.device, **recipe.source_arguments)
    compile = o.compile and device.type == "cuda"
    say = note if accelerator.is_main_process else lambda _: None
    if o.resume and not found:
        say(f"{o.out} holds no state to resume; starting afresh")
    if o.fit and found:
        say(f"{o.out} keeps its length, {recipe.steps} steps, whatever --minutes says")
    elif o.fit and o.minutes:
        say(f"measuring how many steps {o.minutes:g} minutes hold")
        recipe = loop.recipe_for_minutes(recipe, o.minutes, source, accelerator, compile=compile)
    trainer = Trainer(recipe, source, o.seed, accelerator)
    try:
        if found:
            trainer.resume(o.out)
        elif o.init is not None:
            trainer.warm_start(*load_checkpoint(checkpoint_folder(o.init, ()))[:2])
    except (LookupError, TypeError, AttributeError) as error:
        damaged = o.out if found else o.init
        raise ValueError(f"{damaged} is damaged ({error!r}); use another") from None
    minutes = None if o.fit else o.minutes
    how = {"compile": compile, "tensorboard": o.tensorboard, "settings": tuple(settings)}
    options = loop.RunOptions(minutes, o.save_minutes, o.sample_minutes, **how)
    line = loop.run_training(trainer, o.out, options, loop.draw_samples)
    if trainer.main:
        print(line)


def _refuse_others(o: Options, kept: Sequence[str]) -> None:
    """Raises ArgumentError where an option would change a run that goes on, begun with `kept`."""
    for setting in o.settings:
        if setting not in kept:
            raise ArgumentError(
                f"--set {setting} must be as the run in {o.out} was started: with "
                f"{', '.join(kept)}; leave it out, or use another --out"
            )


@one_line
def recipes() -> None:
    """List the training recipes with their command, cost and score."""
    from geoflow.recipes import RECIPES

    for make in RECIPES.values():
        r = make()
        print(f"{r.name}\n    {r.summary}\n    {r.command}")
        print(f"    {r.network}, {r.transport}, {r.steps} steps of {r.batch}")
        for word, text in (("cost", r.cost), ("score", r.score)):
            if text:
                print(f"    {word}: {text}")


@dataclass(frozen=True, kw_only=True)
class PackOptions:
    run: Path = argument("A run, or a checkpoint.")
    out: Path = option(MISSING, "Folder of the checkpoint to write.", "--out", "-o")
    dtype: str = option(
        "float16", "Of the stored weights: float32, float16, or int8 with a scale a row."
    )
    average: list[Path] = option(
        (), "Store the mean with the weights of this run too; may be repeated."
    )
    overwrite: Overwrite = False


@command(PackOptions)
def pack(o: PackOptions) -> None:
    """Write the checkpoint of a run as it is bundled: smaller numbers, and means of runs."""
    from geoflow.checks import one_of
    from geoflow.model import checkpoint

    one_of("--dtype", o.dtype, checkpoint.DTYPES)
    if (o.out / "config.json").exists() and not o.overwrite:
        raise ValueError(f"{o.out} holds a checkpoint; give --overwrite, or another --out")
    folders = [checkpoint.checkpoint_folder(run, ()) for run in (o.run, *o.average)]
    config, weights = checkpoint.mean_of([checkpoint.load_checkpoint(f)[:2] for f in folders])
    checkpoint.save_checkpoint(o.out, config, weights, o.dtype)
    size = sum(file.stat().st_size for file in o.out.iterdir()) / 1e6
    print(f"{sum(w.numel() for w in weights.values()):,} numbers, {size:.1f} MB, in {o.out}")
