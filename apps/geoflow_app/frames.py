"""The pictures of a walk: made when asked for, kept, and made ahead while the model is idle."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from geoflow import Noise, write_atomically
from geoflow_app.sessions import Item, Job, Session, Stopped
from geoflow_app.studio import Studio

STEP = 0.05  # of the slider
KEPT = 256  # pictures of a session
QUIET_SECONDS = 0.5  # nobody has asked the model for so long: it is idle


@dataclass(frozen=True)
class Walk:
    """From one shape of a gallery to another."""

    first: Item
    second: Item
    guidance: float

    def at(self, position: float) -> tuple[Noise, str]:
        """The noise there and the category of the nearer shape."""
        first, second = self.first, self.second
        assert first.noise and second.noise and first.category and second.category
        category = first.category if position < 0.5 else second.category
        return first.noise.towards(second.noise, position), category

    def name(self, position: float) -> str:
        """Of the picture's file."""
        ends = f"{self.first.number}_{self.second.number}"
        return f"frame_{ends}_{self.guidance:.2f}_{position:.4f}.webp"


class Frames:
    """Makes and keeps the pictures of all walks."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def picture(self, job: Job, walk: Walk, position: float, ahead: bool = False) -> Path:
        """The picture there; the slider may have been there before."""
        path = job.session.folder / walk.name(position)
        if not path.is_file():
            noise, category = walk.at(position)
            data = self.studio.frame(job, noise, category, walk.guidance, ahead)
            write_atomically(path, data, sync=False)
            _forget_old(job.session.folder)
        return path

    def fill(self, session: Session, walk: Walk) -> threading.Thread:
        """Starts to make the slider's positions ahead; the next walk of the session ends that."""
        job = session.begin()
        session.walk = walk
        thread = threading.Thread(target=self._fill, args=(job, walk), daemon=True)
        thread.start()
        return thread

    def _fill(self, job: Job, walk: Walk) -> None:
        count = round(1 / STEP)
        order = sorted(range(count + 1), key=lambda i: (i % 5 != 0, i % 2, i))  # coarse first
        try:
            for i in order:
                while self.studio.quiet_seconds() < QUIET_SECONDS:
                    time.sleep(QUIET_SECONDS / 10)
                    job.check()
                if job.session.walk is not walk:
                    return
                self.picture(job, walk, round(i * STEP, 4), ahead=True)
        except (Stopped, OSError):  # the page is closed
            return


def _forget_old(folder: Path) -> None:
    frames = sorted(folder.glob("frame_*.webp"), key=lambda f: f.stat().st_mtime)
    for old in frames[:-KEPT]:
        old.unlink(missing_ok=True)
