"""Generating many files: names, the manifest, and finishing an interrupted run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from geoflow import __version__
from geoflow.clouds.model import CloudShape
from geoflow.files import check_folder, check_target, write_atomically
from geoflow.io.meshes import write_mesh
from geoflow.io.ply import write_cloud
from geoflow.model.maker import Maker, Request, category_among
from geoflow.shapes.model import MeshRequest, Shape

MANIFEST = "manifest.json"
SAVE_EVERY = 25


@dataclass(frozen=True)
class Order:
    """What `geoflow generate` was asked for.

    Attributes:
        n: how many shapes.
        request: of each; a `MeshRequest` of meshes.
        format: obj, glb, stl, ply or 3mf; ply for clouds.
        categories: of the generator, in the order of its labels.

    Raises:
        ValueError: the category is none of them.
    """

    n: int
    request: Request
    format: str
    categories: Sequence[str]

    def __post_init__(self) -> None:
        if self.request.category != "all":  # as the generator spells it
            name = category_among(self.categories, self.request.category)
            object.__setattr__(self, "request", replace(self.request, category=name))

    def file_name(self, index: int) -> str:
        """Of the shape `index`."""
        category = self.request.category
        if category == "all":
            category = self.categories[index % len(self.categories)]
        return f"{category}_{index:05d}.{self.format}"


class Batch:
    """A folder of generated meshes or clouds and its manifest.

    Args:
        folder: created where missing.
        order: what to make.
        digest, device: hash of the weights that make it, and where ("cpu" or "cuda").
        resume: keep the shapes that the manifest lists and whose files exist, those past the
            order's n too; without a manifest there is nothing to resume, see `resumed`.
        overwrite: replace files that are in the way.

    Attributes:
        resumed: whether a manifest was read.
        shapes: index -> its entry in the manifest.

    Raises:
        ValueError: files in the way without `overwrite` or a manifest to resume; a manifest of
            another order.
        OSError: the folder cannot be made or written to.
    """

    def __init__(
        self,
        folder: Path,
        order: Order,
        digest: str,
        device: str,
        *,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.folder, self.order, self.digest, self.device = folder, order, digest, device
        check_folder(folder)
        self.shapes: dict[int, dict[str, Any]] = {}
        self.resumed = resume and (folder / MANIFEST).exists()
        if self.resumed:
            self._read_manifest()
        elif not overwrite:
            self._refuse_existing()
        self.replace = overwrite or self.resumed
        self.kept = len(self.asked())

    def head(self) -> dict[str, Any]:
        """Everything that determines the shapes."""
        known = {"geoflow": __version__, "checkpoint": self.digest, "device": self.device}
        order = self.order
        return known | {"n": order.n} | asdict(order.request) | {"format": order.format}

    def asked(self) -> list[dict[str, Any]]:
        """The entries of the shapes below n; a resumed manifest may list more."""
        return [s for i, s in self.shapes.items() if i < self.order.n]

    def missing(self) -> list[int]:
        """Indices still to be made."""
        return [i for i in range(self.order.n) if i not in self.shapes]

    def begin(self) -> None:
        """Makes the folder and writes the manifest of what is kept."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.save()

    def run(self, generator: Maker) -> Iterator[dict[str, Any]]:
        """Makes and writes what is missing; yields each shape's manifest entry."""
        stream = generator.stream(self.missing(), **asdict(self.order.request))
        try:
            for count, shape in enumerate(stream, 1):
                self.shapes[shape.index] = entry = self._write(shape)
                if count % SAVE_EVERY == 0:
                    self.save()
                yield entry
        finally:
            self.save() if self.shapes else (self.folder / MANIFEST).unlink(missing_ok=True)

    def save(self) -> None:
        """Writes the manifest, atomically."""
        shapes = [self.shapes[i] for i in sorted(self.shapes)]
        n = max(self.order.n, 1 + max(self.shapes, default=0))
        text = json.dumps(self.head() | {"n": n, "shapes": shapes}, indent=1)
        write_atomically(self.folder / MANIFEST, text.encode() + b"\n")

    def _write(self, shape: Shape | CloudShape) -> dict[str, Any]:
        name = self.order.file_name(shape.index)
        path = self.folder / name
        entry = {"index": shape.index, "file": name, "category": shape.category}
        if isinstance(shape, CloudShape):
            check_target(path, overwrite=self.replace)
            write_cloud(path, [shape.points], len(shape.points))
            known = {"points": len(shape.points)}
        else:
            mesh = shape.mesh
            write_mesh(path, mesh.vertices, mesh.faces, mesh.normals, overwrite=self.replace)
            known = {"vertices": len(mesh.vertices), "faces": len(mesh.faces)}
            known |= {"watertight": mesh.watertight, "volume": round(mesh.volume, 9)}
            known |= {"fragments_removed": mesh.fragments_removed}
        return entry | known | {"seconds": round(shape.seconds, 4)}

    def _refuse_existing(self) -> None:
        there = [MANIFEST, *(self.order.file_name(i) for i in range(self.order.n))]
        there = [name for name in there if (self.folder / name).exists()]
        if there:
            raise ValueError(
                f"{self.folder} holds {there[0]}"
                + (f" and {len(there) - 1} more of the files to write" if there[1:] else "")
                + "; use --resume to finish that run, --overwrite to replace it, or another --out"
            )

    def _read_manifest(self) -> None:
        path = self.folder / MANIFEST
        try:
            old = json.loads(path.read_text(encoding="utf-8"))
            entries = {int(s["index"]): s for s in old["shapes"]}
            files = {i: self.folder / Path(s["file"]).name for i, s in entries.items()}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a manifest ({error}); use --overwrite") from None
        want = {k: v for k, v in self.head().items() if k != "n"}
        differing = [k for k, v in want.items() if old.get(k) != v]
        if differing:
            listed = ", ".join(f"{k} {old.get(k)} there, {want[k]} now" for k in differing)
            raise ValueError(f"--resume needs the command of {path}; it differs: {listed}")
        self.shapes = {i: s for i, s in entries.items() if files[i].is_file()}


def summary(batch: Batch, seconds: float) -> str:
    """One line: how many shapes, where, how long, how clean."""
    made = batch.asked()
    kinds = len({s["category"] for s in made})
    if not isinstance(batch.order.request, MeshRequest):
        clean = f"{sum(s['points'] for s in made):,} points"
    else:
        closed, removed = (sum(s[k] for s in made) for k in ("watertight", "fragments_removed"))
        clean = f"{closed} watertight, {removed} fragments removed"
    return (
        f"{len(made)} of {batch.order.n} shapes in {batch.folder} ({kinds} "
        f"{'category' if kinds == 1 else 'categories'}, {clean}, {seconds:.1f} s)"
    )
