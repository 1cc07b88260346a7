"""Where work is done: a few lanes of threads, each with a line of bounded length, so that a server never drowns."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from apps.guard import Refused
from apps.serve.metrics import Metrics

MOST_WAITING = 256  # requests in a lane, those at work included
MOST_CHANGES = 16
SHARED_WAITERS = 64  # threads that wait for a shared batch; they cost nothing while they wait
LONGEST_WAIT = 60  # seconds that a refused request is told to wait at most
REMEMBERED = 0.1  # share of the newest time in the mean

T = TypeVar("T")


class Lane:
    """Threads that take turns with what is asked of them, in the order in which it came.

    Args:
        name: What metrics call it.
        workers: How many threads.
        most: Requests that it holds; what comes when it is full is refused.
        metrics: Told of each piece of work.
    """

    def __init__(self, name: str, workers: int, most: int, metrics: Metrics) -> None:
        self.name = name
        self._workers, self._most, self._metrics = workers, most, metrics
        self._inside = 0
        self._mean = 0.0  # seconds of work
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=name)

    async def run(self, work: Callable[[], T]) -> T:
        """Do a piece of work when its turn comes.

        Args:
            work: What to do, in a thread of the lane.

        Returns:
            Its result.

        Raises:
            Refused: the lane is full; it names the seconds after which there should be room.
            Exception: whatever the work raised.
        """
        if self._inside >= self._most:
            seconds = self._inside * self._mean / self._workers
            wait = min(max(math.ceil(seconds), 1), LONGEST_WAIT)
            self._metrics.refused(self.name)
            raise Refused(503, f"{self._inside} requests wait already: ask again in {wait} seconds.", wait)
        self._inside += 1
        self._metrics.inside(self.name, self._inside)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._timed, work)
        finally:
            self._inside -= 1
            self._metrics.inside(self.name, self._inside)

    def _timed(self, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        try:
            return work()
        finally:
            seconds = time.perf_counter() - start
            self._mean = seconds if not self._mean else self._mean + REMEMBERED * (seconds - self._mean)
            self._metrics.worked(self.name, seconds)

    def close(self) -> None:
        """Wait for what is at work and end the threads."""
        self._pool.shutdown(wait=True)


class Lanes:
    """The lanes of a server.

    Args:
        metrics: Told of each piece of work.
        shared: Whether requests wait for a batch that they share.

    Attributes:
        encoding: Texts to vectors, a request a core; each request is a batch of its own unless they share.
        choosing: Conditions, each of which may take seconds.
        computing: Searches, reranks and explanations: one at a time, since each uses all cores.
        changing: What is written, and systems that are built.
    """

    def __init__(self, metrics: Metrics, shared: bool) -> None:
        cores = os.cpu_count() or 1
        self.encoding = Lane("encoding", SHARED_WAITERS if shared else cores, MOST_WAITING, metrics)
        self.choosing = Lane("choosing", 1, MOST_WAITING, metrics)
        self.computing = Lane("computing", 1, MOST_WAITING, metrics)
        self.changing = Lane("changing", 1, MOST_CHANGES, metrics)

    def close(self) -> None:
        """Wait for what is at work and end the threads."""
        for lane in (self.encoding, self.choosing, self.computing, self.changing):
            lane.close()
