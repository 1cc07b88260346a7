"""The contract of every index: checks that come before any write, and the operations a backend fills in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine import storage
from engine.embeddings import TokenEmbeddings
from engine.errors import CorruptDataError, InputError, NotFoundError, UnsupportedError
from engine.indexes import checks
from engine.indexes.checks import ABILITIES, Settings, require_positive
from engine.indexes.ids import IdTable
from engine.indexes.kind import Kind
from engine.indexes.trace import Stage, TokenTrace, Trace, exact_stage, finish, original_scores
from engine.maxsim import maxsim
from engine.retrieval import Ranking, check_k

__all__ = ["ABILITIES", "Index", "Settings", "State", "require_positive"]


@dataclass(frozen=True)
class State:
    """What every backend knows of its documents in one generation.

    Args:
        manifest: The manifest in force.
        ids: The ids, in storage order.
        dim: Dimension of the vectors, 0 while empty.
        fingerprint: Of the model that made the vectors, or None.
    """

    manifest: storage.Manifest
    ids: IdTable
    dim: int
    fingerprint: str | None


class Index(Kind, ABC):
    """A searchable set of documents, each a ragged array of token vectors, in one folder.

    A backend sets what `Kind` names, and fills in `_load`, `_add`, `_remove`, `_search` and `_vectors`.
    The methods here check the arguments, so that a backend sees only what makes sense.
    """

    def __init__(self, path: Path, settings: Any, state: State) -> None:
        self.path = path
        self.settings = settings
        self.state = state

    @classmethod
    def create(cls, path: Path, settings: dict[str, Any]) -> Index:
        """Make an empty index; see `engine.indexes.create_index`."""
        parsed = cls.parse_settings(settings)
        cls.check_installed()
        if path.exists() and (not path.is_dir() or any(entry.name != storage.LOCK for entry in path.iterdir())):
            raise InputError(f"{path} is not empty: give a new folder, or open what is there with open_index.")
        with storage.writer_lock(path):
            ids = IdTable.from_list([])
            record = {"settings": asdict(parsed), "dim": 0, "fingerprint": None, "documents": 0, "tokens": 0}
            storage.commit(path, f"index/{cls.kind}", record, ids.arrays())
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Index:
        """Open a folder; see `engine.indexes.open_index`."""
        manifest = storage.read_manifest(path, f"index/{cls.kind}")
        cls.check_installed()
        index = cls(
            path, cls.parse_settings(manifest.record["settings"]), State(manifest, IdTable.from_list([]), 0, None)
        )
        index._read(manifest)
        return index

    def _read(self, manifest: storage.Manifest) -> None:
        """Load a generation; when a writer replaced it halfway, load the one that is in force by then."""
        while True:
            before = self.state
            try:
                self.state = self._state(self.path, manifest)
                self._load()
                return
            except CorruptDataError:
                self.state = before
                latest = storage.read_manifest(self.path, f"index/{self.kind}")
                if latest.generation == manifest.generation:
                    raise
                manifest = latest

    @staticmethod
    def _state(path: Path, manifest: storage.Manifest) -> State:
        record = manifest.record
        return State(manifest, IdTable.open(path, manifest), record["dim"], record["fingerprint"])

    def __len__(self) -> int:
        return len(self.state.ids)

    def __contains__(self, name: str) -> bool:
        return name in self.state.ids

    def tuned(self, **settings: Any) -> Index:
        """The same index with other search settings, without touching the folder.

        Args:
            settings: Among `search_settings`.

        Returns:
            A second index object over the same files.

        Raises:
            InputError: a setting that is fixed with the index, or a value that makes no sense.
        """
        fixed = next((name for name in settings if name not in self.search_settings), None)
        if fixed is not None:
            allowed = ", ".join(self.search_settings) or "nothing"
            raise InputError(f"{fixed!r} cannot change after the build: tune {allowed}.")
        other = copy(self)
        other.settings = replace(self.settings, **settings)
        return other

    @property
    def abilities(self) -> frozenset[str]:
        """What this index can do with its settings: `can`, or less."""
        return self.can

    @property
    def ids(self) -> list[str]:
        """The ids of all documents, in storage order."""
        return self.state.ids.names

    def add(self, ids: Sequence[str], documents: TokenEmbeddings) -> None:
        """Add documents; either all are in the index afterwards, or none.

        Args:
            ids: n names of the caller's, none in the index yet.
            documents: n documents, each with at least one token.

        Raises:
            InputError: counts, ids, dimension, model or values do not fit; nothing was written.
            BusyError: another process is writing.
        """
        self._need("add")
        names = list(ids)
        with storage.writer_lock(self.path):
            self.refresh()
            checks.documents(self.state, names, documents)
            if names:
                self._add(names, documents)
                self.refresh()
                self._changed()

    def remove(self, ids: Sequence[str]) -> None:
        """Remove documents; the other ids keep their meaning.

        Args:
            ids: Names that are in the index.

        Raises:
            NotFoundError: an id that is not in the index; nothing was written.
            BusyError: another process is writing.
        """
        self._need("remove")
        names = list(dict.fromkeys(ids))
        with storage.writer_lock(self.path):
            self.refresh()
            positions = self._positions(names)
            if len(positions):
                self._remove(positions)
                self.refresh()
                self._changed()

    def search(self, queries: TokenEmbeddings, k: int = 10, subset: Sequence[str] | None = None) -> list[Ranking]:
        """Find the best documents for each query.

        Args:
            queries: m queries.
            k: How many documents; fewer come back only when there are fewer.
            subset: Ids to search among, all in the index; None searches all.

        Returns:
            m rankings, best first, ties by id; each score is the MaxSim on the stored vectors.

        Raises:
            InputError: k below 1, another dimension or model, non-finite values.
            NotFoundError: an id of the subset is not in the index.
        """
        check_k(k)
        if subset is not None:
            self._need("subset")
        positions = None if subset is None else np.unique(self._positions(list(dict.fromkeys(subset))))
        if len(self) == 0 or len(queries) == 0 or (positions is not None and len(positions) == 0):
            return [Ranking([], np.empty(0, np.float32)) for _ in range(len(queries))]
        checks.vectors(self.state, queries, None)
        return self._search(queries, k, positions)

    def stored(self, ids: Sequence[str] | None = None) -> TokenEmbeddings:
        """The vectors of some documents as this index stores them, after its rounding or compression.

        Args:
            ids: Names that are in the index, or None for all documents in storage order.

        Returns:
            One item an id, in the order given.

        Raises:
            NotFoundError: an id that is not in the index.
            UnsupportedError: this kind cannot give them back.
        """
        self._need("stored")
        positions = np.arange(len(self)) if ids is None else self._positions(list(ids))
        if len(positions) == 0:
            return TokenEmbeddings.from_list([], self.state.fingerprint, self.state.dim)
        return self._vectors(positions)

    def trace(
        self, query: TokenEmbeddings, document: str, k: int = 10, originals: TokenEmbeddings | None = None
    ) -> Trace:
        """Follow one document through the search for one query.

        Args:
            query: One query.
            document: An id that is in the index.
            k: How many results the search returns.
            originals: The vectors of all documents before the index stored them, in storage order, for comparison.

        Returns:
            What every stage did with the document.

        Raises:
            InputError: not exactly one query, or what `search` refuses.
            NotFoundError: the id is not in the index.
            UnsupportedError: this kind does not keep what a trace needs.
        """
        check_k(k)
        if len(query) != 1 or query.n_tokens == 0:
            raise InputError(f"Expected one query with tokens, got {len(query)}: trace them one by one.")
        self._need("stored")
        position = int(self._positions([document])[0])
        checks.vectors(self.state, query, None)
        original = original_scores(query, originals, len(self))
        stages, tokens, notes = self._stages(query, position, k)
        tie_order, stored = self.state.ids.tie_order, self._stored_scores(query)
        found = finish(document, position, k, stages, tokens, tie_order, stored, original, notes)
        return replace(found, remedy=None if found.cut_by is None else self.remedy(found.cut_by))

    def refresh(self) -> bool:
        """See what another process has written since; True if there was something."""
        manifest = storage.read_manifest(self.path, f"index/{self.kind}")
        if manifest.generation == self.state.manifest.generation:
            return False
        self._read(manifest)
        return True

    def verify(self) -> None:
        """Compare every file with its checksum; raises CorruptDataError at the first that differs."""
        storage.verify(self.path, self.state.manifest)

    def describe(self) -> dict[str, Any]:
        """Documents, tokens, bytes, settings, fingerprints and what this kind can do, as JSON values."""
        record = self.state.manifest.record
        tokens, size = record["tokens"], self.state.manifest.bytes
        return {
            "kind": self.kind,
            "documents": len(self),
            "tokens": tokens,
            "dim": self.state.dim,
            "bytes": size,
            "bytes_per_token": size / tokens if tokens else 0.0,
            "settings": asdict(self.settings),
            "fingerprint": self.state.fingerprint,
            "generation": self.state.manifest.generation,
            "can": sorted(self.abilities),
            "cannot": sorted(set(ABILITIES) - self.abilities),
        }

    def _need(self, ability: str) -> None:
        if ability not in self.abilities:
            raise UnsupportedError(
                f"Index kind {self.kind!r} has not the ability {ability!r}: it has {', '.join(sorted(self.abilities))}."
            )

    def _positions(self, names: list[str]) -> np.ndarray:
        found = self.state.ids.positions(names)
        if (found < 0).any():
            missing = names[int(np.flatnonzero(found < 0)[0])]
            raise NotFoundError(f"The index has no document {missing!r}: name ids that were added.")
        return found

    def _stored_scores(self, query: TokenEmbeddings) -> np.ndarray:
        """MaxSim of one query on the stored vectors of all documents, float32 [n]."""
        return maxsim(query, self.stored())[0]

    def _stages(
        self, query: TokenEmbeddings, position: int, k: int
    ) -> tuple[tuple[Stage, ...], TokenTrace | None, tuple[str, ...]]:
        """All stages of a search as one document saw them; a kind that looks at every document has only the last."""
        every = np.arange(len(self))
        return (exact_stage(position, self._stored_scores(query), self.state.ids.tie_order, every, k),), None, ()

    @abstractmethod
    def _load(self) -> None:
        """Open the files of `self.state.manifest`; called after every change of generation."""

    @abstractmethod
    def _add(self, names: list[str], documents: TokenEmbeddings) -> None:
        """Write a generation with the documents appended."""

    @abstractmethod
    def _remove(self, positions: np.ndarray) -> None:
        """Write a generation without the documents at these storage positions."""

    def _changed(self) -> None:
        """Called after every change, with the new generation loaded and the writer lock held."""

    def _vectors(self, positions: np.ndarray) -> TokenEmbeddings:
        """The stored vectors at these storage positions; a kind without "stored" in `can` leaves it out."""
        raise NotImplementedError

    @abstractmethod
    def _search(self, queries: TokenEmbeddings, k: int, subset: np.ndarray | None) -> list[Ranking]:
        """Search among all documents, or the sorted storage positions of `subset`."""
