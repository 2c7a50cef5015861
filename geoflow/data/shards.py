"""The training format: shards of 128 shapes, as sparse distance grids and surface points.

A data set is a folder (names in angle brackets vary):

    dataset.json          format, version, resolutions, truncation, points, categories,
                          shards [{name, count}]
    <NNNNN>.json          per shape: name, category, scale
    <NNNNN>.sdf<R>.npz    sizes (count,) and data: a blob a shape, see geoflow.data.bricks; read as
                          int8 sdf / truncation * 127
    <NNNNN>.points.npz    points (count, N, 3) int16 in 1/32767 of the cube's half-size,
                          normals (count, N, 3) int8 / 127

`dataset.json` is written last and names the shards that are complete; anything else in the folder
is a leftover of an interrupted run. Points may be absent.
"""

from __future__ import annotations

import contextlib
import io
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geoflow.checks import one_of
from geoflow.data.bricks import decode_sdf, side_of
from geoflow.files import write_atomically

FORMAT = "geoflow-shapes"
VERSION = 2
SHARD_SIZE = 128
READERS = 16  # threads
SPLITS = ("train", "validation", "test", "all")
_POINT_UNITS, _NORMAL_UNITS = 32767, 127
_DAMAGES = (ValueError, LookupError, TypeError, AttributeError, OSError, EOFError, zlib.error,
            lzma.LZMAError, zipfile.BadZipFile)  # fmt: skip


@dataclass(frozen=True)
class StoredShape:
    """One shape to be stored.

    Attributes:
        name: "<category>/<name>_<seed>"; its last digit decides the split, see `split_of`.
        category: one of the data set's categories.
        scale: longest side of the original, in metres.
        sdf: resolution -> the grid, as `geoflow.data.bricks.encode_sdf` packs it.
        points: (N, 3) float in the cube [-1, 1]^3, or None.
        normals: (N, 3) unit vectors, or None.
    """

    name: str
    category: str
    scale: float
    sdf: dict[int, bytes]
    points: np.ndarray | None = None
    normals: np.ndarray | None = None


def split_of(name: str) -> str:
    """The split of a source name: last digit 3 is validation, 7 is test, the rest is train."""
    digit = re.search(r"(\d)\D*$", Path(name).stem if "." in name else name)
    return {"3": "validation", "7": "test"}.get(digit.group(1) if digit else "", "train")


class ShapeWriter:
    """Appends shapes to a data set, shard by shard; stored shards survive a kill.

    Args:
        folder: the data set; made if it does not exist, continued if it does.
        resolutions, truncation: of the grids that every shape must have.
        points: surface points a shape, 0 for none.

    Raises:
        ValueError: the folder holds a data set with other settings.
    """

    def __init__(
        self, folder: str | Path, resolutions: Sequence[int], truncation: float, points: int
    ):
        self.folder = Path(folder)
        asked = {"resolutions": sorted(resolutions), "truncation": truncation, "points": points}
        self.header: dict[str, Any] = {"format": FORMAT, "version": VERSION, **asked}
        self.header |= {"categories": [], "shards": []}
        self._waiting: list[StoredShape] = []
        self.names: set[str] = set()
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self.folder / "dataset.json").exists():
            self.header = _read_header(self.folder)
            self.names = {row["name"] for row in ShapeDataset.open(self.folder).rows()}
            for key, value in asked.items():
                if self.header[key] != value:
                    raise ValueError(
                        f"{self.folder} has {key} {self.header[key]}, this run {value}; "
                        "use the same settings or another folder"
                    )

    def add(self, shape: StoredShape) -> bool:
        """Takes one shape; true when that completed and stored a shard.

        Raises:
            ValueError: a name already stored, a grid missing or of the wrong size, points missing.
        """
        if shape.name in self.names:
            raise ValueError(f"{shape.name} is already in {self.folder}; names must differ")
        sides, count = self.header["resolutions"], self.header["points"]
        wanted = [(f"a grid of {r}^3", side_of(shape.sdf.get(r)), r) for r in sides]
        clouds = {"points": shape.points, "normals": shape.normals} if count else {}
        wanted += [
            (f"{count} {n}", getattr(c, "shape", None), (count, 3)) for n, c in clouds.items()
        ]
        for what, found, size in wanted:
            if found != size:
                raise ValueError(f"{shape.name} must have {what}, got {found}")
        self.names.add(shape.name)
        self._waiting.append(shape)
        if len(self._waiting) < SHARD_SIZE:
            return False
        self.flush()
        return True

    def flush(self) -> None:
        """Stores the shapes still waiting as a shard of their own."""
        shapes, self._waiting = self._waiting, []
        if not shapes:
            return
        name = f"{len(self.header['shards']):05d}"
        for resolution in self.header["resolutions"]:
            blobs = [shape.sdf[resolution] for shape in shapes]
            data = np.frombuffer(b"".join(blobs), np.uint8)
            sizes = np.array([len(blob) for blob in blobs])
            write_atomically(
                self.folder / f"{name}.sdf{resolution}.npz", _npz(sizes=sizes, data=data)
            )
        if self.header["points"]:
            points = np.stack([s.points for s in shapes if s.points is not None])
            normals = np.stack([s.normals for s in shapes if s.normals is not None])
            points = np.rint(np.clip(points, -1, 1) * _POINT_UNITS).astype(np.int16)
            normals = np.rint(normals * _NORMAL_UNITS).astype(np.int8)
            write_atomically(
                self.folder / f"{name}.points.npz", _npz(points=points, normals=normals)
            )
        rows = [{"name": s.name, "category": s.category, "scale": float(s.scale)} for s in shapes]
        write_atomically(self.folder / f"{name}.json", json.dumps(rows, indent=0).encode())
        known = self.header["categories"]  # appended, never sorted: indices stay what they were
        known += sorted({shape.category for shape in shapes} - set(known))
        self.header["shards"].append({"name": name, "count": len(shapes)})
        write_atomically(self.folder / "dataset.json", json.dumps(self.header, indent=1).encode())


@dataclass(frozen=True)
class ShapeDataset:
    """A data set on disk. Open it with `ShapeDataset.open(folder)`.

    Attributes:
        folder: where it is.
        resolutions: of the stored grids.
        truncation: of the grids; the int8 values are in units of truncation / 127.
        points: surface points a shape, 0 for none.
        categories: names; category indices refer to them.
        shards: (name, rows) of each shard, rows as in NNNNN.json.
    """

    folder: Path
    resolutions: tuple[int, ...]
    truncation: float
    points: int
    categories: tuple[str, ...]
    shards: tuple[tuple[str, list[dict]], ...]

    @classmethod
    def open(cls, folder: str | Path) -> ShapeDataset:
        """Reads the names; no grid yet.

        Raises:
            ValueError: no data set there, another format or version, a damaged list of shapes.
        """
        folder = Path(folder)
        header = _read_header(folder)
        shards, keys = [], ("name", "category", "scale")
        for shard in header["shards"]:
            with _read(folder / f"{shard['name']}.json") as data:
                rows = [{key: row[key] for key in keys} for row in json.loads(data)]
                if len(rows) != shard["count"]:
                    raise ValueError(f"{len(rows)} shapes instead of {shard['count']}")
            shards.append((shard["name"], rows))
        sizes, names = tuple(header["resolutions"]), tuple(header["categories"])
        truncation, points = float(header["truncation"]), int(header["points"])
        return cls(folder, sizes, truncation, points, names, tuple(shards))

    def rows(self, split: str = "all") -> list[dict]:
        """Name, category and scale of every shape of a split, in the order of loading."""
        return [row for _, rows in self.shards for row in rows if _belongs(row, split)]

    def scales(self, split: str = "all") -> np.ndarray:
        """(N,) float32 longest side of the originals, in metres."""
        return np.array([row["scale"] for row in self.rows(split)], np.float32)

    def labels(self, split: str = "all") -> np.ndarray:
        """(N,) int64 category index of every shape of a split."""
        index = {name: place for place, name in enumerate(self.categories)}
        return np.array([index[row["category"]] for row in self.rows(split)], np.int64)

    def load_sdf(
        self, resolution: int = 64, split: str = "train"
    ) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Decodes all grids of a split.

        Args:
            resolution: one of `resolutions`.
            split: "train", "validation", "test" (see `split_of`) or "all".

        Returns:
            sdf (N, R, R, R) int8 in units of truncation / 127, category index (N,) int64, names.

        Raises:
            ValueError: a resolution not stored, an unknown split, a missing or damaged shard.
        """
        one_of(f"resolution of {self.folder}", resolution, self.resolutions)
        rows = self.rows(split)
        out = np.empty((len(rows), resolution, resolution, resolution), np.int8)

        def read(shard: str, count: int, keep: np.ndarray, at: int) -> None:
            with _read(self.folder / f"{shard}.sdf{resolution}.npz") as data:
                stored = np.load(io.BytesIO(data))
                blobs = np.split(stored["data"], np.cumsum(stored["sizes"]))
                if len(blobs) != count + 1:
                    raise ValueError(f"{len(blobs) - 1} grids instead of {count}")
                for place, i in enumerate(keep, at):
                    out[place] = decode_sdf(blobs[i].tobytes(), resolution)

        self._load(split, read)
        return out, self.labels(split), [row["name"] for row in rows]

    def load_points(self, split: str = "train") -> tuple[np.ndarray, np.ndarray]:
        """Decodes all surface points of a split.

        Returns:
            points (N, P, 3) float32 in the cube [-1, 1]^3 and unit normals (N, P, 3) float32.

        Raises:
            ValueError: the data set was made or copied without points, or a shard is damaged.
        """
        if not self.points:
            raise ValueError(f"{self.folder} has no points; make it again with --points 8192")
        shape = (len(self.rows(split)), self.points, 3)
        points, normals = np.empty(shape, np.float32), np.empty(shape, np.float32)

        def read(shard: str, count: int, keep: np.ndarray, at: int) -> None:
            path = self.folder / f"{shard}.points.npz"
            with _read(path) as data:
                stored = np.load(io.BytesIO(data))
                place, direction = stored["points"], stored["normals"]
                if place.shape != (count, *shape[1:]) or direction.shape != place.shape:
                    raise ValueError(f"shape {place.shape} instead of {(count, *shape[1:])}")
            points[at : at + len(keep)] = place[keep] / np.float32(_POINT_UNITS)
            direction = direction[keep].astype(np.float32)
            length = np.linalg.norm(direction, axis=-1, keepdims=True)
            normals[at : at + len(keep)] = direction / length.clip(1)

        self._load(split, read)
        return points, normals

    def _load(self, split: str, read: Callable[[str, int, np.ndarray, int], None]) -> None:
        """Calls read(shard, its size, indices of shapes kept, place of the first) in threads."""
        jobs, at = [], 0
        for shard, rows in self.shards:
            keep = np.flatnonzero([_belongs(row, split) for row in rows])
            if len(keep):
                jobs.append((shard, len(rows), keep, at))
            at += len(keep)
        with ThreadPoolExecutor(READERS) as pool:
            list(pool.map(lambda job: read(*job), jobs))


def _belongs(row: dict, split: str) -> bool:
    one_of("split", split, SPLITS)
    return split == "all" or split_of(row["name"]) == split


def _npz(**arrays: Any) -> bytes:
    """An .npz file's bytes."""
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)
    return data.getvalue()


@contextlib.contextmanager
def _read(path: Path) -> Iterator[bytes]:
    """A file's bytes, to be made sense of: what goes wrong there says that the file is damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        raise ValueError(f"{path} is missing or unreadable; copy the data set again") from None
    try:
        yield data
    except _DAMAGES as error:
        raise ValueError(f"{path} is damaged ({error}); copy it or make it again") from None


def _read_header(folder: Path) -> dict:
    path = folder / "dataset.json"
    if not path.exists():
        raise ValueError(f"{path} does not exist; make a data set with data_prep/objects.py")
    with _read(path) as data:
        header = json.loads(data)
        found = header.get("format"), header.get("version")
        missing = {"resolutions", "truncation", "points", "categories", "shards"} - header.keys()
        if missing and found == (FORMAT, VERSION):
            raise ValueError(f"no {', '.join(sorted(missing))}")
    if found != (FORMAT, VERSION):
        raise ValueError(
            f"{path} is {found[0]!r} version {found[1]!r}, this program reads {FORMAT!r} version "
            f"{VERSION}; make the data set again with data_prep/objects.py"
        )
    return header
