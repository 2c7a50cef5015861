"""`geoflow distribution fit | sample`: the points of a single surface."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from geoflow.cli.errors import (
    Device,
    UsageError,
    check_least,
    check_run,
    note,
    one_line,
    usage,
)
from geoflow.cli.progress import progress_bar
from geoflow.files import check_target

distribution = typer.Typer(
    name="distribution",
    help="Learn the points of one surface, and draw as many as you like.",
    rich_markup_mode=None,
)


class Form(StrEnum):
    edm, x1_fm, u_fm = "EDM", "x1-FM", "u-FM"


@distribution.command()
@one_line
def fit(
    mesh: Annotated[Path, typer.Argument(help="Mesh file, or .npz of vertices and faces.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    minutes: Annotated[
        float, typer.Option(help="About so long; the length of the run is measured.")
    ] = 20.0,
    steps: Annotated[
        int | None, typer.Option(help="Length of the run, in place of --minutes.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Points a step.")] = None,
    width: Annotated[int, typer.Option(help="Of the network.")] = 512,
    depth: Annotated[int, typer.Option(help="Blocks of the network.")] = 6,
    form: Annotated[Form, typer.Option(help="Of the flow map.", case_sensitive=False)] = Form.edm,
    texture: Annotated[bool, typer.Option("--texture", help="Learn colours too.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    seed: Annotated[int, typer.Option(help="Of the whole run.")] = 0,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.auto,
    compile: Annotated[bool, typer.Option(help="Compile the network (GPU).")] = True,
    save_minutes: Annotated[float, typer.Option(help="Between saved states.")] = 2.0,
) -> None:
    """Learn the surface of MESH; draw points of it with geoflow distribution sample."""
    check_least(1, steps=steps, batch=batch, width=width, depth=depth)
    check_least(0, seed=seed)
    if not minutes > 0:
        raise UsageError(f"--minutes must be above 0; got {minutes}")
    check_run(out, resume=resume)
    from geoflow.model.device import pick_device
    from geoflow.surface import model as distributions
    from geoflow.surface.data import read_shape
    from geoflow.training.loop import RunOptions, run_training, within
    from geoflow.training.trainer import Trainer, start_processes

    picked = usage(pick_device, device.value)
    vertices, faces, colours = read_shape(mesh, texture=texture)
    accelerator = start_processes(picked)
    compile = compile and picked.type == "cuda"
    source = distributions.SurfaceSource(vertices, faces, accelerator.device, colours)
    changes: dict[str, Any] = {"batch": batch, "steps": steps}
    plan = distributions.plan(form.value, source, width, depth, changes)
    if resume:
        plan = distributions.check_resumable(out, plan, source)
    elif steps is None:
        note(f"measuring how many steps {minutes:g} minutes hold")
        plan = within(plan, minutes, source, accelerator, compile=compile)
    trainer = Trainer(plan, source, seed, accelerator)
    if resume:
        trainer.resume(out)
    options = RunOptions(save_minutes=save_minutes, compile=compile)
    print(run_training(trainer, out, options))


@distribution.command()
@one_line
def sample(
    run: Annotated[Path, typer.Argument(help="Folder of a run of geoflow distribution fit.")],
    n: Annotated[int, typer.Option("--n", "-n", help="How many points.")] = 1_000_000,
    steps: Annotated[int, typer.Option(help="Network calls for each point.")] = 1,
    out: Annotated[Path, typer.Option("--out", "-o", help=".ply to write.")] = Path("cloud.ply"),
    seed: Annotated[int, typer.Option(help="Point i depends on (seed, i) alone.")] = 0,
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.auto,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Draw points of a learned surface, in its mesh's own frame."""
    begin = time.monotonic()
    check_least(1, n=n, steps=steps)
    check_least(0, seed=seed)
    if out.suffix.lower() != ".ply":
        raise UsageError(f"--out must end in .ply; got {out}")
    check_target(out, overwrite=overwrite)
    from geoflow.model.device import pick_device
    from geoflow.pretrained import load_distribution
    from geoflow.surface import model as distributions

    usage(pick_device, device.value)
    model = load_distribution(run, device.value)
    coloured = model.frame.channels == 6
    with progress_bar("sampling", -(-n // distributions.BLOCK)) as advance:
        blocks = distributions.counted(model.stream(n, steps, seed), advance)
        distributions.write_cloud(out, blocks, n, coloured)
    print(f"{n:,} points, {steps} calls each, in {out}; {time.monotonic() - begin:.1f} s")
