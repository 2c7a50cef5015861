"""A folder for each open page, the shapes in it, and when all of that goes.

A session is known by gradio's session hash; its folder has a random name, because gradio serves
every file to whoever knows its address. It goes when the page is closed, or after an hour unused.
"""

from __future__ import annotations

import io
import itertools
import secrets
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from geoflow import Noise, SurfaceMesh
from geoflow.files import write_atomically
from geoflow.geometry import Frame, describe
from geoflow_app.server.settings import ShapeSettings

MAX_SHAPES = 48
IDLE_SECONDS = 3600.0
STALE_SECONDS = 300.0  # uploads: they are read at once, or never
GONE_SECONDS = 10.0  # jobs of a page that was closed so recently are not started


class Stopped(Exception):  # noqa: N818
    """The job was cancelled, or nobody waits for it any more."""


@dataclass
class Item:
    """A shape of a session; the arrays are on disk.

    Attributes:
        number: its name within the session.
        title: for people: "chair, seed 7".
        stem: file names begin with it.
        facts: vertices, faces, size_cm (width, height, depth), closed, volume_litres, seconds.
        arrays, glb: files.
        category: None for an opened file.
        noise, settings: what made it; None for an opened file.
        picture: a file; None until it is drawn.
        cloud, frame: of a surface from points: their .glb, and where they were.
    """

    number: int
    title: str
    stem: str
    facts: dict[str, Any]
    arrays: Path
    glb: Path
    category: str | None = None
    noise: Noise | None = None
    settings: ShapeSettings | None = None
    picture: Path | None = None
    cloud: Path | None = None
    frame: Frame | None = None

    def mesh(self) -> SurfaceMesh:
        """The shape's arrays, read back."""
        with np.load(self.arrays, allow_pickle=False) as stored:
            return describe(stored["vertices"], stored["faces"])


class Session:
    """The shapes of one open page. Several threads use it: `lock` guards `items` and `order`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder, self.items = folder, dict[int, Item]()
        self.order: list[int] = []
        self.lock, self.closed = threading.Lock(), threading.Event()
        self.used = time.monotonic()
        self.walk: object = None  # the last one opened
        self.cloud: object = None  # the last one read
        self._numbers, self._epoch = itertools.count(1), 0

    def number(self) -> int:
        """A new shape's number."""
        return next(self._numbers)

    def begin(self) -> Job:
        """A job that stops when the session closes or `stop` is called."""
        self.used = time.monotonic()
        return Job(self, self._epoch)

    def stop(self) -> None:
        """Stops every job that has begun."""
        self._epoch += 1

    def add(self, item: Item, position: int | None = None) -> None:
        """Keeps a shape; `position` is its place in the gallery, None leaves it out of that."""
        with self.lock:
            self.items[item.number] = item
            if position is not None:
                self.order.insert(position, item.number)
                for old in self.order[MAX_SHAPES:]:
                    self._delete(old)
                del self.order[MAX_SHAPES:]
            self.used = time.monotonic()

    def clear(self) -> None:
        """Forgets the gallery."""
        with self.lock:
            for number in self.order:
                self._delete(number)
            self.order.clear()

    def drop(self, number: int) -> None:
        """Forgets one shape."""
        with self.lock:
            if number in self.order:
                self.order.remove(number)
            self._delete(number)

    def keep(self, category: str | None, most: int) -> None:
        """Forgets the oldest of what is not in the gallery, and of that category, beyond `most`."""
        with self.lock:
            for old in self._numbers_of(category)[:-most]:
                self._delete(old)

    def get_of(self, category: str, number: float | None, missing: str) -> Item:
        """The item of that category and number.

        Raises:
            ValueError: there is none; `missing` is its text.
        """
        with self.lock:
            known = self._numbers_of(category)
        if number is None or int(number) not in known:
            raise ValueError(missing)
        return self.get(number)

    def get(self, number: float | None) -> Item:
        """The shape of that number.

        Raises:
            ValueError: there is none.
        """
        with self.lock:
            item = self.items.get(int(number)) if number is not None else None
        if item is None:
            raise ValueError(
                "this needs a shape of the gallery; none is chosen, or it was deleted; "
                "generate one or click one in the gallery first"
            )
        self.used = time.monotonic()
        return item

    def gallery(self) -> list[Item]:
        """The gallery's shapes in its order."""
        with self.lock:
            return [self.items[number] for number in self.order]

    def close(self) -> None:
        """Stops the jobs and deletes the folder."""
        self.closed.set()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _numbers_of(self, category: str | None) -> list[int]:
        return sorted(i.number for i in self.items.values() if i.category == category)

    def _delete(self, number: int) -> None:
        item = self.items.pop(number, None)
        if item is not None:
            for path in (item.arrays, item.glb, item.picture, item.cloud):
                if path is not None:
                    path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Job:
    """One click's work. Calls `check` between pieces of work."""

    session: Session
    epoch: int

    def check(self, *_: object) -> None:
        """Returns while somebody waits for the result.

        Raises:
            Stopped: nobody does.
        """
        if self.session.closed.is_set() or self.session._epoch != self.epoch:
            raise Stopped

    def item(
        self,
        title: str,
        stem: str,
        facts: dict[str, Any],
        arrays: dict[str, Any],
        ending: str = ".glb",
        **more: Any,
    ) -> Item:
        """A new item with its arrays on disk; who asks writes its .glb, and adds it.

        Args:
            title, facts: see Item.
            stem: file names begin with it; the item's number follows.
            arrays: `vertices`, `faces` and others, by name.
            ending: of the file that is shown.
            more: other attributes of the item.
        """
        self.check()
        number, folder = self.session.number(), self.session.folder
        stem = f"{stem}_{number:03d}"
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        path = folder / f".{stem}.npz"
        write_atomically(path, buffer.getvalue(), sync=False)
        return Item(number, title, stem, facts, path, folder / f"{stem}{ending}", **more)


@dataclass
class Sessions:
    """All open sessions below `root`.

    Attributes:
        root: gradio's own folder too (GRADIO_TEMP_DIR); uploads arrive beside the sessions.
        idle_seconds: a session unused for so long is closed.
    """

    root: Path
    idle_seconds: float = IDLE_SECONDS
    _open: dict[str, Session] = field(default_factory=dict)
    _gone: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, key: str | None) -> Session:
        """The session of gradio's session hash; opened where it is new.

        Raises:
            Stopped: the page of that hash was closed a moment ago; this is a late job of it.
        """
        key = key or "nobody"
        with self._lock:
            now = time.monotonic()
            self._gone = {k: t for k, t in self._gone.items() if now - t < GONE_SECONDS}
            if key in self._gone:
                raise Stopped
            if key not in self._open:
                self._open[key] = Session(self.root / f"session-{secrets.token_urlsafe(18)}")
            session = self._open[key]
            session.used = now
            return session

    def close(self, key: str | None) -> None:
        """Ends a session: its jobs stop, its folder goes."""
        with self._lock:
            session = self._open.pop(key or "nobody", None)
            if key is not None:
                self._gone[key] = time.monotonic()
        if session is not None:
            session.close()

    def sweep(self) -> None:
        """Closes what was unused for too long; deletes old uploads.

        Uploads are shared: the same bytes from two people are one file, so readers leave them.
        """
        now = time.monotonic()
        with self._lock:
            old = [k for k, s in self._open.items() if now - s.used > self.idle_seconds]
            idle = [self._open.pop(key) for key in old]
            live = {s.folder for s in self._open.values()}
        for session in idle:
            session.close()
        for path in self.root.iterdir():
            if path in live:
                continue
            try:
                if time.time() - path.lstat().st_mtime > min(STALE_SECONDS, self.idle_seconds):
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
            except FileNotFoundError:  # its request finished meanwhile
                continue

    def owns(self, path: Path) -> bool:
        """Whether the path, links resolved, is a file inside an open session's folder."""
        path = path.resolve()
        with self._lock:
            folders = [s.folder.resolve() for s in self._open.values()]
        return path.is_file() and any(folder in path.parents for folder in folders)

    def close_all(self) -> None:
        """Ends every session, at exit."""
        for key in list(self._open):
            self.close(key)

    def __len__(self) -> int:
        return len(self._open)
