"""`geoflow reconstruct`: a cloud of points to a closed mesh."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoflow.checks import ArgumentError
from geoflow.cli.choices import Checkpoint, Device, Overwrite, Resolution, Steps, Up, Where
from geoflow.cli.errors import check_apart, check_output, note
from geoflow.cli.options import argument, command, option
from geoflow.cli.progress import progress_bar
from geoflow.files import check_target

if TYPE_CHECKING:
    from geoflow.geometry.mesh import SurfaceMesh
    from geoflow.shapes.model import ObjectGenerator
    from geoflow.shapes.reconstruct import Scan

LARGE = 10 << 20  # bytes of a file that takes seconds to read


@dataclass(frozen=True, kw_only=True)
class Options:
    cloud: Path = argument(".ply, .xyz or .obj of points, or a mesh file.")
    out: Path = option(
        Path("mesh.obj"),
        "Mesh to write: obj or ply in the cloud's frame; glb is turned y up, stl and 3mf z up in "
        "millimetres.",
        "--out",
        "-o",
    )
    steps: Steps = 1
    category: str | None = option(
        None, "What the cloud is of, if you know (geoflow info lists them); not told if not given."
    )
    seed: int = option(
        0, "Where the cloud says nothing, another seed gives another guess.", least=0
    )
    resolution: Resolution = option(Resolution.r128, "Cells a side of the grid that is meshed.")
    up: Up | None = option(
        None, "Axis that points up in the cloud, y if not given; stl and 3mf are always z up."
    )
    checkpoint: Checkpoint = "objects"
    device: Where = Device.auto
    render: Path | None = option(None, "PNG to draw too: the cloud beside the mesh.")
    overwrite: Overwrite = False


@command(Options)
def reconstruct(o: Options) -> None:
    """Make a closed mesh of a sparse cloud, in the cloud's own frame and unit (see --out)."""
    begin = time.monotonic()
    _check(o)
    from geoflow.io.arrays import check_digits
    from geoflow.shapes.reconstruct import reconstruct as make

    scan, given = _read(o.cloud, (o.up or Up.y).value)
    check_digits(o.out.suffix.lower(), scan.frame)
    generator, category = _load(o)
    if o.render is not None:
        from geoflow.render.studio import require_rendering

        require_rendering()
    how: dict[str, Any] = {"steps": o.steps, "seed": o.seed, "resolution": int(o.resolution.value)}
    with progress_bar("reconstructing", o.steps + 1) as advance:

        def count(call: int, _: Any) -> None:
            if call:
                advance("")

        mesh = make(generator, scan, category=category, on_step=count, **how)
        _write(o.out, mesh, scan.frame.up, o.overwrite)
        if o.render is not None:
            _draw(o.render, mesh, scan, o.overwrite)
        advance(o.out.name)
    print(
        f"{len(scan.points):,} of {given:,} points, {len(mesh.vertices):,} vertices, "
        f"{len(mesh.faces):,} faces, {'closed' if mesh.watertight else 'not closed'}, in {o.out}; "
        f"{time.monotonic() - begin:.1f} s"
    )


def _check(o: Options) -> None:
    """Whether the cloud is there, and the files may be written; before torch is imported."""
    from geoflow.io.meshes import WRITTEN, Z_UP

    if o.out.suffix.lower() not in WRITTEN:
        raise ArgumentError(f"--out must end in one of {' '.join(WRITTEN)}; got {o.out}")
    if not o.cloud.is_file():
        raise ValueError(f"the cloud {str(o.cloud)!r} must be an existing file; it is not")
    check_apart(o.out, o.cloud, "cloud")
    check_target(o.out, overwrite=o.overwrite)
    check_output(o.render, [".png"], o.overwrite, "--render")
    if o.up is not None and o.cloud.suffix.lower() in Z_UP:
        raise ArgumentError(f"--up is known for {o.cloud.suffix}, which is z up; leave it out")


def _load(o: Options) -> tuple[ObjectGenerator, str | None]:
    """The generator, if it reads clouds, and the category as it spells it."""
    from geoflow.model.maker import category_among
    from geoflow.pretrained import config_of, load
    from geoflow.shapes.model import ObjectGenerator

    kinds, category = (ObjectGenerator,), o.category
    if category is not None:
        known = ObjectGenerator.categories_of(config_of(o.checkpoint, kinds))
        category = category_among(known, category)
    generator = load(o.checkpoint, o.device.value, kinds)
    if not generator.reads_clouds:
        raise ValueError(
            f"--checkpoint must be one that reads clouds; {o.checkpoint!r} does not; give one that "
            "geoflow train objects-surface made"
        )
    return generator, category


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
    items = [scan.points.double().numpy(), upright]
    labels = [f"{len(scan.points):,} points", "mesh"]
    render_sheet(items, picture, columns=2, labels=labels, size=512, overwrite=overwrite)
