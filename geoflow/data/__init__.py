"""Training sets that read what data_prep wrote."""

from __future__ import annotations

from pathlib import Path

import torch

from geoflow.checks import one_of
from geoflow.data.characters import CharacterSource
from geoflow.data.grids import GridSource
from geoflow.data.points import PointSource
from geoflow.data.scans import ScanSource

SOURCES = {
    "grids": GridSource,
    "points": PointSource,
    "scans": ScanSource,
    "characters": CharacterSource,
}


def open_source(
    kind: str, folder: Path, device: torch.device
) -> GridSource | PointSource | CharacterSource:
    """The training split of a folder that a script of data_prep wrote.

    Args:
        kind: "grids" (signed distances), "points" (surface points), "scans" (grids with sparse
            clouds as conditions) or "characters" (rigs).
        folder: with dataset.json, or with npz files of characters.
        device: where the set is kept.

    Raises:
        ValueError: an unknown kind, or no such data in the folder.
    """
    one_of("kind of data", kind, SOURCES)
    return SOURCES[kind].open(folder, device)
