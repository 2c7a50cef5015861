"""Folders of shapes as sets of points: which files are compared, and how they are read.

Start at `plan`, then `read_set`. Meshes are sampled; a shape's points depend on the seed, the side
and its name alone.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoflow.geometry.mesh import is_closed
from geoflow.io import meshes as export

SUFFIXES = sorted({*export.READ_MESHES, *export.READ_POINTS})
LEAST_POINTS = 16
ALL = "all"
SIDES = ("generated", "reference")


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which files are compared.

    Attributes:
        groups: category -> (generated files, reference files), sorted by name.
        notes: One line for each thing that was left out.
    """

    groups: dict[str, tuple[list[Path], list[Path]]]
    notes: list[str]

    @property
    def shapes(self) -> int:
        """On both sides together."""
        return sum(len(a) + len(b) for a, b in self.groups.values())


@dataclasses.dataclass(frozen=True)
class ShapeSet:
    """(N, P, 3) points, unit normals or None, and whether each is closed (None: no mesh)."""

    points: NDArray[Any]
    normals: list[NDArray[np.float64] | None]
    closed: list[bool | None]


def plan(generated: Path, reference: Path, *, paired: bool, seed: int) -> Plan:
    """Sorts two folders' files into categories, as many on either side.

    Categories count where every file of both folders is named <category>_<number>. Where one side
    has more shapes, `seed` draws from them: 1-NNA's 0.5 needs as many on both. Shapes that are
    `paired` will be matched by name: both folders must have the same. Raises ValueError where a
    folder has no shapes, or two of one name; no category is in both; `paired` and the names differ;
    or not `paired` and a category has fewer than two shapes on a side.
    """
    sides = [_shape_files(folder) for folder in (generated, reference)]
    odd = sorted({path.stem for path in sides[0]} ^ {path.stem for path in sides[1]})
    if paired and odd:
        raise ValueError(
            f"--paired needs shapes of the same names in both folders; {odd[0]} "
            + (f"and {len(odd) - 1} more are" if odd[1:] else "is")
            + " in one only; leave --paired out to match the nearest"
        )
    numbered = all(re.fullmatch(r".+_\d+", path.stem) for side in sides for path in side)
    first, second = (_by_category(side, numbered) for side in sides)
    alone = sorted({*first} ^ {*second})
    notes = [f"category {name} is in one folder only and left out" for name in alone]
    groups = {name: (first[name], second[name]) for name in sorted({*first} & {*second})}
    if not groups:
        raise ValueError(
            f"{generated} and {reference} must share a category; they hold "
            f"{', '.join(sorted(first))} and {', '.join(sorted(second))}"
        )
    for name, pair in groups.items():
        sizes = [len(side) for side in pair]
        count = min(sizes)
        if count < 2 and not paired:
            raise ValueError(
                f"1-NNA needs two shapes or more a side; category {name} has 1 "
                f"{SIDES[sizes[1] < 2]} shape; add shapes, take the category out, or pass --paired"
            )
        if sizes[0] != sizes[1]:
            notes.append(
                f"category {name} has {sizes[0]} generated and {sizes[1]} reference shapes; "
                f"{count} of each are compared, drawn by --seed"
            )
        rng = np.random.default_rng(seed)
        kept = [np.sort(rng.choice(size, count, replace=False)) for size in sizes]
        a, b = ([side[i] for i in keep] for side, keep in zip(pair, kept, strict=True))
        groups[name] = a, b
    return Plan(groups, notes)


def _shape_files(folder: Path) -> list[Path]:
    found = (p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    paths = sorted(found, key=lambda path: (path.stem, path.suffix))
    if not paths:
        raise ValueError(f"{folder} must hold shapes; it has no {' '.join(SUFFIXES)}")
    for one, other in itertools.pairwise(paths):
        if one.stem == other.stem:
            raise ValueError(f"{folder} must hold a shape once; it has {one.name}, {other.name}")
    return paths


def _by_category(paths: list[Path], numbered: bool) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for path in paths:
        groups.setdefault(path.stem.rpartition("_")[0] if numbered else ALL, []).append(path)
    return groups


def read_set(
    paths: Sequence[Path], side: int, count: int, seed: int, progress: Callable[[str], None]
) -> ShapeSet:
    """Reads files as `count` points each: meshes are sampled, larger clouds are drawn from.

    Raises ValueError, which names the file, where one cannot be read or holds too few points, a
    coordinate that is not finite, or a mesh without area.
    """
    shapes = []
    for path in paths:
        rng = np.random.default_rng([seed, side, zlib.crc32(path.stem.encode())])
        try:
            shapes.append(_read_shape(path, count, rng))
        except ValueError as error:
            raise ValueError(f"{path.parent}: {error}") from None
        progress(path.name)
    points, normals, closed = zip(*shapes, strict=True)
    return ShapeSet(np.stack(points), list(normals), list(closed))


def _read_shape(
    path: Path, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, bool | None]:
    """points (count, 3), their normals if known, and whether the mesh is closed (None: a cloud)."""
    points, normals, found = export.sample_file(path, count, rng)
    if found is not None:
        return points, normals, is_closed(*found)
    if len(points) < LEAST_POINTS:
        raise ValueError(
            f"{path.name}: a cloud must have {LEAST_POINTS} points or more; it has {len(points)}"
        )
    if len(points) < count:
        raise ValueError(
            f"{path.name}: a cloud must have --points {count} or more; it has {len(points)}; "
            f"pass --points {len(points)}"
        )
    if not np.ptp(points, axis=0).any():
        raise ValueError(f"{path.name}: a cloud must have an extent; its points are all the same")
    keep = rng.choice(len(points), count, replace=False)
    return points[keep], None if normals is None else normals[keep], None
