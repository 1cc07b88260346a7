"""Exact search: every document is scored, on vectors stored in float16 or float32."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from engine import storage
from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.indexes.base import Index, Settings
from engine.indexes.ids import IdTable
from engine.maxsim import QuantizedDocuments, maxsim, maxsim_topk
from engine.retrieval import Ranking, top_positions


@dataclass(frozen=True)
class ExactSettings(Settings):
    """Settings of the exact index.

    Args:
        dtype: How vectors are stored, "float16" or "float32".
    """

    dtype: Literal["float16", "float32"] = "float16"

    def __post_init__(self) -> None:
        if self.dtype not in ("float16", "float32"):
            raise InputError(f"Expected dtype float16 or float32, got {self.dtype!r}: choose one.")


class StoredVectorsIndex(Index):
    """Base of indexes that keep every vector as it came, in storage order, beside whatever they add to it."""

    documents: TokenEmbeddings

    def _load(self) -> None:
        manifest = self.state.manifest
        if self.state.dim == 0:
            self.documents = TokenEmbeddings(np.empty((0, 0), np.float32), np.zeros(1, np.int64))
            return
        values = storage.open_array(self.path, manifest, "values")
        offsets = storage.open_array(self.path, manifest, "offsets", mmap=False)
        self.documents = TokenEmbeddings(values, offsets, self.state.fingerprint)

    def _write(self, ids: IdTable, documents: TokenEmbeddings, **extra: Any) -> None:
        """Commit a generation; `extra` goes to `storage.commit`."""
        record = {
            "settings": asdict(self.settings),
            "dim": documents.dim if len(documents) else 0,
            "fingerprint": documents.fingerprint if len(documents) else None,
            "documents": len(documents),
            "tokens": documents.n_tokens,
        }
        arrays = {**ids.arrays(), **extra.pop("arrays", {})}
        if len(documents):
            arrays |= {"values": documents.values, "offsets": documents.offsets}
        storage.commit(self.path, f"index/{self.kind}", record, arrays, **extra)

    def _stored(self, documents: TokenEmbeddings) -> TokenEmbeddings:
        """The vectors as this index stores them."""
        with np.errstate(over="ignore"):
            stored = documents.astype(self.settings.dtype)
        stored.check()  # a float32 value beyond the range of float16 becomes infinite here
        return stored

    def _joined(self, documents: TokenEmbeddings) -> TokenEmbeddings:
        stored = self._stored(documents)
        if len(self) == 0:
            return stored
        mine = self.documents
        values = np.concatenate([mine.values, stored.values])
        offsets = np.concatenate([mine.offsets, mine.offsets[-1] + stored.offsets[1:]])
        return TokenEmbeddings(values, offsets, mine.fingerprint or stored.fingerprint)

    def _kept(self, removed: np.ndarray) -> TokenEmbeddings:
        return self.documents.select(np.setdiff1d(np.arange(len(self)), removed))

    def _add(self, names: list[str], documents: TokenEmbeddings) -> None:
        self._write(self.state.ids.joined(names), self._joined(documents))

    def _remove(self, positions: np.ndarray) -> None:
        self._write(self.state.ids.without(positions), self._kept(positions))

    def _vectors(self, positions: np.ndarray) -> TokenEmbeddings:
        return self.documents.select(positions)

    def _ranking(self, positions: np.ndarray, scores: np.ndarray, k: int, notes: tuple[str, ...] = ()) -> Ranking:
        """Order scored storage positions."""
        best = top_positions(scores, self.state.ids.tie_order[positions], k)
        return Ranking([self.state.ids[int(i)] for i in positions[best]], scores[best], notes)


WORTH = 8  # queries from which holding one more byte a dimension in memory pays: fewer are scored in float32 at once


class ExactIndex(StoredVectorsIndex):
    """Scores every document by MaxSim: after a few queries on integer codes first, with proven equal results."""

    kind = "exact"
    compared: ClassVar = {}
    settings_class = ExactSettings
    _codes: QuantizedDocuments | None = None
    _answered = 0

    def _load(self) -> None:
        super()._load()
        self._codes = None
        self._answered = 0

    def _search(self, queries: TokenEmbeddings, k: int, subset: np.ndarray | None) -> list[Ranking]:
        if subset is not None:
            scores = maxsim(queries, self.documents.select(subset))
            return [self._ranking(subset, row, k) for row in scores]
        self._answered += len(queries)
        if self._codes is None and self._answered >= WORTH:
            self._codes = QuantizedDocuments.build(self.documents)
        best, scores = maxsim_topk(queries, self._codes or self.documents, k, self.state.ids.tie_order)
        return [
            Ranking([self.state.ids[int(i)] for i in row], row_scores)
            for row, row_scores in zip(best, scores, strict=True)
        ]
