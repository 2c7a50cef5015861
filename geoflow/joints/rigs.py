"""Rigged characters on disk: one npz for any number of them, read without pickle.

It holds the attributes of `Character`, those of points stacked, (C, N, 3), and those of joints one
character after the other: `joint_offset` (C + 1,) says where each begins.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geoflow.files import write_atomically
from geoflow.joints.tree import check_tree

PER_JOINT = {"joints": "f4", "parents": "i2", "joint_names": "U", "feature_size": "f4"}
KEYS = ("name", "category", "points", "normals", "joint_offset", *PER_JOINT)


@dataclass(frozen=True)
class Character:
    """One rigged character, y up, facing +z, longest side 1.8, box centred.

    Attributes:
        name: "<pack>/<name>".
        category: what it is, such as "body" or "creature".
        points: (N, 3) float32 samples of the surface seen from outside; stored as float16.
        normals: (N, 3) float32 outward unit normals; stored as int8, times 127.
        joints: (J, 3) float32.
        parents: (J,) int64 index inside the character, -1 for a root; stored as int16.
        joint_names: J names, as in the source.
        feature_size: (J,) float32 local shape diameter, twice RigNet's matching tolerance.
    """

    name: str
    category: str
    points: np.ndarray
    normals: np.ndarray
    joints: np.ndarray
    parents: np.ndarray
    joint_names: tuple[str, ...]
    feature_size: np.ndarray

    @property
    def pack(self) -> str:
        """The part of the name before the slash: splits keep a pack together."""
        return self.name.split("/")[0]


def write_characters(path: str | Path, characters: Sequence[Character]) -> None:
    """Writes a set atomically; every character must have the same number of points.

    Raises:
        ValueError: no characters, numbers of points that differ, or a broken tree.
    """
    if not characters:
        raise ValueError("a set must hold at least one character; got none")
    counts = {len(c.points) for c in characters}
    if len(counts) > 1:
        raise ValueError(f"characters of a set must have one number of points; got {counts}")
    for c in characters:
        check_tree(c.parents, f"{c.name}: parents")
    offset = np.cumsum([0, *(len(c.joints) for c in characters)])
    table: dict[str, Any] = {
        "name": np.array([c.name for c in characters]),
        "category": np.array([c.category for c in characters]),
        "points": np.stack([c.points for c in characters]).astype(np.float16),
        "normals": np.rint(127 * np.stack([c.normals for c in characters])).astype(np.int8),
        "joint_offset": offset.astype(np.int32),
    }
    for key, kind in PER_JOINT.items():
        table[key] = np.concatenate([getattr(c, key) for c in characters]).astype(kind)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **table)
    write_atomically(Path(path), buffer.getvalue())


def read_characters(path: str | Path) -> list[Character]:
    """Reads a set; raises ValueError, one line, where it is missing, damaged or something else."""
    path = Path(path)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            table = {key: stored[key] for key in KEYS}
    except OSError as error:
        raise ValueError(f"{path} must be a readable file of characters: {error}") from None
    except (ValueError, TypeError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise ValueError(
            f"{path} must be an npz of characters; {error}; make it with data_prep/characters.py"
        ) from None
    if not _fits(table):
        raise ValueError(f"{path} is damaged: its arrays do not fit together; copy it again")
    characters = [_character(table, i) for i in range(len(table["name"]))]
    for c in characters:
        check_tree(c.parents, f"{path}: {c.name}: parents")
    return characters


def _character(table: dict[str, np.ndarray], i: int) -> Character:
    """One of a stored set."""
    name, category = str(table["name"][i]), str(table["category"][i])
    points, normals = (table[key][i].astype(np.float32) for key in ("points", "normals"))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1)
    begin, end = table["joint_offset"][i : i + 2]
    joints, parents, words, size = (table[key][begin:end] for key in PER_JOINT)
    names = tuple(map(str, words))
    return Character(name, category, points, normals, joints, parents.astype(np.int64), names, size)


def _fits(table: dict[str, np.ndarray]) -> bool:
    count, offset = len(table["name"]), table["joint_offset"]
    points, joints = table["points"], table["joints"]
    return bool(
        points.ndim == 3
        and points.shape[2] == 3
        and points.shape == table["normals"].shape
        and len(points) == len(table["category"]) == count > 0
        and offset.shape == (count + 1,)
        and (np.diff(offset) > 0).all()
        and offset[0] == 0
        and joints.shape == (offset[-1], 3)
        and all(len(table[key]) == offset[-1] for key in PER_JOINT)
        and all(np.isfinite(table[key]).all() for key in ("points", "joints", "feature_size"))
    )
