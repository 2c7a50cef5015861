"""Makes a file of characters one by one: Ctrl-C keeps what is done, the same command goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from geoflow.commands import check_least, note, usage
from geoflow.data.rigs import Character, read_characters, write_characters
from geoflow.files import check_target
from geoflow.progress import progress_bar

KEEP_EVERY = 500


def check_request(out: Path, meshes: Path | None, *, count: int, seed: int, points: int) -> None:
    """Fails at once where a command cannot be carried out; makes the folder for meshes."""
    check_least(1, count=count)
    check_least(0, seed=seed)
    check_least(64, points=points)
    usage(lambda: check_target(out, overwrite=True))
    if meshes is not None:
        meshes.mkdir(parents=True, exist_ok=True)


def make_characters(out: Path, count: int, draw: Callable[[int], Character]) -> None:
    """Writes `count` characters to OUT, which appears whole or not at all.

    Until then OUT.part has those made so far: all of them after Ctrl-C or an error.

    Args:
        out: npz to write.
        count: how many.
        draw: makes number k, which must depend on nothing but k.

    Raises:
        ValueError: OUT.part is damaged, was not made by this `draw`, or holds more than `count`.
    """
    part = out.with_name(out.name + ".part")  # no .npz: a folder of sets is read whole
    made = _begun(part, count, draw) if part.exists() else []
    if made:
        note(f"goes on after the {len(made)} in {part}; delete it to start anew")
    try:
        with progress_bar("characters", count, len(made)) as advance:
            for k in range(len(made), count):
                made.append(draw(k))
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


def _begun(part: Path, count: int, draw: Callable[[int], Character]) -> list[Character]:
    """The characters of an interrupted run, if its first one comes out the same again."""
    made, first = read_characters(part), draw(0)
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
