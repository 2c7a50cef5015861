"""Ctrl-C as a request."""

from __future__ import annotations

import signal
import sys
from typing import Any


class Interrupt:
    """Ctrl-C asks the loop to stop where it may be resumed exactly; a second one stops at once."""

    def __enter__(self) -> Interrupt:
        self.asked = False
        self.before = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        print("stopping at the next saved step; Ctrl-C again stops at once", file=sys.stderr)

    def __exit__(self, *error: object) -> None:
        signal.signal(signal.SIGINT, self.before)
