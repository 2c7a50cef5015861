"""Training sets that read what data_prep wrote."""

from __future__ import annotations

from pathlib import Path

import torch

from geoflow.checks import one_of
from geoflow.data.grids import GridSource
from geoflow.data.points import PointSource

SOURCES = {"grids": GridSource, "points": PointSource}


def open_source(kind: str, folder: Path, device: torch.device) -> GridSource | PointSource:
    """The training split of a folder that data_prep/objects.py wrote.

    Args:
        kind: "grids" (signed distances) or "points" (surface points).
        folder: with dataset.json.
        device: where the set is kept.

    Raises:
        ValueError: an unknown kind, or no such data in the folder.
    """
    one_of("kind of data", kind, SOURCES)
    return SOURCES[kind].open(folder, device)
