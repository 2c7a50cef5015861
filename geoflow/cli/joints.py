"""`geoflow joints MESH -o RIG.glb`: a skeleton for a character's mesh."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from geoflow.cli.choices import Checkpoint, Device, Overwrite, Steps, Up, Where
from geoflow.cli.errors import check_apart, check_output, note
from geoflow.cli.options import argument, command, option


class RigFormat(StrEnum):
    glb, rignet_txt, json = "glb", "rignet-txt", "json"


class Kind(StrEnum):
    any, body, creature = "any", "body", "creature"


SUFFIXES = {RigFormat.glb: ".glb", RigFormat.rignet_txt: ".txt", RigFormat.json: ".json"}
FEW_JOINTS = 4


@dataclass(frozen=True, kw_only=True)
class Options:
    mesh: Path = argument("Mesh of a character, upright and facing its front.")
    out: Path = option(
        Path("rig.glb"),
        ".glb (mesh, skeleton, weights), .txt (RigNet's text) or .json (skeleton alone).",
        "--out",
        "-o",
    )
    steps: Steps = 2
    format: RigFormat | None = option(
        None, "Must fit the suffix of --out, which decides if not given."
    )
    up: Up = option(Up.y, "y for a character that faces +z, z for one that faces -y (Blender).")
    category: Kind = option(
        Kind.any,
        "body: the 22 joints of a human; creature: any rig; any: the network decides.",
        case_sensitive=False,
    )
    render: Path | None = option(None, "PNG to draw: skeleton from two sides, and a pose.")
    seed: int = option(0, "Of the surface points and the noise.", least=0)
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
    check_output(o.out, wanted, o.overwrite, of=f" for {o.format.value}" if o.format else "")
    check_output(o.render, [".png"], o.overwrite, "--render")
    check_apart(o.out, o.mesh, "mesh")
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
