"""Where the work that can be shared out is done: in this process, unless a command says where else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, runtime_checkable

from engine import Encoder, TokenEmbeddings
from engine.encoding import Progress, Task
from engine.indexes import Index

T = TypeVar("T")
R = TypeVar("R")


class Elsewhere(Protocol):
    """Does the same work in other processes or on other machines; what comes out does not depend on where."""

    def encoder(self, encoder: Encoder) -> Encoder:
        """An encoder that shares out what it encodes."""
        ...

    def index(self, index: Index) -> Index:
        """The same index, built and searched there where its kind can."""
        ...

    def each(self, work: Callable[[T], R], items: Sequence[T], seconds: float | None = None) -> Iterator[tuple[int, R]]:
        """Do something with each of several items at once.

        Args:
            work: A function of a module.
            items: What it is called with.
            seconds: When to give up what is not done by then; None waits for all.

        Yields:
            The number of an item and what came of it, as soon as it is there.
        """
        ...


@runtime_checkable
class SpreadEncoder(Protocol):
    """An encoder that encodes several lots of texts at once."""

    def encode_blocks(
        self, blocks: Sequence[Sequence[str]], task: Task, progress: Progress | None = None
    ) -> Iterator[tuple[int, TokenEmbeddings]]:
        """Encode lots of texts, each as if it were alone.

        Args:
            blocks: The lots.
            task: "query" or "document".
            progress: Called with (texts done, texts in all).

        Yields:
            The number of a lot and its embeddings, as soon as they are there.
        """
        ...


_current: list[Elsewhere] = []


@contextmanager
def working(place: Elsewhere) -> Iterator[None]:
    """Within the block, what can be shared out is done there."""
    _current.append(place)
    try:
        yield
    finally:
        _current.pop()


def place() -> Elsewhere | None:
    """Where work is shared out now; None while all is done in this process."""
    return _current[-1] if _current else None


def spread_encoder(encoder: Any) -> Any:
    """The encoder as it works now: itself, or one that shares out."""
    return _current[-1].encoder(encoder) if _current else encoder


def spread_index(index: Any) -> Any:
    """The index as it works now: itself, or one whose shards are elsewhere."""
    return _current[-1].index(index) if _current else index
