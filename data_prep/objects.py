"""Converts meshes of objects into geoflow's training format.

    python data_prep/objects.py SOURCE... --out DIR

SOURCE is a folder or zip of CLASS/NAME.(drc|obj|glb|stl|ply); the class is the category, and the
last digit of NAME decides the split (3 validation, 7 test). About 0.3 s a mesh and core at 64^3. A
run can be killed and repeated: shapes that are in DIR are skipped, new ones are appended.

Needs libigl, scipy, typer, rich, DracoPy (for .drc) and trimesh (for anything else).
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import sys
import zipfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "IGL_NUM_THREADS"):
    os.environ[_variable] = "1"  # one thread a process, before numpy and igl load

import numpy as np  # noqa: E402
import typer  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from geoflow.data import Shape, ShapeWriter, split_of  # noqa: E402
from geoflow.geometry import fit_frame, mesh_to_sdf, sample_visible_surface  # noqa: E402

SUFFIXES = (".drc", ".obj", ".glb", ".stl", ".ply")
MAX_FACES = 500_000
TRUNCATION = 0.1
# turns the source's up axis to y; rows are the new axes
UP = {
    "x": np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]]),
    "y": np.eye(3),
    "z": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
}


@dataclass(frozen=True)
class Source:
    """A mesh file: a path, or a zip and the name inside it."""

    name: str  # CLASS/NAME without suffix
    container: str
    member: str

    def read(self) -> bytes:
        if Path(self.container).is_dir():
            return (Path(self.container) / self.member).read_bytes()
        with zipfile.ZipFile(self.container) as archive:
            return archive.read(self.member)


@dataclass(frozen=True)
class Settings:
    resolutions: tuple[int, ...]
    points: int
    up: str


def find_sources(paths: list[Path]) -> list[Source]:
    """All meshes CLASS/NAME.SUFFIX of folders and zips, shuffled in an order that never changes.

    Raises:
        ValueError: a path that is neither folder nor zip, or no mesh at all.
    """
    sources: dict[str, Source] = {}
    for path in paths:
        if path.is_dir():
            members = [file.relative_to(path).as_posix() for file in path.glob("*/*")]
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                members = archive.namelist()
        else:
            raise ValueError(f"SOURCE must be a folder or a zip of meshes, got {path}")
        for member in sorted(members):
            pure = PurePosixPath(member)
            if (
                len(pure.parts) >= 2
                and pure.suffix.lower() in SUFFIXES
                and not pure.name.startswith(".")
            ):
                name = f"{pure.parts[-2]}/{pure.stem}"
                sources.setdefault(name, Source(name, str(path), member))
    if not sources:
        raise ValueError(
            f"no mesh CLASS/NAME.({'|'.join(s[1:] for s in SUFFIXES)}) "
            f"in {', '.join(map(str, paths))}"
        )
    names = sorted(sources)
    random.Random(0).shuffle(names)
    return [sources[name] for name in names]


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


def convert(source: Source, settings: Settings) -> Shape | str:
    """The shape of one mesh, or in one line why there is none. Runs in a worker."""
    try:
        vertices, faces = read_mesh(source.read(), PurePosixPath(source.member).suffix.lower())
        vertices = vertices @ UP[settings.up].T
        frame = fit_frame(vertices)
        vertices = frame.into_cube(vertices)
        grids = {
            r: mesh_to_sdf(vertices, faces, r, truncation=TRUNCATION) for r in settings.resolutions
        }
        if not (min(grids.values(), key=len) < 0).any():
            return "nothing of it is inside"
        points = normals = None
        if settings.points:
            rng = np.random.default_rng(list(source.name.encode()))
            finest = grids[max(grids)]
            points, normals = sample_visible_surface(vertices, faces, finest, settings.points, rng)
    except Exception as error:  # one bad mesh must not end the run
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return Shape(source.name, source.name.split("/")[0], frame.side, grids, points, normals)


def converted(
    sources: list[Source], settings: Settings, processes: int
) -> Iterator[tuple[Source, Shape | str]]:
    """Results in the order of `sources`, whatever the number of processes."""
    if processes == 1:
        for source in sources:
            yield source, convert(source, settings)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        ahead: deque[tuple[Source, Future[Shape | str]]] = deque()
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
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    writer = ShapeWriter(out, settings.resolutions, TRUNCATION, settings.points)
    failures = out / "failures.jsonl"
    known = writer.names | failed_names(failures)
    todo = [source for source in sources if source.name not in known]
    stored = failed = 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("shapes", total=len(todo))
        for source, result in converted(todo, settings, processes):
            if isinstance(result, str):
                failed += 1
                with failures.open("a") as file:
                    file.write(json.dumps({"name": source.name, "reason": result}) + "\n")
            else:
                stored += 1
                writer.add(result)
            progress.advance(task)
        writer.flush()
    return stored, failed


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE...", help="Folders or zips of CLASS/NAME.drc etc."),
    ],
    out: Annotated[Path, typer.Option(help="Data set folder; continued if it exists.")],
    resolution: Annotated[
        int, typer.Option(min=16, max=256, help="Points along each axis of the grid.")
    ] = 64,
    with_128: Annotated[
        bool, typer.Option("--with-128", help="Store a grid of 128^3 as well.")
    ] = False,
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
    if up not in UP:
        raise typer.BadParameter(f"must be x, y or z, got {up!r}", param_hint="--up")
    if only_split not in ("", "train", "validation"):
        raise typer.BadParameter(
            f"must be train or validation, got {only_split!r}", param_hint="--only-split"
        )
    for path in sources:
        if not path.exists():
            raise typer.BadParameter(f"{path} does not exist", param_hint="SOURCE")
    resolutions = tuple(sorted({resolution, 128} if with_128 else {resolution}))
    try:
        found = find_sources(sources)
        if only_split:
            found = [source for source in found if split_of(source.name) == only_split]
        found = found[: limit or None]
        stored, failed = convert_all(found, out, Settings(resolutions, points, up), processes)
    except (ValueError, OSError, ImportError, zipfile.BadZipFile) as error:
        typer.echo(f"error: {error}".splitlines()[0], err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command again to continue", err=True)
        raise typer.Exit(1) from None
    left_out = f"; {failed} failed, see {out / 'failures.jsonl'}" if failed else ""
    typer.echo(f"{stored} shapes added to {out}{left_out}", err=True)


if __name__ == "__main__":
    app()
