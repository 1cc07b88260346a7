"""Base of indexes that keep every vector as it came, beside whatever they add to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from engine import storage
from engine.embeddings import TokenEmbeddings
from engine.errors import CorruptDataError, InputError, StorageError
from engine.indexes import slots
from engine.indexes.base import ABILITIES, Index, Settings
from engine.indexes.folder import commit_empty
from engine.indexes.ids import IdTable, others
from engine.maxsim.checks import check_scores
from engine.maxsim.exact import score_chosen
from engine.retrieval import Ranking, top_positions

CHUNK_TOKENS = 1 << 16  # copied at once
NOTHING = TokenEmbeddings(np.empty((0, 0), np.float32), np.zeros(1, np.int64))


@dataclass(frozen=True)
class StoredSettings(Settings):
    """Settings of an index that keeps the vectors.

    Args:
        dtype: How vectors are stored, "float16" or "float32".
    """

    dtype: Literal["float16", "float32"] = "float16"

    def __post_init__(self) -> None:
        if self.dtype not in ("float16", "float32"):
            raise InputError(f"Expected dtype float16 or float32, got {self.dtype!r}: choose one.")


class StoredVectorsIndex(Index):
    """Keeps values and ends of documents in growing files, and which of them are left after removals.

    An addition costs what is added. A removal writes ids and slots; once more than half of the tokens belong to removed
    documents it compacts, if the disk has room. A backend may keep files of its own: see `_grown`, `_anew` and `_rows`.
    """

    settings_class = StoredSettings
    can = frozenset(ABILITIES)
    growing: ClassVar[frozenset[str]] = frozenset({"values", "ends"})
    documents: TokenEmbeddings  # one item a slot, those of removed documents too
    slots: np.ndarray  # int64 [documents], the slot of each storage position, rising

    def _load(self) -> None:
        manifest, state = self.state.manifest, self.state
        self.documents, self.slots = NOTHING, np.empty(0, np.int64)
        if state.dim == 0:
            return
        if "ends" not in manifest.files:
            raise CorruptDataError(f"{self.path} is of an earlier version with other files: build it again.")
        values = storage.open_array(self.path, manifest, "values")
        offsets = np.concatenate([[0], storage.open_array(self.path, manifest, "ends", mmap=False)])
        try:
            self.documents = TokenEmbeddings(values, offsets, state.fingerprint)
        except InputError as error:
            raise CorruptDataError(f"{self.path} is damaged ({error}): restore it or build it again.") from None
        self.slots = slots.read(self.path, manifest, len(self), len(self.documents))

    def _grown(self, documents: TokenEmbeddings) -> dict[str, Path]:
        """Finished files of the backend's own, by name, with these documents added; those left out stay as they are."""
        return {}

    def _anew(self, documents: TokenEmbeddings) -> dict[str, Path]:
        """The same over these documents alone."""
        return {}

    def _rows(self, documents: TokenEmbeddings, files: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Entries of growing files of the backend's own, by name, with rows for these documents added.

        Args:
            documents: One item a new slot.
            files: The entries so far; without those of the backend when the files are begun anew.
        """
        return {}

    def _add(self, names: list[str], documents: TokenEmbeddings) -> None:
        new, before = documents.astype(self.settings.dtype, names), self.state.manifest
        if self.state.dim:
            files = others(before.files)
        else:
            generation = storage.next_generation(self.path)
            files = {
                "values": storage.grow_entry("values", generation, new.values.dtype, (new.dim,)),
                "ends": storage.grow_entry("ends", generation, "<i8"),
                "slots": storage.grow_entry("slots", generation, "<i4"),
            }
        files["values"] = storage.append_rows(self.path, files["values"], new.values)
        files["ends"] = storage.append_rows(self.path, files["ends"], self.documents.n_tokens + new.offsets[1:])
        files["slots"] = slots.append(self.path, files["slots"], len(self.documents), len(new))
        files |= self._rows(new, files)
        self._commit(
            self.state.ids.joined(names),
            np.concatenate([self.documents.lengths[self.slots], new.lengths]),
            files,
            self._grown(new),
            dim=new.dim,
            fingerprint=self.state.fingerprint or new.fingerprint,
        )

    def _remove(self, positions: np.ndarray) -> None:
        left, ids = np.delete(self.slots, positions), self.state.ids.without(positions)
        if len(left) == 0:
            commit_empty(self.path, self.kind, self.settings)
            return
        lengths = self.documents.lengths[left]
        if 2 * int(lengths.sum()) < self.documents.n_tokens:
            try:
                self._copy(left, ids.compacted())
                return
            except StorageError:  # no room for a copy: removing must be possible on a full disk
                storage.sweep(self.path)
        files = {**others(self.state.manifest.files), "slots": slots.write(self.path, left)}
        self._commit(ids, lengths, files, {})

    def _compact(self) -> None:
        if len(self.slots) < len(self.documents):
            self._copy(self.slots, self.state.ids.compacted())

    def _copy(self, left: np.ndarray, ids: IdTable) -> None:
        """Write the documents of these slots alone."""
        storage.verify(self.path, self.state.manifest, ("values", "ends"))
        generation, lengths = storage.next_generation(self.path), self.documents.lengths[left]
        entry = storage.grow_entry("values", generation, self.documents.values.dtype, (self.documents.dim,))
        ends = np.cumsum(lengths)
        first = 0
        with storage.writing(self.path):
            while first < len(left):
                before = ends[first - 1] if first else 0
                last = max(first + 1, int(np.searchsorted(ends, before + CHUNK_TOKENS, side="right")))
                entry = storage.append_rows(self.path, entry, self.documents.select(left[first:last]).values)
                first = last
            files = {
                "values": entry,
                "ends": storage.append_rows(self.path, storage.grow_entry("ends", generation, "<i8"), ends),
                "slots": slots.write(self.path, np.arange(len(left))),
            }
            values = storage.open_rows(self.path, entry)
            copied = TokenEmbeddings(values, np.concatenate([[0], ends]), self.state.fingerprint)
            self._commit(ids, lengths, files | self._rows(copied, files), self._anew(copied))

    def _commit(
        self,
        ids: IdTable,
        lengths: np.ndarray,
        files: Mapping[str, dict[str, Any]],
        own: Mapping[str, Path],
        **record: Any,
    ) -> None:
        """Put a generation in force: ids and lengths of its documents, entries of growing files, files of the kind."""
        record = {
            **self.state.manifest.record,
            "documents": len(ids),
            "tokens": int(lengths.sum()),
            "without_vectors": int((lengths == 0).sum()),
            **record,
        }
        storage.commit(self.path, f"index/{self.kind}", record, {}, {**files, **ids.files(self.path)}, own)

    def _vectors(self, positions: np.ndarray) -> TokenEmbeddings:
        return self.documents.select(self.slots[positions])

    def _scores(self, queries: TokenEmbeddings, positions: np.ndarray) -> np.ndarray:
        """MaxSim of every query with the documents at some storage positions, float32 [m, n], without copying them."""
        scores = score_chosen(queries, self.documents, self.slots[positions])
        if np.isnan(scores).any():
            check_scores(scores, queries, self._vectors(positions))
        return scores

    def _stored_scores(self, query: TokenEmbeddings) -> np.ndarray:
        return self._scores(query, np.arange(len(self)))[0]

    def _ranking(self, positions: np.ndarray, scores: np.ndarray, k: int, notes: tuple[str, ...] = ()) -> Ranking:
        """Order scored storage positions."""
        best = top_positions(scores, self.state.ids.tie_order[positions], k)
        return Ranking(self.state.ids.at(positions[best]), scores[best], notes)
