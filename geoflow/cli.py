"""The command line: `geoflow generate | reconstruct | joints | render | train | ...`."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geoflow.cli_distribution import distribution
from geoflow.cli_joints import joints
from geoflow.cli_reconstruct import reconstruct
from geoflow.commands import (
    Device,
    MeshFormat,
    OneLineGroup,
    Resolution,
    UsageError,
    check_least,
    check_run,
    note,
    one_line,
    usage,
)
from geoflow.files import check_target
from geoflow.progress import progress_bar

if TYPE_CHECKING:
    from geoflow.recipes import Recipe

app = typer.Typer(
    name="geoflow",
    cls=OneLineGroup,
    help="3D shapes in one or a few network calls.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(distribution)
app.command()(joints)


class Backbone(StrEnum):
    grid, points = "grid", "points"


class Metric(StrEnum):
    cd, emd = "cd", "emd"


class Normalise(StrEnum):
    set, shape, none = "set", "shape", "none"


@app.command()
@one_line
def generate(
    n: Annotated[int, typer.Option("--n", "-n", help="How many shapes.")] = 1,
    steps: Annotated[int, typer.Option(help="Network calls for each shape.")] = 2,
    category: Annotated[
        str, typer.Option(help="A category (geoflow info lists them), or all in turn.")
    ] = "all",
    seed: Annotated[int, typer.Option(help="Shape i depends on (seed, i) alone.")] = 0,
    guidance: Annotated[
        float, typer.Option(help="Above 1 exaggerates the category, at twice the cost.")
    ] = 1.0,
    resolution: Annotated[
        Resolution | None, typer.Option(help="Cells a side of the meshed grid, 128 if not given.")
    ] = None,
    format: Annotated[
        MeshFormat, typer.Option(help="With --backbone points, ply is the cloud itself.")
    ] = MeshFormat.obj,
    out: Annotated[Path, typer.Option(help="Folder for the shapes.")] = Path("outputs"),
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.auto,
    backbone: Annotated[
        Backbone,
        typer.Option(help="grid makes meshes; points makes clouds (ply), or meshes of clouds."),
    ] = Backbone.grid,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="A bundled name (objects or points), or a folder with config.json."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Finish an interrupted run.")] = False,
) -> None:
    """Generate meshes or clouds: DIR/<category>_<index>.<format> and DIR/manifest.json."""
    begin = time.monotonic()
    check_least(1, n=n, steps=steps)
    check_least(0, seed=seed, guidance=guidance)
    if overwrite and resume:
        raise UsageError("--overwrite and --resume exclude each other; give one")
    meshes = backbone == Backbone.grid or format != MeshFormat.ply
    if resolution is not None and not meshes:
        raise UsageError("--resolution is of meshes; leave it out with --backbone points and ply")
    cells = (128 if resolution is None else int(resolution.value)) if meshes else None
    from geoflow.batch import Batch, Order, summary
    from geoflow.pipelines import pick_device

    usage(pick_device, device.value)
    generator = _load_generator(backbone, checkpoint, device.value, meshes=meshes)
    usage(generator.category_of, 0, category)
    order = Order(n, steps, category, seed, guidance, cells, format.value)
    batch = Batch(out, order, generator, resume=resume, overwrite=overwrite)
    if resume and not batch.resumed:
        note(f"{out} holds no manifest to resume; starting afresh")
    try:
        with progress_bar("generating", n, batch.kept) as advance:
            for entry in batch.run():
                advance(entry["file"])
    except KeyboardInterrupt:
        have = len(batch.asked())
        print(f"interrupted: {have} of {n} shapes; finish with --resume", file=sys.stderr)
        raise
    print(summary(batch, time.monotonic() - begin))


def _load_generator(
    backbone: Backbone, checkpoint: str | None, device: str, *, meshes: bool
) -> Any:
    """What makes the shapes: of the backbone points, clouds or surfaces of them."""
    from geoflow.pipelines import load_generator

    if backbone == Backbone.grid:
        return load_generator(checkpoint or "objects", device, "grid")
    clouds = load_generator(checkpoint or "points", device, "points")
    if not meshes:
        return clouds
    from geoflow.cloud_mesher import CloudMesher

    return CloudMesher(clouds, load_generator("objects", device, "grid"))


app.command()(reconstruct)


@app.command()
@one_line
def render(
    folder: Annotated[Path, typer.Argument(help="Folder of meshes or clouds, such as outputs.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="PNG to write.")] = Path("sheet.png"),
    columns: Annotated[int | None, typer.Option(help="Shapes in a row.")] = None,
    limit: Annotated[int, typer.Option(help="Draw at most so many shapes.")] = 100,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the picture.")] = False,
) -> None:
    """Draw a contact sheet of a folder of meshes and .ply clouds."""
    check_least(1, columns=columns, limit=limit)
    if out.suffix.lower() != ".png":
        raise UsageError(f"--out must end in .png; got {out}")
    if not folder.is_dir():
        raise UsageError(f"DIR must be a folder of shapes; {folder} is not one")
    endings = {f".{f.value}" for f in MeshFormat}
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in endings)
    if not paths:
        raise ValueError(f"{folder} holds no .obj, .glb, .stl, .ply or .3mf; generate some first")
    paths = paths[:limit]
    check_target(out, overwrite=overwrite)
    from geoflow.render import render_sheet

    with progress_bar("drawing", len(paths)) as advance:
        render_sheet(
            paths,
            out,
            columns=columns,
            overwrite=overwrite,
            progress=lambda done, total: advance(""),
        )
    print(f"{len(paths)} shapes in {out}")


@app.command()
@one_line
def evaluate(
    generated: Annotated[Path, typer.Argument(help="Folder of meshes or clouds to judge.")],
    reference: Annotated[Path, typer.Argument(help="Folder of those to compare them with.")],
    json: Annotated[
        str | None, typer.Option(help="JSON to write; - for stdout, instead of the table.")
    ] = None,
    metric: Annotated[Metric, typer.Option(help="Chamfer or earth mover's.")] = Metric.cd,
    points: Annotated[int, typer.Option(help="Points a shape.")] = 2048,
    normalise: Annotated[
        Normalise, typer.Option(help="By the reference set, every shape alone, or not.")
    ] = Normalise.set,
    paired: Annotated[
        bool, typer.Option("--paired", help="Match shapes by name, not the nearest.")
    ] = False,
    threshold: Annotated[
        float, typer.Option(help="Of the F-score; 1 is the shape's longest side.")
    ] = 0.02,
    seed: Annotated[int, typer.Option(help="Of the points drawn.")] = 0,
    device: Annotated[Device, typer.Option(help="Where distances are computed.")] = Device.auto,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the JSON.")] = False,
) -> None:
    """Score a folder of shapes against another: 1-NNA, MMD, COV, JSD, F-score and more."""
    check_least(16, points=points)
    check_least(0, seed=seed)
    if not 0 < threshold <= 1:
        raise UsageError(f"--threshold must be above 0 and at most 1; got {threshold}")
    for name, folder in (("GENERATED", generated), ("REFERENCE", reference)):
        if not folder.is_dir():
            raise UsageError(f"{name} must be a folder of shapes; {folder} is not one")
    if json not in (None, "-"):
        check_target(Path(json), overwrite=overwrite)
    from geoflow import evaluate as scoring
    from geoflow.pipelines import pick_device
    from geoflow.shape_sets import plan

    picked = str(usage(pick_device, device.value))
    settings = scoring.Settings(
        metric.value, points, seed, picked, normalise.value, threshold, paired
    )
    chosen = plan(generated, reference, paired=paired, seed=seed)
    for line in chosen.notes:
        note(line)
    with progress_bar("evaluating", 2 * chosen.shapes) as advance:
        scores = scoring.evaluate(chosen, settings, advance)
    print(scoring.output(scores, chosen, settings, (generated, reference), json))


@app.command()
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
    from geoflow.checkpoint import load_checkpoint
    from geoflow.data import open_source
    from geoflow.pipelines import pick_device
    from geoflow.preview import draw_samples
    from geoflow.runstate import STATE
    from geoflow.trainer import Trainer, start_processes
    from geoflow.training import RunOptions, run_training, within

    picked = usage(pick_device, device.value)
    found = resume and (out / STATE).exists()
    if init is not None and instant is None and not found:
        instant = 0.0
    changes: dict[str, Any] = {"steps": steps, "batch": batch, "instant": instant}
    changes = {k: v for k, v in changes.items() if v is not None}
    chosen = _as_kept(chosen, changes, out) if found else dataclasses.replace(chosen, **changes)
    accelerator = start_processes(picked)
    source = open_source(chosen.data, data, accelerator.device)
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
    from geoflow.training import continued

    kept = continued(recipe, run)
    for name, value in changes.items():
        if value != (known := getattr(kept, name)):
            raise UsageError(
                f"--{name} must stay {known:g} in {run}; got {value:g}; leave it out, or use "
                "another --out"
            )
    return kept


@app.command()
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


@app.command()
@one_line
def info() -> None:
    """Show versions, the device, optional parts and the bundled checkpoints."""
    import platform

    import torch

    from geoflow import __version__, joints, pipelines
    from geoflow.checkpoint import load_checkpoint

    print(f"geoflow {__version__}, Python {platform.python_version()}, {platform.platform()}")
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {gpu}")
    for name, use in (
        ("open3d", "faster surfaces, decimation"),
        ("pyvista", "geoflow render"),
        ("pytorch3d", "Chamfer distances on a GPU"),
        ("torch_cluster", "faster neighbours"),
        ("igl", "data preparation"),
        ("gradio", "the app"),
        ("accelerate", "training"),
    ):
        found = importlib.util.find_spec(name) is not None
        version = "not found"
        if found:
            owners = importlib.metadata.packages_distributions().get(name, [name])
            version = importlib.metadata.version(owners[0])
        print(f"{name} {version} ({use})")
    for name in (*pipelines.BUNDLED, *joints.BUNDLED):
        if pipelines.has_checkpoint(name):
            folder = pipelines.checkpoint_folder(name, [name])
            config, weights, digest = load_checkpoint(folder)
            size = sum(w.numel() for w in weights.values()) / 1e6
            print(f"checkpoint {name} {digest[:12]}, {size:.1f} M parameters")
            print(f"    {', '.join(config['data']['categories'])}")


def main() -> None:
    """Entry point of the `geoflow` command."""
    app(sys.argv[1:] or ["--help"], prog_name="geoflow")
