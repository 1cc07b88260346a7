"""The contract of every index: checks that come before any write, and the operations a backend fills in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError, NotFoundError
from engine.indexes import checks
from engine.indexes.checks import ABILITIES, Settings, require_positive
from engine.indexes.folder import IndexFolder
from engine.indexes.progress import BuildProgress
from engine.indexes.state import State
from engine.indexes.trace import Stage, TokenTrace, Trace, exact_stage, finish, original_scores
from engine.maxsim import maxsim
from engine.retrieval import Ranking, check_k

__all__ = ["ABILITIES", "Index", "Settings", "State", "require_positive"]


class Index(IndexFolder):
    """A searchable set of documents, each a ragged array of token vectors, in one folder.

    A backend sets what `Kind` names, and fills in `_load`, `_add`, `_remove`, `_search` and `_vectors`. The methods
    here check the arguments, so that a backend sees only what makes sense. One object may be searched by any number of
    threads while one of them changes it: each search answers from one state, as before or after the change.
    """

    progress: Callable[[BuildProgress], None] | None = None  # called on the way of a build by the kinds that know

    def add(self, ids: Sequence[str], documents: TokenEmbeddings) -> None:
        """Add documents; either all are in the index afterwards, or none.

        Args:
            ids: n names of the caller's, none in the index yet.
            documents: n documents; one without token vectors is kept where the kind can ("empty-documents"), and is
                in no ranking, since it scores minus infinity.

        Raises:
            InputError: counts, ids, dimension, model or values do not fit; nothing was written.
            CorruptDataError: a file that the change would copy is damaged.
            StorageError: the disk is full or gone; the index is as before.
            BusyError: another process or thread is writing.
        """
        self._need("add")
        names = list(ids)
        with self._changing():
            checks.documents(self, names, documents)
            if names:
                self._add(names, documents)

    def remove(self, ids: Sequence[str]) -> None:
        """Remove documents; the other ids keep their meaning.

        Args:
            ids: Names that are in the index.

        Raises:
            NotFoundError: an id that is not in the index; nothing was written.
            CorruptDataError: a file that the change would copy is damaged.
            StorageError: the disk is full or gone; the index is as before.
            BusyError: another process or thread is writing.
        """
        self._need("remove")
        names = list(dict.fromkeys(ids))
        with self._changing():
            positions = self._positions(names)
            if len(positions):
                self._remove(positions)

    def compact(self) -> None:
        """Give back the room of removed documents; ids and rankings stay as they are.

        Raises:
            CorruptDataError: a file that would be copied is damaged.
            StorageError: the disk has no room for the documents that are left beside what is there.
            BusyError: another process or thread is writing.
        """
        with self._changing():
            self._compact()

    def search(self, queries: TokenEmbeddings, k: int = 10, subset: Sequence[str] | None = None) -> list[Ranking]:
        """Find the best documents for each query.

        Args:
            queries: m queries.
            k: How many documents; fewer come back only when there are fewer.
            subset: Ids to search among, all in the index; None searches all.

        Returns:
            m rankings, best first, ties by id; each score is the MaxSim on the stored vectors. All of them answer from
            one state of the index, whatever changes it meanwhile.

        Raises:
            InputError: k below 1, another dimension or model, non-finite values.
            NotFoundError: an id of the subset is not in the index.
        """
        check_k(k)
        if subset is not None:
            self._need("subset")
        now = self._pinned()
        positions = None if subset is None else np.unique(now._positions(list(dict.fromkeys(subset))))
        if len(now) == 0 or len(queries) == 0 or (positions is not None and len(positions) == 0):
            return [Ranking([], np.empty(0, np.float32)) for _ in range(len(queries))]
        checks.vectors(now.state, queries, None)
        return now._search(queries, k, positions)

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
        now = self._pinned()
        positions = np.arange(len(now)) if ids is None else now._positions(list(ids))
        if len(positions) == 0:
            return TokenEmbeddings.from_list([], now.state.fingerprint, now.state.dim)
        return now._vectors(positions)

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
        now = self._pinned()
        position = int(now._positions([document])[0])
        checks.vectors(now.state, query, None)
        original = original_scores(query, originals, len(now))
        stages, tokens, notes = now._stages(query, position, k)
        tie_order, stored = now.state.ids.tie_order, now._stored_scores(query)
        found = finish(document, position, k, stages, tokens, tie_order, stored, original, notes)
        return replace(found, remedy=None if found.cut_by is None else self.remedy(found.cut_by))

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
    def _add(self, names: list[str], documents: TokenEmbeddings) -> None:
        """Write a generation with the documents appended."""

    @abstractmethod
    def _remove(self, positions: np.ndarray) -> None:
        """Write a generation without the documents at these storage positions."""

    def _compact(self) -> None:
        """Write a generation without the room of removed documents, where a removal left any."""

    def _vectors(self, positions: np.ndarray) -> TokenEmbeddings:
        """The stored vectors at these storage positions; a kind without "stored" in `can` leaves it out."""
        raise NotImplementedError

    @abstractmethod
    def _search(self, queries: TokenEmbeddings, k: int, subset: np.ndarray | None) -> list[Ranking]:
        """Search among all documents, or the sorted storage positions of `subset`."""
