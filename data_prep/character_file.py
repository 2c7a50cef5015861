"""Makes a file of characters one by one: Ctrl-C keeps what is done, the same command goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from geoflow.commands import note
from geoflow.data.rigs import Character, read_characters, write_characters
from geoflow.progress import progress_bar

KEEP_EVERY = 500


def make_characters(out: Path, count: int, draw: Callable[[int], Character]) -> None:
    """Writes `count` characters to OUT, which appears whole or not at all.

    Until then OUT.part.npz has those made so far: all of them after Ctrl-C or an error.

    Args:
        out: npz to write.
        count: how many.
        draw: makes number k, which must depend on nothing but k.

    Raises:
        ValueError: OUT.part.npz is damaged, or was not made by this `draw`.
    """
    part = out.with_name(out.name + ".part.npz")
    made = _begun(part, draw)[:count] if part.exists() else []
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


def _begun(part: Path, draw: Callable[[int], Character]) -> list[Character]:
    """The characters of an interrupted run, if its first one comes out the same again."""
    made, first = read_characters(part), draw(0)
    same = (made[0].name, made[0].points.shape) == (first.name, first.points.shape)
    if not (same and np.array_equal(made[0].joints, first.joints)):
        raise ValueError(
            f"{part} must be of the same command to go on; its {made[0].name} comes out otherwise "
            "now; delete it, or repeat the command that it is from"
        )
    return made
