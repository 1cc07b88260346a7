"""What a run says while it trains: one frozen record a happening, for pages, notebooks and logs to draw."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.explain import Alignment


@dataclass(frozen=True)
class Event:
    """Base of the events.

    Args:
        step: Optimiser steps done when it happened.
    """

    step: int

    @property
    def kind(self) -> str:
        """The name of the class in lower case."""
        return type(self).__name__.lower()

    def as_dict(self) -> dict[str, Any]:
        """Kind and fields; alignments stay out, since they are arrays."""
        values = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}
        return {"kind": self.kind, **{name: value for name, value in values.items() if name != "alignments"}}


@dataclass(frozen=True)
class Started(Event):
    """The first step is about to be taken.

    Args:
        steps: Steps that the run will take.
        rows: Rows of training data.
        counts: What the data checks found.
        preflight: Expected seconds and bytes; see `engine.training.probe`.
        settings: All settings.
    """

    steps: int
    rows: int
    counts: dict[str, int]
    preflight: dict[str, Any]
    settings: dict[str, Any]


@dataclass(frozen=True)
class Step(Event):
    """A step was taken.

    Args:
        steps: Steps that the run will take.
        loss: Loss of this step's batch.
        learning_rate: Rate that this step used.
        gradient_norm: Norm of the gradient of all trained weights, before clipping.
        tokens_per_second: Real tokens of the batch, padding left out.
        memory_bytes: Peak of the device so far; the process's resident set on a CPU.
        seconds: Since the first step began.
    """

    steps: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens_per_second: float
    memory_bytes: int
    seconds: float


@dataclass(frozen=True)
class Evaluated(Event):
    """The development collection was searched, or the questions of the training data that choose the step.

    Args:
        ndcg: Mean nDCG@10.
        low: Lower end of the 95% bootstrap interval over queries.
        high: Its upper end.
        queries: Judged queries.
        chooses: Whether these are the questions that choose the step.
    """

    ndcg: float
    low: float
    high: float
    queries: int
    chooses: bool = False


@dataclass(frozen=True)
class Pinned(Event):
    """The pinned pairs were explained with the weights of this step.

    Args:
        alignments: One a pinned pair.
    """

    alignments: tuple[Alignment, ...]


@dataclass(frozen=True)
class Saved(Event):
    """A checkpoint or the model was written.

    Args:
        path: Its folder.
    """

    path: str


@dataclass(frozen=True)
class Finished(Event):
    """The run ended and its model is kept.

    Args:
        reason: "complete" or "stopped".
    """

    reason: str


OnEvent = Callable[[Event], None]


class Stop:
    """Asks a run in another thread to end within a step and to keep the model."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask for the end."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether the end was asked for."""
        return self._event.is_set()
