"""Where shards are opened, asked and changed: in this process, or wherever another host has them."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import WorkbenchError, WorkerError
from engine.indexes import Index, open_index
from engine.indexes.sharded.changes import Job, work
from engine.retrieval import Ranking

OPEN = "open"  # the method of a question that only wants its shard opened


@dataclass(frozen=True, eq=False)
class Ask:
    """A question to one shard.

    Args:
        folder: The shard.
        method: A name of `METHODS`, or OPEN.
        arguments: Of that method, behind the index.
        settings: Search settings that it is answered with.
    """

    folder: Path
    method: str
    arguments: tuple[Any, ...] = ()
    settings: Mapping[str, Any] | None = None


class Host(Protocol):
    """Has shards open. Answers do not depend on which host gives them."""

    def hold(self, folders: Sequence[Path]) -> None:
        """Open shards that lie complete in folders, which stay as they are; held as often as this is called.

        Raises:
            CorruptDataError: a file is damaged.
            WorkerError: the process or machine that should open one does not.
        """
        ...

    def drop(self, folders: Sequence[Path]) -> None:
        """Let go of shards once; may be called at any moment, in any thread."""
        ...

    def ask(self, asks: Sequence[Ask]) -> list[Any]:
        """Ask shards that are held; one answer a question, in order."""
        ...

    def change(self, jobs: Sequence[Job]) -> None:
        """Do all jobs; when one fails, its error is raised, and what the others wrote is the caller's to remove."""
        ...


class Here:
    """Has shards open in this process, one after the other on all of its threads."""

    def __init__(self) -> None:
        self._open: dict[Path, Index] = {}
        self._counts: Counter[Path] = Counter()
        self._lock = Lock()
        self._dropped: list[Path] = []

    def hold(self, folders: Sequence[Path]) -> None:
        """See `Host`."""
        with self._lock:
            self._let_go()
            self._open |= {folder: open_index(folder) for folder in folders if folder not in self._open}
            self._counts.update(folders)

    def drop(self, folders: Sequence[Path]) -> None:
        """See `Host`; done at the next call, since this one may interrupt any other."""
        self._dropped.extend(folders)

    def _let_go(self) -> None:
        while self._dropped:
            folder = self._dropped.pop()
            self._counts[folder] -= 1
            if self._counts[folder] <= 0:
                self._open.pop(folder, None)

    def ask(self, asks: Sequence[Ask]) -> list[Any]:
        """See `Host`."""
        with self._lock:
            self._let_go()
            shards = [self._open[entry.folder] for entry in asks]
        return [answer(index, entry) for index, entry in zip(shards, asks, strict=True)]

    def change(self, jobs: Sequence[Job]) -> None:
        """See `Host`."""
        for job in jobs:
            work(job)


class Station:
    """Answers at one place of `Places`: opens a shard when it is first asked for, and holds what is wanted."""

    def __init__(self) -> None:
        self._here, self._held = Here(), set()

    def __call__(self, wanted: Sequence[Path], asks: Sequence[Ask]) -> Any:
        """Answer questions.

        Args:
            wanted: All shards that stay open.
            asks: The questions, all to some of these.

        Returns:
            One answer a question, or the error that came instead.
        """
        try:
            self._here.drop(list(self._held.difference(wanted)))
            self._held.intersection_update(wanted)
            for folder in {ask.folder for ask in asks} - self._held:
                self._here.hold([folder])
                self._held.add(folder)
            return [None if ask.method == OPEN else self._here.ask([ask])[0] for ask in asks]
        except Exception as error:
            return portable(error)


class Places(ABC):
    """Has shards open at several places that each have a `Station`; each shard has its place, as evenly as they fit.

    Args:
        count: How many places.
    """

    def __init__(self, count: int) -> None:
        self._counts: Counter[Path] = Counter()
        self._places: list[dict[Path, None]] = [{} for _ in range(count)]  # sets in the order in which shards came
        self._dropped: list[Path] = []
        self._lock = Lock()

    def hold(self, folders: Sequence[Path]) -> None:
        """See `Host`."""
        with self._lock:
            self._let_go()
            for folder in folders:
                if folder not in self._counts:
                    min(self._places, key=len)[folder] = None
                self._counts[folder] += 1
            try:
                self._asked([Ask(folder, OPEN) for folder in folders])
            except BaseException:
                self._dropped.extend(folders)
                raise

    def drop(self, folders: Sequence[Path]) -> None:
        """See `Host`; done at the next call, since this one may interrupt any other."""
        self._dropped.extend(folders)

    def _let_go(self) -> None:
        while self._dropped:
            folder = self._dropped.pop()
            self._counts[folder] -= 1
            if self._counts[folder] <= 0:
                del self._counts[folder]
                for place in self._places:
                    place.pop(folder, None)

    def ask(self, asks: Sequence[Ask]) -> list[Any]:
        """See `Host`.

        Raises:
            WorkerError: a place is gone.
        """
        with self._lock:
            self._let_go()
            return self._asked(asks)

    def _asked(self, asks: Sequence[Ask]) -> list[Any]:
        parts: dict[int, list[int]] = {}
        for number, entry in enumerate(asks):
            place = next(i for i, folders in enumerate(self._places) if entry.folder in folders)
            parts.setdefault(place, []).append(number)
        found = self._at({place: [asks[i] for i in numbers] for place, numbers in parts.items()})
        answers: list[Any] = [None] * len(asks)
        for place, numbers in parts.items():
            if isinstance(found[place], Exception):
                raise found[place]
            for i, entry in zip(numbers, found[place], strict=True):
                answers[i] = entry
        return answers

    def _wanted(self, place: int) -> list[Path]:
        """The shards that stay open at a place."""
        return list(self._places[place])

    @abstractmethod
    def _at(self, parts: Mapping[int, list[Ask]]) -> dict[int, Any]:
        """Ask several places at once; what the `Station` of each returns."""


def portable(error: Exception) -> Exception:
    """An error that another process can read."""
    try:
        if isinstance(error, WorkbenchError):
            return type(error)(str(error))
        pickle.loads(pickle.dumps(error))
    except Exception:
        return WorkerError(f"A process that searches shards failed ({type(error).__name__}: {error}): see its output.")
    return error


def answer(index: Index, ask: Ask) -> Any:
    """What a shard answers.

    Args:
        index: The shard, open.
        ask: The question; what it asks for has been checked.
    """
    return METHODS[ask.method](index.tuned(**ask.settings) if ask.settings else index, *ask.arguments)


def _search(index: Index, queries: TokenEmbeddings, k: int, subset: np.ndarray | None) -> list[Ranking]:
    return index._search(queries, k, subset)


def _size(index: Index) -> dict[str, Any]:
    described = index.describe()
    kept = {name: described[name] for name in ("documents", "tokens", "bytes")}
    return {**kept, "unread_bytes": index.unread_bytes, "approximation": described.get("approximation")}


METHODS = {
    "search": _search,
    "vectors": lambda index, positions: index._vectors(positions),
    "scores": lambda index, query: index._stored_scores(query),
    "stages": lambda index, query, position, k: index._stages(query, position, k),
    "size": _size,
    "verify": lambda index: index.verify(),
}
