"""One pool of threads for kernels that hold no GIL: safe to call from several threads at once, unlike numba's own.

Results do not depend on the number of threads: work is cut into parts by the caller, and each part writes its own rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock, local
from typing import Any

import numpy as np

_mine = local()  # a count that holds in one thread only
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
_lock = Lock()


def thread_count() -> int:
    """Threads that a kernel uses: $WORKBENCH_THREADS, else the processors that this process may use."""
    count = getattr(_mine, "count", None)
    if count is not None:
        return count
    asked = os.environ.get("WORKBENCH_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def use_threads(count: int):
    """Use a number of threads for the kernels that this thread calls within the block.

    Args:
        count: 1 or more.
    """
    before = getattr(_mine, "count", None)
    _mine.count = count
    try:
        yield
    finally:
        _mine.count = before


def run_parts(work: Callable[[int], None], parts: int) -> None:
    """Call `work(0)` to `work(parts - 1)`, on several threads; the first error is raised.

    Args:
        work: Writes the results of one part; a compiled kernel inside it holds no GIL.
        parts: How many there are; a few for each thread even out their lengths.
    """
    threads = min(thread_count(), parts)
    if threads <= 1:
        for part in range(parts):
            work(part)
        return
    remaining = iter(range(parts))

    def drain() -> None:
        while (part := next_part()) is not None:
            work(part)

    def next_part() -> int | None:
        with _lock:
            return next(remaining, None)

    futures = [_pool(threads - 1).submit(drain) for _ in range(threads - 1)]
    try:
        drain()
    finally:
        for future in futures:
            if not future.cancel():  # one that has not started has nothing left to do, and may never start if nested
                future.result()


def submit(threads: int, work: Callable[..., None], *arguments: Any) -> Future[None]:
    """Call `work(*arguments)` on one of the threads of this process, which are at least `threads`."""
    return _pool(threads).submit(work, *arguments)


def _pool(threads: int) -> ThreadPoolExecutor:
    """The pool of this process: a forked child makes its own, since threads do not survive a fork."""
    key = (os.getpid(), threads)
    with _lock:
        if key not in _pools:
            _pools[key] = ThreadPoolExecutor(threads, thread_name_prefix="kernel")
        return _pools[key]


def cut(weights: np.ndarray, parts: int) -> np.ndarray:
    """Cut items into runs of about equal weight.

    Args:
        weights: int [n], such as tokens of each document.
        parts: How many runs at most.

    Returns:
        int64 [runs + 1], the boundaries; no run is empty.
    """
    ends = np.cumsum(weights, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    wanted = np.arange(1, parts) * (total / parts)
    inner = np.searchsorted(ends, wanted, side="left") + 1
    return np.unique(np.concatenate([[0], inner[inner < len(weights)], [len(weights)]]).astype(np.int64))
