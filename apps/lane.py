"""Long runs of a page: one at a time on the machine, a few in line, and none that nobody listens to."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

from engine.errors import BusyError, InputError

MOST = 6  # runs of all visitors, the one at work included
EACH = 3  # of them from one visitor's address
PATIENCE = 10.0  # seconds without a listener after which a run ends
TICK = 0.5  # seconds between two looks whether somebody listens


class _Run:
    def __init__(self, visitor: str, session: str) -> None:
        self.visitor = visitor
        self.session = session
        self.told: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.left = threading.Event()  # nobody takes its values any more
        self.begun = False


class Lane:
    """A line of runs before one machine. Whoever only asks and answers never stands in it.

    Args:
        listening: Whether the page of a session is still there.
    """

    def __init__(self, listening: Callable[[str], bool]) -> None:
        self._listening = listening
        self._line: list[_Run] = []
        self._changed = threading.Condition()

    def busy(self) -> bool:
        """Whether a run is at work."""
        with self._changed:
            return any(run.begun for run in self._line)

    def follow(
        self, visitor: str, session: str, run: Callable[[], Iterator[Any]], stop: Callable[[], None]
    ) -> Iterator[Any]:
        """Wait for the machine, run, and pass on the values; the machine is free again when the run has really ended.

        Args:
            visitor: Address of whoever asks.
            session: Session of the page that they opened.
            run: The run; iterated in a thread of its own.
            stop: Asks the run at work to end; called when nobody listens any more.

        Yields:
            The values of the run.

        Raises:
            BusyError: the line is full, or this visitor has enough in it.
            InputError: it was stopped before its turn came.
            Exception: whatever the run raised.
        """
        mine = self._enter(visitor, session)
        threading.Thread(target=self._work, args=(mine, run), daemon=True).start()
        heard, ended = time.monotonic(), False
        try:
            while True:
                told: tuple[str, Any] = ("", None)
                with contextlib.suppress(queue.Empty):
                    told = mine.told.get(timeout=TICK)
                kind, content = told[0], told[1]
                now = time.monotonic()
                heard = now if self._listening(session) else heard
                ended = kind in ("end", "error")
                if kind == "error":
                    raise cast(BaseException, content)
                if ended or now - heard > PATIENCE:
                    return
                if kind == "value":
                    yield content
        finally:
            mine.left.set()
            if mine.begun and not ended:
                stop()

    def halt(self, session: str) -> None:
        """Take the runs of a session out of the line whose turn has not come.

        Args:
            session: Session of the page that asks.
        """
        with self._changed:
            for run in self._line:
                if run.session == session and not run.begun:
                    run.left.set()
                    run.told.put(("error", InputError("Stopped before its turn came: start it again.")))
            self._changed.notify_all()

    def _enter(self, visitor: str, session: str) -> _Run:
        with self._changed:
            if sum(run.visitor == visitor for run in self._line) >= EACH:
                raise BusyError(f"{EACH} runs from your address are at work or wait: stop one, or wait for its end.")
            if len(self._line) >= MOST:
                raise BusyError(f"{MOST} runs of visitors are at work or wait: try again in a few minutes.")
            self._line.append(_Run(visitor, session))
            return self._line[-1]

    def _work(self, mine: _Run, run: Callable[[], Iterator[Any]]) -> None:
        end: tuple[str, Any] = ("end", None)
        try:
            if self._turn(mine):
                values = run()
                for value in values:
                    mine.told.put(("value", value))
                    if mine.left.is_set():
                        getattr(values, "close", lambda: None)()  # waits until what the run started has ended
                        break
        except BaseException as error:
            end = ("error", error)
        finally:
            with self._changed:
                self._line.remove(mine)
                self._changed.notify_all()
            mine.told.put(end)

    def _turn(self, mine: _Run) -> bool:
        """Wait for the turn; no when whoever asked has left before."""
        with self._changed:
            while not mine.left.is_set():
                if self._line[0] is mine:
                    mine.begun = True
                    return True
                self._changed.wait(TICK)
            return False
