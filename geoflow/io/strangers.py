"""Strangers' files, read in another process that may crash, hang or eat memory alone.

`read_user_mesh(path)` and `read_user_cloud(path)` are what a server calls. A fork server that has
imported trimesh forks for every file. The fork runs `export.read_mesh` or `export.read_cloud`
(nothing processed, no references followed) under limits of time and memory and sends arrays back;
what arrives is validated again.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import io
import json
import multiprocessing
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoflow.io.arrays import check_mesh, check_points
from geoflow.io.meshes import PathLike, read_cloud, read_mesh

MAX_FACES = 2_000_000
DRAWN, MAX_POINTS = 20_000, 1_000_000
"""Points that a mesh gives; points that are kept of a larger cloud, drawn at random."""
MAX_ANSWER = 1 << 29  # bytes
REFUSED, LATE = 3, 4  # codes of a child: it says why; it took too long
FORKS = hasattr(os, "fork") and hasattr(socket, "send_fds")
_ASKING = threading.Lock()


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
    if len(path.name) > 255 or not path.is_file():
        raise ValueError(f"{path.name!r} must be an existing file; it is not; send it again")
    size = path.stat().st_size
    if size > megabytes << 20:
        raise ValueError(
            f"{path.name}: must be at most {megabytes} MB; it is {size / 2**20:.1f} MB; simplify it"
        )
    request = json.dumps([what, str(path), seconds, memory_gb]).encode()
    code, answer = (_ask_fork if FORKS else _ask_fresh)(request, seconds)
    if code == LATE:
        raise ValueError(
            f"{path.name}: must be readable within {seconds:g} s; it was not; simplify it"
        )
    if code == REFUSED:
        raise ValueError(" ".join(answer[:1000].decode("utf-8", "replace").split()))
    if code != 0:
        raise ValueError(
            f"{path.name}: must be a sound file; reading it failed (code {code}, "
            "out of time, memory or broken); export it again"
        )
    return np.load(io.BytesIO(answer), allow_pickle=False)


def _start(*arguments: str, **options: Any) -> Any:
    """An interpreter that runs this file with this very geoflow, installed or not; few threads."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    known = (str(pathlib.Path(__file__).resolve().parents[2]), environment.get("PYTHONPATH"))
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, known))
    command = [sys.executable, "-P", "-m", "geoflow.io.strangers", *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, **options)


def _ask_fresh(request: bytes, seconds: float) -> tuple[int, bytes]:
    """Exit code and words of an interpreter of its own, where nothing can be forked."""
    with _start(stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            answer = child.communicate(request, seconds)[0]
        except subprocess.TimeoutExpired:
            child.kill()
            return LATE, b""
    return child.returncode, answer


def _ask_fork(request: bytes, seconds: float) -> tuple[int, bytes]:
    """Exit code and words of a fork of the fork server; of a new one, if somebody ended it."""
    server = _server()[0]
    code, answer = _ask(request, seconds)
    if code == 1 and not answer:
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.2)
            code, answer = _ask(request, seconds)
    return code, answer


def _ask(request: bytes, seconds: float) -> tuple[int, bytes]:
    answer, (ours, theirs) = bytearray(), socket.socketpair()
    ours.settimeout(seconds + 30.0)  # the fork is ended before, unless all hangs
    with contextlib.suppress(OSError), ours:
        with theirs, _ASKING:
            if _server()[0].poll() is not None:  # somebody ended it
                _server()[1].close()
                _server.cache_clear()
            socket.send_fds(_server()[1], [b"."], [theirs.fileno()])
        ours.sendall(request)
        ours.shutdown(socket.SHUT_WR)
        while len(answer) <= MAX_ANSWER and (part := ours.recv(1 << 20)):
            answer += part
    whole = 4 <= len(answer) <= MAX_ANSWER
    return int.from_bytes(answer[-4:], "big", signed=True) if whole else 1, bytes(answer[:-4])


@functools.cache
def _server() -> tuple[Any, socket.socket]:
    """The fork server and where it takes connections; it ends when that is closed."""
    ours, theirs = socket.socketpair()
    with theirs:
        known = {"stdout": subprocess.DEVNULL, "pass_fds": (fd := theirs.fileno(),)}
        process = _start(str(fd), stdin=subprocess.DEVNULL, start_new_session=True, **known)
    atexit.register(lambda: (process.kill(), process.wait(), ours.close()))
    return process, ours


def _serve(control: socket.socket) -> None:
    """The fork server: for every connection a fork that watches another fork read a file."""
    import trimesh  # noqa: F401 - here, not in every fork

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those that end leave no zombies
    while fds := socket.recv_fds(control, 1, 1)[1]:
        if os.fork() == 0:
            control.close()
            _watch(socket.socket(fileno=fds[0]))
            os._exit(0)
        os.close(fds[0])


def _watch(connection: socket.socket) -> None:
    """Sends what a fork says of a file, then how the fork ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with connection.makefile("rb") as file:
        request = json.load(file)
    context: Any = multiprocessing.get_context("fork")
    reader = context.Process(target=_child, args=(connection.sendall, *request))
    reader.start()
    reader.join(request[2])
    code = LATE if reader.exitcode is None else reader.exitcode
    reader.kill()
    reader.join()
    connection.sendall(code.to_bytes(4, "big", signed=True))


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


def _child(
    say: Callable[[bytes], Any], what: str, path: str, seconds: float, memory_gb: float
) -> None:
    name = pathlib.Path(path).name
    try:
        _limit(seconds, memory_gb)
        buffer = io.BytesIO()
        np.savez(buffer, **_read(what, path))
        return say(buffer.getvalue())
    except ValueError as error:
        reason = " ".join(str(error).split()).replace(f"{path!r}", name)
    except MemoryError:
        reason = f"{name}: must fit in {memory_gb} GB of memory; it does not; simplify it"
    except RecursionError:
        reason = f"{name}: must not be nested so deep; export it again"
    say(reason.encode("utf-8", "replace"))
    raise SystemExit(REFUSED)


if __name__ == "__main__":
    if FORKS:
        _serve(socket.socket(fileno=int(sys.argv[1])))
    else:
        _child(sys.stdout.buffer.write, *json.load(sys.stdin))
