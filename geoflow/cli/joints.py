"""`geoflow joints MESH -o RIG.glb`: a skeleton for a character's mesh."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from geoflow.cli.errors import UsageError, check_picture, note
from geoflow.cli.options import (
    Checkpoint,
    Device,
    Overwrite,
    Steps,
    Up,
    Where,
    command,
    seed_option,
)
from geoflow.files import check_target


class RigFormat(StrEnum):
    glb, rignet_txt, json = "glb", "rignet-txt", "json"


class Kind(StrEnum):
    any, body, creature = "any", "body", "creature"


SUFFIXES = {RigFormat.glb: ".glb", RigFormat.rignet_txt: ".txt", RigFormat.json: ".json"}
FEW_JOINTS = 4
OUT_HELP = ".glb (mesh, skeleton, weights), .txt (RigNet's text) or .json (skeleton alone)."
CATEGORY_HELP = "body: the 22 joints of a human; creature: any rig; any: the network decides."


@dataclass(frozen=True, kw_only=True)
class Options:
    """Of `geoflow joints`."""

    mesh: Annotated[Path, typer.Argument(help="Mesh of a character, upright and facing its front.")]
    out: Annotated[Path, typer.Option("--out", "-o", help=OUT_HELP)] = Path("rig.glb")
    steps: Steps = 2
    format: Annotated[
        RigFormat | None,
        typer.Option(help="Must fit the suffix of --out, which decides if not given."),
    ] = None
    up: Annotated[
        Up, typer.Option(help="y for a character that faces +z, z for one that faces -y (Blender).")
    ] = Up.y
    category: Annotated[Kind, typer.Option(help=CATEGORY_HELP, case_sensitive=False)] = Kind.any
    render: Annotated[
        Path | None, typer.Option(help="PNG to draw: skeleton from two sides, and a pose.")
    ] = None
    seed: seed_option("Of the surface points and the noise.") = 0  # pyright: ignore[reportInvalidTypeForm]
    checkpoint: Checkpoint = "characters"
    device: Where = Device.auto
    overwrite: Overwrite = False


@command(Options)
def joints(o: Options) -> None:
    """Find a character's joints and skinning weights; results are in the mesh's own frame.

    Left is the character's own left: +x for a mesh that faces +z.
    """
    begin = time.monotonic()
    wanted = list(SUFFIXES.values()) if o.format is None else [SUFFIXES[o.format]]
    if o.out.suffix.lower() not in wanted:
        kind = f" for {o.format.value}" if o.format else ""
        raise UsageError(f"--out must end in {' '.join(wanted)}{kind}; got {o.out}")
    check_target(o.out, overwrite=o.overwrite)
    check_picture(o.render, overwrite=o.overwrite)
    from geoflow.io.meshes import read_mesh
    from geoflow.joints import rig_mesh, write_rig
    from geoflow.pretrained import load_joint_predictor

    if o.render is not None:
        from geoflow.render.studio import require_rendering

        require_rendering()
    vertices, faces = read_mesh(o.mesh)
    predictor = load_joint_predictor(o.checkpoint, o.device.value)
    how = {"up": o.up.value, "steps": o.steps, "category": o.category.value, "seed": o.seed}
    rig = rig_mesh(predictor, vertices, faces, **how)
    if len(rig.joints) < FEW_JOINTS:
        note(f"{len(rig.joints)} joints found; is {o.mesh.name} a character, upright (--up)?")
    write_rig(o.out, rig, overwrite=o.overwrite)
    if o.render is not None:
        from geoflow.joints.picture import render_rig

        render_rig(o.render, rig, overwrite=o.overwrite)
    seconds = time.monotonic() - begin
    print(f"{len(rig.joints)} joints, {len(faces):,} faces, in {o.out}; {seconds:.1f} s")
