"""Processes of this machine that open shards once and stay, until nobody refers to the index that asked for them.

Each is an interpreter of its own that runs `worker`, so that no script of the caller has to be importable. It talks
over one socket, which closes when either side ends, however it ends: nothing is left running.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from weakref import finalize

from engine.errors import WorkerError
from engine.indexes.sharded.changes import Job
from engine.indexes.sharded.hosts import Ask, Here, Places
from engine.simd.threads import thread_count

ROOT = Path(__file__).resolve().parents[3]
WORKER = "engine.indexes.sharded.worker"
THREADS = ("WORKBENCH_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")
PATIENCE_S = 5.0  # for a process that was told to end


class Process:
    """One process.

    Args:
        threads: For every library in it.
    """

    def __init__(self, threads: int) -> None:
        mine, theirs = socket.socketpair()
        environment = {**os.environ, **dict.fromkeys(THREADS, str(threads))}  # before a library is imported
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))
        command = [sys.executable, "-m", WORKER, str(theirs.fileno())]
        with theirs:
            self.running = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=environment
            )
        self.connection = Connection(mine.detach())
        self.end = finalize(self, _end, self.connection, self.running)

    @property
    def ended(self) -> str:
        """How it ended, in words."""
        try:
            code = self.running.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            return "does not answer"
        return f"ended by signal {-code}" if code < 0 else f"ended with code {code}"


def _end(connection: Connection, running: subprocess.Popen[bytes]) -> None:
    connection.close()
    try:
        running.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:  # in the middle of an answer
        running.kill()
        running.wait()


class Processes(Places):
    """Has shards open in processes of this machine.

    Args:
        count: How many; each gets its share of the processors.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._threads = max(1, thread_count() // count)
        self._running: list[Process | None] = [None] * count

    @property
    def pids(self) -> list[int]:
        """Ids of the processes that run."""
        return [process.running.pid for process in self._running if process is not None]

    def change(self, jobs: Sequence[Job]) -> None:
        """See `Host`; done in this process, all of whose threads a build uses."""
        Here().change(jobs)

    def _at(self, parts: Mapping[int, list[Ask]]) -> dict[int, Any]:
        waiting, found = set(parts), {}
        try:
            sent = {place: self._send(place, asks) for place, asks in parts.items()}
            for place, asks in parts.items():
                found[place] = self._receive(place, sent[place], asks)
                waiting.remove(place)
        except BaseException:
            for place in waiting:  # what they still answer is no answer to the next question
                self._stop(place)
            raise
        return found

    def _send(self, place: int, asks: list[Ask]) -> bool:
        """Send questions to a process that runs, or is started; False where it died."""
        process = self._running[place] = self._running[place] or Process(self._threads)
        try:
            process.connection.send((self._wanted(place), asks))
        except OSError:
            return False
        return True

    def _receive(self, place: int, sent: bool, asks: list[Ask]) -> Any:
        """The answers of a process, or its error; one that died is started again, once."""
        for again in (False, True):
            process = self._running[place]
            assert process is not None
            try:
                if sent:
                    return process.connection.recv()
            except (EOFError, OSError):
                pass
            if again:
                names = ", ".join(ask.folder.name for ask in asks)
                raise WorkerError(
                    f"The process that searches {names} {process.ended}, twice in a row: look whether memory is short, "
                    "or search with processes=0."
                )
            self._stop(place)
            sent = self._send(place, asks)
        raise AssertionError

    def _stop(self, place: int) -> None:
        process, self._running[place] = self._running[place], None
        if process is not None:
            process.end()
