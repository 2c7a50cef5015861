"""Strangers' files, read in another process that may crash, hang or eat memory alone.

`read_user_mesh(path)` and `read_user_cloud(path)` are what a server calls. The child runs
`export.read_mesh` or `export.read_cloud` (trimesh, nothing processed, no references followed) under
limits of time and memory and sends arrays back; what arrives is validated again.
"""

from __future__ import annotations

import io
import os
import pathlib
import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoflow.io.arrays import check_mesh, check_points
from geoflow.io.meshes import PathLike, read_cloud, read_mesh

MAX_FACES = 2_000_000
DRAWN, MAX_POINTS = 20_000, 1_000_000
"""Points that a mesh gives; points that are kept of a larger cloud, drawn at random."""
REFUSED = 3  # exit code of a child that says why on stderr


class UserCloud(NamedTuple):
    """Points (N, 3), how many the file had, and the faces they were drawn from (0: a cloud)."""

    points: NDArray[np.float64]
    given: int
    faces: int


def read_user_mesh(
    path: PathLike, *, seconds: float = 20.0, megabytes: int = 50, memory_gb: float = 4.0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """A file from anybody -> vertices (V, 3) in metres, y up, and faces (F, 3).

    Args:
        path: .obj, .glb, .stl, .ply, .3mf or .off.
        seconds: after so long the child is ended.
        megabytes: larger files are refused unread.
        memory_gb: address space of the child, where the system can limit it (not on Windows).

    Raises:
        ValueError: the file is missing, too large, damaged, without faces, or needs too much time
            or memory; one line.
    """
    with _in_child("mesh", path, seconds, megabytes, memory_gb) as arrays:
        vertices = np.asarray(arrays["vertices"], np.float64)
        faces = np.asarray(arrays["faces"], np.int64)
    check_mesh(vertices, faces, pathlib.Path(path).name)
    return vertices, faces


def read_user_cloud(
    path: PathLike, *, seconds: float = 20.0, megabytes: int = 50, memory_gb: float = 4.0
) -> UserCloud:
    """A cloud from anybody, or 20,000 points of a mesh's surface; at most a million points.

    Args:
        path: .ply, .xyz, .obj, .glb or .off of points, or a mesh as for `read_user_mesh`.
        seconds, megabytes, memory_gb: see `read_user_mesh`.

    Raises:
        ValueError: the file is missing, too large, damaged, empty, a mesh without area, or needs
            too much time or memory; one line.
    """
    with _in_child("cloud", path, seconds, megabytes, memory_gb) as arrays:
        points = np.asarray(arrays["points"], np.float64)
        given, faces = (int(n) for n in arrays["counts"])
    check_points(points, pathlib.Path(path).name)
    return UserCloud(points, given, faces)


def _in_child(what: str, path: PathLike, seconds: float, megabytes: int, memory_gb: float) -> Any:
    """The arrays that a child read, as np.load gives them."""
    path = pathlib.Path(path).absolute()
    if not path.is_file():
        raise ValueError(f"{path.name!r} must be an existing file; it is not; send it again")
    size = path.stat().st_size
    if size > megabytes << 20:
        raise ValueError(
            f"{path.name}: must be at most {megabytes} MB; it is {size / 2**20:.1f} MB; simplify it"
        )
    command = [sys.executable, "-m", __name__, what, str(path), str(seconds), str(memory_gb)]
    # The child finds this very geoflow, installed or not, and starts few threads.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    known = (str(pathlib.Path(__file__).resolve().parents[2]), environment.get("PYTHONPATH"))
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, known))
    try:
        child = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, env=environment
        )
    except subprocess.TimeoutExpired:
        raise ValueError(
            f"{path.name}: must be readable within {seconds:g} s; it was not; simplify it"
        ) from None
    if child.returncode == REFUSED:
        raise ValueError(child.stderr.decode("utf-8", "replace").strip().splitlines()[-1])
    if child.returncode != 0:
        raise ValueError(
            f"{path.name}: must be a sound file; reading it failed (code {child.returncode}, "
            "out of time, memory or broken); export it again"
        )
    return np.load(io.BytesIO(child.stdout), allow_pickle=False)


def _limit(seconds: float, memory_gb: float) -> None:
    try:
        import resource
    except ImportError:  # Windows: the parent's time limit remains
        return
    space = int(memory_gb * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read(what: str, path: str) -> dict[str, Any]:
    """The arrays that `read_user_mesh` or `read_user_cloud` finds in a file, by name."""
    if what == "cloud":
        points, faces = read_cloud(path, DRAWN)
        counts = np.array([len(points), faces])
        if len(points) > MAX_POINTS:
            points = np.random.default_rng(0).choice(points, MAX_POINTS, replace=False)
        return {"points": points, "counts": counts}
    vertices, faces = read_mesh(path)
    if len(faces) > MAX_FACES:
        raise ValueError(
            f"{pathlib.Path(path).name}: must have at most {MAX_FACES:,} faces; it has "
            f"{len(faces):,}; simplify it"
        )
    return {"vertices": vertices, "faces": faces}


def _child(what: str, path: str, seconds: str, memory_gb: str) -> int:
    name = pathlib.Path(path).name
    try:
        _limit(float(seconds), float(memory_gb))
        buffer = io.BytesIO()
        np.savez(buffer, **_read(what, path))
        sys.stdout.buffer.write(buffer.getvalue())
    except ValueError as error:
        reason = " ".join(str(error).split()).replace(f"{str(path)!r}", name)
    except MemoryError:
        reason = f"{name}: must fit in {memory_gb} GB of memory; it does not; simplify it"
    except RecursionError:
        reason = f"{name}: must not be nested so deep; export it again"
    else:
        return 0
    print(reason, file=sys.stderr)
    return REFUSED


if __name__ == "__main__":
    raise SystemExit(_child(*sys.argv[1:]))
