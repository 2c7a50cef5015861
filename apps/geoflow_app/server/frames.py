"""The pictures of a walk: made when asked for, kept, and made ahead while no shape is made."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from geoflow import Noise
from geoflow.files import write_atomically
from geoflow_app.server.sessions import Item, Job, Session, Stopped
from geoflow_app.server.settings import ShapeSettings
from geoflow_app.server.studio import Studio

STEP = 0.05  # of the slider
KEPT = 256  # pictures of a session
QUIET_SECONDS = 0.5  # nobody has asked for so long: the model is free


@dataclass(frozen=True)
class Walk:
    """From one shape of a gallery to another."""

    first: Item
    second: Item
    guidance: float

    def at(self, position: float) -> tuple[Noise, str, str]:
        """The noise there, and category and backbone of the nearer shape."""
        first, second = self.first, self.second
        nearer = first if position < 0.5 else second
        assert first.noise and second.noise and nearer.category and nearer.settings
        noise = first.noise.towards(second.noise, position)
        return noise, nearer.category, nearer.settings.backbone

    def name(self, position: float) -> str:
        """Of the picture's file."""
        ends = f"{self.first.number}_{self.second.number}"
        return f"frame_{ends}_{self.guidance:.2f}_{position:.4f}.webp"


class Frames:
    """Makes and keeps the pictures of all walks."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._lock = threading.Lock()
        self._making: dict[Path, threading.Event] = {}
        self._ahead = threading.Lock(), threading.Lock()  # one for each of the model's threads
        self._asked = 0.0  # when a picture was last asked for

    def ask(self, job: Job, walk: Walk, position: float) -> Path:
        """The picture there, for somebody who waits for it: one of the threads is kept free."""
        self._asked = time.monotonic()
        return self.picture(job, walk, position)

    def picture(self, job: Job, walk: Walk, position: float) -> Path:
        """The picture there; it may have been made before, or be under way."""
        path = job.session.folder / walk.name(position)
        noise, category, backbone = walk.at(position)
        while True:
            with self._lock:
                if path.is_file():
                    return path
                other = self._making.get(path)
                if other is None:
                    self._making[path] = threading.Event()
            if other is not None:
                other.wait()
                continue
            try:
                settings = ShapeSettings(1, walk.guidance, backbone=backbone)
                data = self.studio.frame(job, noise, category, settings)
                write_atomically(path, data, sync=False)
                _forget_old(job.session.folder)
            finally:
                with self._lock:
                    self._making.pop(path).set()

    def fill(self, session: Session, walk: Walk) -> list[threading.Thread]:
        """Starts to make the slider's positions ahead; the next walk of the session ends that."""
        job = session.begin()
        session.walk = walk
        count = round(1 / STEP)
        order = sorted(range(count + 1), key=lambda i: (i % 5 != 0, i % 2, i))  # coarse first
        left = deque(round(i * STEP, 4) for i in order)
        threads = [
            threading.Thread(target=self._fill, args=(job, walk, left, turn, polite), daemon=True)
            for turn, polite in zip(self._ahead, (False, True), strict=True)
        ]
        for thread in threads:
            thread.start()
        return threads

    def _fill(
        self, job: Job, walk: Walk, left: deque[float], turn: threading.Lock, polite: bool
    ) -> None:
        """Makes what is left while no shape is made and, if polite, no picture is asked for."""
        try:
            while True:
                while self._busy(polite):
                    time.sleep(QUIET_SECONDS / 10)
                    job.check()
                with turn:
                    if job.session.walk is not walk:
                        return
                    self.picture(job, walk, left.popleft())
        except (IndexError, Stopped, OSError):  # all are made, or the page is closed
            return

    def _busy(self, polite: bool) -> bool:
        asked = polite and time.monotonic() - self._asked < QUIET_SECONDS
        return asked or self.studio.quiet_seconds() < QUIET_SECONDS


def _forget_old(folder: Path) -> None:
    frames = sorted(folder.glob("frame_*.webp"), key=lambda f: f.stat().st_mtime)
    for old in frames[:-KEPT]:
        old.unlink(missing_ok=True)
