"""One shape of progress and one of stopping, for everything that takes longer than a moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[str, int, int], None]  # what is being done, how much of it, of how much
Stop = Callable[[], bool]  # asked often; True ends the work


class Stopped(Exception):
    """The caller's `stop` said yes; caught by whoever took it, never seen by a person."""


@dataclass(frozen=True)
class Steps:
    """What work calls at each step: it tells the caller, and ends the work when the caller said so.

    Args:
        progress: Told of each step.
        stop: Asked at each step.
    """

    progress: Progress = lambda stage, done, total: None
    stop: Stop = lambda: False

    @classmethod
    def of(cls, progress: Progress | None, stop: Stop | None) -> Steps:
        """Steps of callbacks that may be absent."""
        return cls(progress or SILENT.progress, stop or SILENT.stop)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report a step.

        Raises:
            Stopped: the caller asked to stop.
        """
        if self.stop():
            raise Stopped
        self.progress(stage, done, total)


SILENT = Steps()
