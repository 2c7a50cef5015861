"""Converts meshes of objects into geoflow's training format.

    python data_prep/objects.py SOURCE... --out DIR

SOURCE is a folder or zip of CLASS/NAME.(drc|obj|glb|stl|ply); the class is the category, and the
last digit of NAME decides the split (3 validation, 7 test). A mesh takes 0.3 s of a core at 64^3,
0.7 s at 128^3. A run can be killed and repeated: shapes that are in DIR are skipped, new ones are
appended.

Needs the extra `data`: pip install 'geoflow[data]'.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

# One thread a process; before numpy loads.
os.environ.update(
    OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1", IGL_NUM_THREADS="1"
)

import numpy as np
import typer

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed

from parts.sources import Source, find_sources

from geoflow.checks import one_of, require
from geoflow.cli import note, progress_bar, script
from geoflow.data import ShapeWriter, StoredShape, encode_sdf, split_of
from geoflow.geometry import fit_frame, mesh_to_sdf, sample_visible_surface

SUFFIXES = (".drc", ".obj", ".glb", ".stl", ".ply")
MAX_FACES = 500_000
BAND = 3.2  # voxels: where distances are cut off
# turns the source's up axis to y; rows are the new axes
UP = {
    "x": np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]]),
    "y": np.eye(3),
    "z": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
}


@dataclass(frozen=True)
class Settings:
    resolution: int
    points: int
    up: str

    @property
    def truncation(self) -> float:
        """Of the distances, in half sides of the cube."""
        return 2 * BAND / self.resolution


def mixed_sources(paths: list[Path]) -> list[Source]:
    """The meshes, shuffled in an order that never changes."""
    sources = find_sources(paths, SUFFIXES, "CLASS")
    random.Random(0).shuffle(sources)
    return sources


def read_mesh(data: bytes, suffix: str) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and triangles (F, 3) of a mesh file's bytes, validated.

    Raises:
        ValueError: the file cannot be read, has no or too many faces, indices out of range, NaN,
            or stray vertices.
    """
    try:
        if suffix == ".drc":
            import DracoPy

            mesh = DracoPy.decode(data)
            vertices, faces = mesh.points, mesh.faces
        else:
            import trimesh

            scene = trimesh.load(
                trimesh.util.wrap_as_stream(data), file_type=suffix[1:], process=False, force="mesh"
            )
            vertices, faces = scene.vertices, scene.faces
    except Exception as error:  # whatever a parser raises on a bad file
        raise ValueError(
            f"cannot be read: {error or type(error).__name__}".splitlines()[0]
        ) from None
    vertices = np.asarray(vertices, np.float64).reshape(-1, 3)
    faces = np.asarray(faces, np.int64).reshape(-1, 3)
    if not 0 < len(faces) <= MAX_FACES:
        raise ValueError(f"must have 1 to {MAX_FACES} faces, has {len(faces)}")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError(f"faces point at vertices {faces.min()}..{faces.max()} of {len(vertices)}")
    used, faces = np.unique(faces, return_inverse=True)
    vertices, faces = vertices[used], faces.reshape(-1, 3)
    if not np.isfinite(vertices).all():
        raise ValueError("has vertices that are NaN or infinite")
    check_extent(vertices, faces)
    return vertices, faces


def check_extent(vertices: np.ndarray, faces: np.ndarray) -> None:
    """Refuses meshes with a few vertices far away: normalised, the object would be a speck."""
    corners = vertices[faces]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    if not area.sum() > 0:
        raise ValueError("has no face with an area")
    usual = 0.0
    for centres in corners.mean(1).T:
        order = np.argsort(centres)
        low, high = np.searchsorted(np.cumsum(area[order]) / area.sum(), (0.005, 0.995))
        usual = max(usual, centres[order[min(high, len(order) - 1)]] - centres[order[low]])
    longest = np.ptp(vertices, axis=0).max()
    if len(faces) > 200 and longest > 2.5 * usual:
        raise ValueError(
            f"has vertices far away: longest side {longest:.3g}, "
            f"99 % of the area within {usual:.3g}"
        )


def convert(source: Source, settings: Settings) -> StoredShape | str:
    """The shape of one mesh, or in one line why there is none. Runs in a worker."""
    try:
        vertices, faces = read_mesh(source.read(), source.suffix)
        vertices = vertices @ UP[settings.up].T
        frame = fit_frame(vertices)
        vertices = frame.into_cube(vertices)
        sdf = mesh_to_sdf(vertices, faces, settings.resolution, truncation=settings.truncation)
        if not (sdf < 0).any():
            return "nothing of it is inside"
        points = normals = None
        if settings.points:
            rng = np.random.default_rng(list(source.name.encode()))
            points, normals = sample_visible_surface(vertices, faces, sdf, settings.points, rng)
        grids = {settings.resolution: encode_sdf(sdf, settings.truncation)}
    except Exception as error:  # one bad mesh must not end the run
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return StoredShape(source.name, source.name.split("/")[0], frame.side, grids, points, normals)


def converted(
    sources: list[Source], settings: Settings, processes: int
) -> Iterator[tuple[Source, StoredShape | str]]:
    """Results in the order of `sources`, whatever the number of processes."""
    if processes == 1:
        for source in sources:
            yield source, convert(source, settings)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        ahead: deque[tuple[Source, Future[StoredShape | str]]] = deque()
        try:
            for source in sources:
                ahead.append((source, pool.submit(convert, source, settings)))
                if len(ahead) >= 16 * processes:
                    yield ahead[0][0], ahead[0][1].result()
                    ahead.popleft()
            while ahead:
                yield ahead[0][0], ahead[0][1].result()
                ahead.popleft()
        except BrokenExecutor:
            raise ValueError(
                f"a worker process died at or after {ahead[0][0].name} (out of memory?); "
                "run the same command again, with --processes 1 to find the mesh"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def failed_names(path: Path) -> set[str]:
    """Names in a failures.jsonl; a last line cut off by a kill is ignored."""
    names = set()
    for line in path.read_text().splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError, KeyError):
            names.add(json.loads(line)["name"])
    return names


def convert_all(
    sources: list[Source], out: Path, settings: Settings, processes: int
) -> tuple[int, int]:
    """Appends what is not in `out` yet. Returns the numbers of stored and failed shapes."""
    writer = ShapeWriter(out, [settings.resolution], settings.truncation, settings.points)
    failures = out / "failures.jsonl"
    known = writer.names | failed_names(failures)
    todo = [source for source in sources if source.name not in known]
    stored = failed = 0
    with progress_bar("shapes", len(todo)) as advance:
        for source, result in converted(todo, settings, processes):
            if isinstance(result, str):
                failed += 1
                with failures.open("a") as file:
                    file.write(json.dumps({"name": source.name, "reason": result}) + "\n")
            else:
                stored += 1
                writer.add(result)
            advance(source.name)
        writer.flush()
    return stored, failed


def main(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE...", help="Folders or zips of CLASS/NAME.drc etc."),
    ],
    out: Annotated[Path, typer.Option(help="Data set folder; continued if it exists.")],
    resolution: Annotated[
        int, typer.Option(min=16, max=256, help="Points along each axis of the grid.")
    ] = 64,
    points: Annotated[
        int, typer.Option(min=0, max=65536, help="Surface points a shape; 0 for none.")
    ] = 8192,
    processes: Annotated[
        int, typer.Option(min=1, max=256, help="Worker processes, one thread each.")
    ] = 2,
    up: Annotated[str, typer.Option(help="Up axis of the sources: x, y or z.")] = "y",
    limit: Annotated[int, typer.Option(min=0, help="Take at most so many meshes; 0 for all.")] = 0,
    only_split: Annotated[str, typer.Option(help="Take only train or validation.")] = "",
) -> None:
    """Converts meshes into a data set of signed distance grids and surface points."""
    one_of("--up", up, UP)
    if only_split:
        one_of("--only-split", only_split, ("train", "validation"))
    for path in sources:
        if not path.exists():
            raise typer.BadParameter(f"{path} does not exist", param_hint="SOURCE")
    found = mixed_sources(sources)
    if only_split:
        found = [source for source in found if split_of(source.name) == only_split]
    found = found[: limit or None]
    require("igl", *{"DracoPy" for source in found if source.suffix == ".drc"})
    try:
        stored, failed = convert_all(found, out, Settings(resolution, points, up), processes)
    except KeyboardInterrupt:
        note("interrupted; run the same command again to continue")
        raise
    left_out = f"; {failed} failed, see {out / 'failures.jsonl'}" if failed else ""
    note(f"{stored} shapes added to {out}{left_out}")


app = script(main)

if __name__ == "__main__":
    app()
