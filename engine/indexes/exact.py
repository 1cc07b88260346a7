"""Exact search: every document is scored, on vectors stored in float16 or float32."""

from __future__ import annotations

from threading import Lock
from typing import ClassVar

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.indexes.stored import StoredSettings, StoredVectorsIndex
from engine.maxsim import QuantizedDocuments, maxsim_topk
from engine.retrieval import Ranking

WORTH = 8  # queries from which holding one more byte a dimension in memory pays: fewer are scored in float32 at once


class ExactSettings(StoredSettings):
    """Settings of the exact index."""


class Codes:
    """Integer codes of the vectors of one generation, built by the thread whose queries make them worth it.

    Args:
        documents: The vectors.
    """

    def __init__(self, documents: TokenEmbeddings) -> None:
        self._documents, self._answered, self._lock = documents, 0, Lock()
        self._built: QuantizedDocuments | None = None

    def after(self, queries: int) -> QuantizedDocuments | TokenEmbeddings:
        """The codes, or the vectors themselves while these queries and those before are too few."""
        with self._lock:
            self._answered += queries
            if self._built is None and self._answered >= WORTH:
                self._built = QuantizedDocuments.build(self._documents)
            return self._built or self._documents


class ExactIndex(StoredVectorsIndex):
    """Scores every document by MaxSim: after a few queries on integer codes first, with proven equal results."""

    kind = "exact"
    compared: ClassVar = {}
    settings_class = ExactSettings
    codes: Codes

    def _load(self) -> None:
        super()._load()
        self.codes = Codes(self.documents)

    def _search(self, queries: TokenEmbeddings, k: int, subset: np.ndarray | None) -> list[Ranking]:
        if subset is not None:
            return [self._ranking(subset, row, k) for row in self._scores(queries, subset)]
        ties, among = self.state.ids.tie_order, None
        if len(self.slots) < len(self.documents):
            ties, among = np.zeros(len(self.documents), np.int64), self.slots
            ties[among] = self.state.ids.tie_order
        best, scores = maxsim_topk(queries, self.codes.after(len(queries)), k, ties, among)
        best = np.searchsorted(self.slots, best)
        return [Ranking(self.state.ids.at(row), row_scores) for row, row_scores in zip(best, scores, strict=True)]
