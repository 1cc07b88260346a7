"""Runs that a page watches: results and progress as they come, and a stop that belongs to one visitor."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

Told = tuple[Literal["progress", "record"], Any]
EVERY = 0.4  # seconds between two reports of progress


class Stops:
    """Which visitors asked their run to stop."""

    def __init__(self) -> None:
        self._flags: dict[str, threading.Event] = {}

    def begin(self, session: str) -> threading.Event:
        """A fresh flag for a visitor's run; an older one of theirs is told to stop."""
        self.stop(session)
        self._flags[session] = threading.Event()
        return self._flags[session]

    def stop(self, session: str) -> None:
        """Ask the visitor's run to stop."""
        flag = self._flags.pop(session, None)
        if flag is not None:
            flag.set()


def follow(start: Callable[[Callable[..., None]], Iterable[Any]], stop: threading.Event) -> Iterator[Told]:
    """Run in a thread what yields records and reports progress, and pass on both.

    Args:
        start: Takes a progress callback and returns the records; iterated in the thread.
        stop: Ends the iteration after the record at hand.

    Yields:
        ("record", record) for every record, and ("progress", arguments of the callback) now and then.

    Raises:
        Exception: whatever the run raised.
    """
    told: queue.Queue[tuple[str, Any]] = queue.Queue()

    def work() -> None:
        try:
            for record in start(lambda *arguments: told.put(("progress", arguments))):
                told.put(("record", record))
                if stop.is_set():
                    break
            told.put(("end", None))
        except BaseException as error:
            told.put(("error", error))

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    last, ended = 0.0, False
    try:
        while True:
            kind, content = told.get()
            ended = kind in ("end", "error")
            if kind == "end":
                return
            if kind == "error":
                raise content
            if kind == "record":
                yield "record", content
            elif time.monotonic() - last > EVERY:
                last = time.monotonic()
                yield "progress", content
    finally:
        if not ended:
            stop.set()  # nobody watches any more
        worker.join()  # the machine is at work until the record at hand is finished
