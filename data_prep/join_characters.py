"""Joins files of characters into one small training file.

    python data_prep/join_characters.py FILE... --out OUT.npz --points 1280

Keeps a random part of every character's points, so that 3,000 bodies fit into about 35 MB, and
leaves out packs by name (--without). Needs numpy and typer.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from geoflow.cli import script
from geoflow.joints import Character, read_characters, write_characters


def thin(character: Character, count: int, rng: np.random.Generator) -> Character:
    """The character with `count` of its points, drawn without replacement.

    Raises:
        ValueError: it has fewer.
    """
    have = len(character.points)
    if count > have:
        raise ValueError(f"{character.name} must have at least {count} points; it has {have}")
    keep = rng.choice(have, size=count, replace=False)
    return replace(character, points=character.points[keep], normals=character.normals[keep])


def main(
    files: Annotated[list[Path], typer.Argument(help="Files of characters.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    points: Annotated[int, typer.Option(help="Points kept of a character.", min=1)] = 1280,
    without: Annotated[list[str] | None, typer.Option(help="A pack to leave out.")] = None,
) -> None:
    """Write the characters of FILES to OUT with fewer points each."""
    rng = np.random.default_rng(0)
    every = [c for file in files for c in read_characters(file)]
    kept = [thin(c, points, rng) for c in every if c.pack not in (without or [])]
    write_characters(out, kept)
    print(f"{out}: {len(kept)} characters, {out.stat().st_size / 2**20:.1f} MiB")


app = script(main)

if __name__ == "__main__":
    app()
