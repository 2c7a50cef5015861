"""`geoflow reconstruct`: a cloud of points to a closed mesh."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geoflow.checks import one_of
from geoflow.cli.errors import (
    Device,
    MeshFormat,
    Resolution,
    UsageError,
    check_least,
    note,
    one_line,
    usage,
)
from geoflow.cli.progress import progress_bar
from geoflow.files import check_target

if TYPE_CHECKING:
    from geoflow.geometry.mesh import SurfaceMesh
    from geoflow.shapes.model import ObjectGenerator
    from geoflow.shapes.reconstruct import Scan

LARGE = 10 << 20  # bytes of a file that takes seconds to read


class Up(StrEnum):
    y, z = "y", "z"


@one_line
def reconstruct(
    cloud: Annotated[Path, typer.Argument(help=".ply, .xyz or .obj of points, or a mesh file.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="Mesh to write: obj or ply in the cloud's frame; glb is turned y up, stl and 3mf "
            "z up in millimetres.",
        ),
    ] = Path("mesh.obj"),
    steps: Annotated[int, typer.Option(help="Network calls.")] = 1,
    category: Annotated[
        str | None,
        typer.Option(help="What the cloud is of, if you know (geoflow info lists them)."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the guess where the cloud says nothing.")] = 0,
    resolution: Annotated[
        Resolution, typer.Option(help="Cells a side of the meshed grid.")
    ] = Resolution.r128,
    up: Annotated[
        Up | None, typer.Option(help="Axis that points up in the cloud, y if not given.")
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(help="A bundled name, or a folder with config.json.")
    ] = "objects",
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.auto,
    render: Annotated[
        Path | None, typer.Option(help="PNG of the cloud beside the mesh, to write too.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.")] = False,
) -> None:
    """Make a closed mesh of a sparse cloud, in the cloud's own frame and unit (see --out)."""
    begin = time.monotonic()
    check_least(1, steps=steps)
    check_least(0, seed=seed)
    _check_files(cloud, out, render, overwrite)
    from geoflow.io.meshes import Z_UP, check_digits

    if up is not None and cloud.suffix.lower() in Z_UP:
        raise UsageError(f"--up is known for {cloud.suffix}, which is z up; leave it out")
    from geoflow.model.device import pick_device
    from geoflow.shapes.reconstruct import reconstruct as make

    usage(pick_device, device.value)
    scan, given = _read(cloud, (up or Up.y).value)
    check_digits(out.suffix.lower(), scan.frame)
    generator = _load(checkpoint, device.value, category)
    if render is not None:
        from geoflow.render.sheet import require_rendering

        require_rendering()
    with progress_bar("reconstructing", steps + 1) as advance:

        def count(call: int, _: Any) -> None:
            if call:
                advance("")

        mesh = make(
            generator,
            scan,
            steps=steps,
            category=category,
            seed=seed,
            resolution=int(resolution.value),
            on_step=count,
        )
        _write(out, mesh, scan.frame.up, overwrite)
        if render is not None:
            _draw(render, mesh, scan, overwrite)
        advance(out.name)
    print(
        f"{len(scan.points):,} of {given:,} points, {len(mesh.vertices):,} vertices, "
        f"{len(mesh.faces):,} faces, {'closed' if mesh.watertight else 'not closed'}, in {out}; "
        f"{time.monotonic() - begin:.1f} s"
    )


def _check_files(cloud: Path, out: Path, render: Path | None, overwrite: bool) -> None:
    """Whether the cloud is there, and the files may be written; before torch is imported."""
    endings = [f".{f.value}" for f in MeshFormat]
    if out.suffix.lower() not in endings:
        raise UsageError(f"--out must end in one of {' '.join(endings)}; got {out}")
    if render is not None and render.suffix.lower() != ".png":
        raise UsageError(f"--render must end in .png; got {render}")
    if not cloud.is_file():
        raise ValueError(f"the cloud {str(cloud)!r} must be an existing file; it is not")
    if out.exists() and out.samefile(cloud):
        raise UsageError(f"--out must not be the cloud itself; got {out}; name another file")
    for path in (out, render):
        if path is not None:
            check_target(path, overwrite=overwrite)


def _load(checkpoint: str, device: str, category: str | None) -> ObjectGenerator:
    """The generator, if it reads clouds and knows the category."""
    from geoflow.pretrained import load_generator

    generator = load_generator(checkpoint, device, "grid")
    if not generator.reads_clouds:
        raise ValueError(
            f"--checkpoint must be one that reads clouds; {checkpoint!r} does not; give one that "
            "geoflow train objects-surface made"
        )
    if category is not None:
        usage(one_of, "--category", category, generator.categories)
    return generator


def _read(cloud: Path, up: str) -> tuple[Scan, int]:
    """What the network reads of the file, and how many points there were."""
    from geoflow.io.meshes import Z_UP, read_cloud
    from geoflow.shapes.reconstruct import READ, read_scan

    if cloud.stat().st_size > LARGE:
        note(f"reading {cloud}, {cloud.stat().st_size >> 20} MB")
    points, faces = read_cloud(cloud, READ)
    if faces:
        turned = ", turned y up, in metres" if cloud.suffix.lower() in Z_UP else ""
        note(f"{cloud.name} is a mesh: {READ:,} points are drawn from its {faces:,} faces{turned}")
    try:
        return read_scan(points, up), len(points)
    except ValueError as error:
        raise ValueError(f"{cloud.name}: {error}") from None


def _write(out: Path, mesh: SurfaceMesh, up: str, overwrite: bool) -> None:
    """A mesh in the cloud's frame to a file; tells of a format that has a frame of its own."""
    from geoflow.io.meshes import Z_UP, write_mesh

    if out.suffix.lower() in Z_UP:
        note(f"{out.suffix} is z up in millimetres: the cloud's unit is taken for a metre")
    elif out.suffix.lower() == ".glb" and up == "z":
        note(".glb is y up, facing +z: the mesh is turned")
    write_mesh(out, mesh.vertices, mesh.faces, mesh.normals, up=up, overwrite=overwrite)


def _draw(picture: Path, mesh: SurfaceMesh, scan: Scan, overwrite: bool) -> None:
    """The cloud and the mesh side by side, upright."""
    from geoflow.geometry.mesh import describe
    from geoflow.render.sheet import render_sheet

    upright = describe(scan.frame.into_cube(mesh.vertices), mesh.faces)
    render_sheet(
        [scan.points.double().numpy(), upright],
        picture,
        columns=2,
        labels=[f"{len(scan.points):,} points", "mesh"],
        size=512,
        overwrite=overwrite,
    )
