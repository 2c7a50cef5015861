"""Many single-threaded operations at once, rather than one operation in many threads.

On a CPU a shape is made by one thread from its noise to its mesh. Threads that share one matrix
product wait for each other, and wait long where other programs use the cores; and the last bits of
a product depend on how many share it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import torch

MOST_WORKERS = 16
_lock = threading.Lock()
_users, _before = 0, 1


class _Own(threading.local):
    depth = 0  # of this thread's uses


_own = _Own()


@contextlib.contextmanager
def single_threaded_torch() -> Iterator[int]:
    """Sets torch to one thread an operation until the last user leaves.

    A thread that had one thread an operation before it came changes nothing and is no user: the
    number is each thread's own, but new threads begin with the one that was set last.

    Yields:
        how many threads torch had, at most 16: workers to start (OMP_NUM_THREADS limits it).
    """
    global _users, _before
    if not _own.depth and torch.get_num_threads() == 1:
        yield min(_before, MOST_WORKERS) if _users else 1
        return
    _own.depth += 1
    with _lock:
        if _users == 0:
            _before = torch.get_num_threads()
        _users += 1
        torch.set_num_threads(1)
    try:
        yield min(_before, MOST_WORKERS)
    finally:
        _own.depth -= 1
        with _lock:
            _users -= 1
            if _users == 0:
                torch.set_num_threads(_before)
