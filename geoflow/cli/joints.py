"""`geoflow joints MESH -o RIG.glb`: a skeleton for a character's mesh."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from geoflow.cli.errors import Device, UsageError, check_least, note, one_line, usage
from geoflow.files import check_target


class RigFormat(StrEnum):
    glb, rignet_txt, json = "glb", "rignet-txt", "json"


class Up(StrEnum):
    y, z = "y", "z"


class Kind(StrEnum):
    any, body, creature = "any", "body", "creature"


SUFFIXES = {RigFormat.glb: ".glb", RigFormat.rignet_txt: ".txt", RigFormat.json: ".json"}
FEW_JOINTS = 4


@one_line
def joints(
    mesh: Annotated[Path, typer.Argument(help="Mesh of a character, facing its front.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path("rig.glb"),
    steps: Annotated[int, typer.Option(help="Network calls.")] = 2,
    format: Annotated[
        RigFormat | None, typer.Option(help="File format; default: by the suffix of --out.")
    ] = None,
    up: Annotated[Up, typer.Option(help="Up axis of the mesh: y faces +z, z faces -y.")] = Up.y,
    category: Annotated[
        Kind, typer.Option(help="body: the 22 joints of a human; creature: any rig.")
    ] = Kind.any,
    render: Annotated[
        Path | None, typer.Option(help="PNG to draw: skeleton from two sides, and a pose.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of surface points and noise.")] = 0,
    checkpoint: Annotated[
        str, typer.Option(help="A bundled name, or a folder with config.json.")
    ] = "characters",
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.auto,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.")] = False,
) -> None:
    """Find a character's joints and skinning weights; results are in the mesh's own frame.

    Left is the character's own left: +x for a mesh that faces +z.
    """
    begin = time.monotonic()
    check_least(1, steps=steps)
    check_least(0, seed=seed)
    _check_suffix(out, format)
    check_target(out, overwrite=overwrite)
    if render is not None:
        if render.suffix.lower() != ".png":
            raise UsageError(f"--render must end in .png; got {render}")
        check_target(render, overwrite=overwrite)
    from geoflow.io.meshes import read_mesh
    from geoflow.joints.rig import rig_mesh, write_rig
    from geoflow.model.device import pick_device
    from geoflow.pretrained import load_joint_predictor

    usage(pick_device, device.value)
    vertices, faces = read_mesh(mesh)
    predictor = load_joint_predictor(checkpoint, device.value)
    rig = rig_mesh(
        predictor, vertices, faces, up=up.value, steps=steps, category=category.value, seed=seed
    )
    if len(rig.joints) < FEW_JOINTS:
        note(f"{len(rig.joints)} joints found; is {mesh.name} a character, upright (--up)?")
    write_rig(out, rig, overwrite=overwrite)
    if render is not None:
        from geoflow.joints.picture import render_rig

        render_rig(render, rig, overwrite=overwrite)
    seconds = time.monotonic() - begin
    print(f"{len(rig.joints)} joints, {len(faces):,} faces, in {out}; {seconds:.1f} s")


def _check_suffix(out: Path, format: RigFormat | None) -> None:
    wanted = list(SUFFIXES.values()) if format is None else [SUFFIXES[format]]
    if out.suffix.lower() not in wanted:
        kind = f" for {format.value}" if format else ""
        raise UsageError(f"--out must end in {' '.join(wanted)}{kind}; got {out}")
