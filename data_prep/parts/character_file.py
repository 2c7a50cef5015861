"""Makes a file of characters one by one, and their meshes; Ctrl-C keeps what is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Protocol

import numpy as np
import typer

from geoflow import write_mesh
from geoflow.checks import ArgumentError
from geoflow.cli import note, progress_bar
from geoflow.files import check_target
from geoflow.joints import Character, joint_diameters, read_characters, write_characters

KEEP_EVERY = 500
# Arguments of the scripts.
Out = Annotated[Path, typer.Argument(help="File to write.")]
Count = Annotated[int, typer.Option(min=1, help="How many.")]
Seed = Annotated[int, typer.Option(min=0, help="Number k depends on (seed, k).")]
Points = Annotated[int, typer.Option(min=64, help="Surface points of each.")]
Meshes = Annotated[Path | None, typer.Option(help="Folder for a .glb of each, replaced.")]


class Mesh(Protocol):
    """Whatever has vertices (V, 3) and faces (F, 3)."""

    vertices: np.ndarray
    faces: np.ndarray


Draw = Callable[[int], tuple[Character, Mesh]]
"""Makes number k, which must depend on nothing but k."""


def to_character(
    name: str,
    category: str,
    surface: tuple[np.ndarray, np.ndarray],
    joints: np.ndarray,
    parents: np.ndarray,
    names: tuple[str, ...],
) -> Character:
    """Points and normals (N, 3) with a skeleton (J, 3) in one frame, as they are stored."""
    points, normals, at = (array.astype(np.float32) for array in (*surface, joints))
    sizes = joint_diameters(joints, parents, surface[0])
    return Character(name, category, points, normals, at, parents, names, sizes)


def check_request(out: Path, meshes: Path | None) -> None:
    """Fails at once where a command cannot be carried out; makes the folder for meshes."""
    try:
        check_target(out, overwrite=True)
    except ValueError as error:
        raise ArgumentError(str(error)) from None
    if meshes is not None:
        meshes.mkdir(parents=True, exist_ok=True)


def make_characters(out: Path, count: int, draw: Draw, meshes: Path | None = None) -> None:
    """Writes `count` characters to OUT, which appears whole or not at all.

    Until then OUT.part has those made so far: all of them after Ctrl-C or an error.

    Args:
        out: npz to write.
        count: how many.
        draw: see `Draw`.
        meshes: folder for a .glb of each, also of those that an interrupted run made without.

    Raises:
        ValueError: OUT.part is damaged, was not made by this `draw`, or holds more than `count`.
    """
    part = out.with_name(out.name + ".part")  # no .npz: a folder of sets is read whole
    made = _begun(part, count, draw) if part.exists() else []

    def draw_and_write(k: int) -> Character:
        character, mesh = draw(k)
        if meshes is not None:
            path = _mesh_path(meshes, character)
            write_mesh(path, mesh.vertices, mesh.faces, overwrite=True)
        return character

    if made:
        note(f"goes on after the {len(made)} in {part}; delete it to start anew")
    try:
        if meshes is not None:
            lacking = [k for k, c in enumerate(made) if not _mesh_path(meshes, c).is_file()]
            if lacking:
                note(f"makes {len(lacking)} of them again, whose meshes {meshes} lacks")
            for k in lacking:
                draw_and_write(k)
        with progress_bar("characters", count, len(made)) as advance:
            for k in range(len(made), count):
                made.append(draw_and_write(k))
                advance(made[-1].name.split("/")[-1])
                if len(made) % KEEP_EVERY == 0 and len(made) < count:
                    write_characters(part, made)
        write_characters(out, made)
    except BaseException:
        if made:
            write_characters(part, made)
            note(f"stopped; {len(made)} of {count} are kept in {part}; the same command goes on")
        raise
    part.unlink(missing_ok=True)
    note(f"{out}: {count} characters, {out.stat().st_size / 2**20:.1f} MiB")


def _mesh_path(folder: Path, character: Character) -> Path:
    return folder / f"{character.name.replace('/', '_')}.glb"


def _begun(part: Path, count: int, draw: Draw) -> list[Character]:
    """The characters of an interrupted run, if its first one comes out the same again."""
    made, (first, _) = read_characters(part), draw(0)
    if len(made) > count:
        raise ValueError(
            f"--count must be at least {len(made)} to go on, as many as {part} holds; got {count}; "
            "ask for more, or delete it"
        )
    kept = made[0]
    same = (kept.name, kept.points.shape, kept.joints.shape) == (
        first.name,
        first.points.shape,
        first.joints.shape,
    )
    if not (same and np.allclose(kept.joints, first.joints, atol=1e-4)):
        raise ValueError(
            f"{part} must be of the same command to go on; its {kept.name} comes out otherwise "
            "now; delete it, or repeat the command that it is from"
        )
    return made
