"""Many at once and in order: single-threaded operations, rather than one operation in many threads.

On a CPU a shape is made by one thread from its noise to its mesh. Threads that share one matrix
product wait for each other, and wait long where other programs use the cores; and the last bits of
a product depend on how many share it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch

Made = TypeVar("Made")

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


def in_order(
    indices: Sequence[int],
    size: int,
    draw: Callable[[Sequence[int]], np.ndarray],
    finish: Callable[[int, np.ndarray, float], Made],
    *,
    on_gpu: bool,
) -> Iterator[Made]:
    """Yields shapes in the order of `indices`, several made at a time: on a CPU one a core.

    torch works with one thread an operation until the last shape is taken.

    Args:
        indices: numbers of the shapes.
        size: of a batch.
        draw: B numbers -> (B, ...), by the network.
        finish: (number, its array, seconds spent) -> shape, by a worker.
        on_gpu: draw whole batches before the workers; otherwise each worker draws its own.
    """

    def start(part: Sequence[int], pool: ThreadPoolExecutor) -> list[Future[Made]]:
        if not on_gpu:
            return [pool.submit(whole, i) for i in part]
        begin = time.perf_counter()
        arrays = draw(part)
        spent = (time.perf_counter() - begin) / len(part)
        return [pool.submit(finish, i, a, spent) for i, a in zip(part, arrays, strict=True)]

    def whole(index: int) -> Made:
        begin = time.perf_counter()
        array = draw([index])[0]
        return finish(index, array, time.perf_counter() - begin)

    with single_threaded_torch() as workers, ThreadPoolExecutor(workers) as pool:
        waiting: list[Future[Made]] = []
        try:
            for begin in range(0, len(indices), size):
                waiting += start(indices[begin : begin + size], pool)
                ahead = 2 * max(size, workers)
                while waiting and (waiting[0].done() or len(waiting) > ahead):
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
