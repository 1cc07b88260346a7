"""MUVERA: one encoding a document finds candidates, exact MaxSim on the stored vectors orders them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import storage
from engine.embeddings import TokenEmbeddings
from engine.errors import CorruptDataError
from engine.indexes.base import require_positive
from engine.indexes.stored import StoredSettings, StoredVectorsIndex
from engine.indexes.trace import Stage, TokenTrace, exact_stage, stage
from engine.muvera import Encodings, Muvera, MuveraSettings
from engine.retrieval import Ranking

BLOCK = 1024  # documents whose encodings are in memory at once


@dataclass(frozen=True)
class MuveraIndexSettings(MuveraSettings, StoredSettings):
    """Settings of the MUVERA index: those of the encodings, and of the vectors beside them.

    Args:
        candidates: Documents that are reranked, the best by their encodings.
    """

    candidates: int = 400

    def __post_init__(self) -> None:
        StoredSettings.__post_init__(self)
        MuveraSettings.__post_init__(self)
        require_positive(self, "candidates")


class MuveraIndex(StoredVectorsIndex):
    """Looks through all encodings (Dhulipala and others, 2024, arXiv 2405.19504), then scores the best exactly."""

    kind = "muvera"
    settings_class = MuveraIndexSettings
    search_settings = ("candidates",)
    growing = StoredVectorsIndex.growing | {"encodings", "scales"}
    map: Muvera  # from token vectors to encodings, where the index has a dimension
    encodings: Encodings  # one a slot

    @classmethod
    def ladder(cls, settings: MuveraIndexSettings) -> tuple[dict[str, Any], ...]:
        """Search settings, cheapest first."""
        return tuple({"candidates": n} for n in (50, 100, 200, 400, 800, 1600, 3200))

    def _load(self) -> None:
        super()._load()
        if self.state.dim == 0:
            return
        self.map = Muvera.make(self.state.dim, self.settings)
        rows, scales = (storage.open_array(self.path, self.state.manifest, name) for name in ("encodings", "scales"))
        if {len(rows), len(scales)} != {len(self.documents)}:
            raise CorruptDataError(
                f"The encodings in {self.path} do not fit its vectors: restore it or build it again."
            )
        self.encodings = Encodings(self.settings.form, self.settings.dim, rows, scales, self.documents.lengths > 0)

    def _add(self, names: list[str], documents: TokenEmbeddings) -> None:
        self.settings.layout(documents.dim)  # before anything is written
        super()._add(names, documents)

    def _rows(self, documents: TokenEmbeddings, files: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        encode = Muvera.make(documents.dim, self.settings).encode
        found = {name: files[name] for name in ("encodings", "scales") if name in files}
        for start in range(0, len(documents), BLOCK):
            made = encode(documents[start : start + BLOCK])
            for name, rows in (("encodings", made.rows), ("scales", made.scales)):
                generation = storage.next_generation(self.path)
                entry = found.get(name) or storage.grow_entry(name, generation, rows.dtype, rows.shape[1:])
                found[name] = storage.append_rows(self.path, entry, rows)
        return found

    def _search(self, queries: TokenEmbeddings, k: int, subset: np.ndarray | None) -> list[Ranking]:
        limit = max(self.settings.candidates, k)
        if subset is not None and len(subset) <= limit:
            return [self._ranking(subset, row, k) for row in self._scores(queries, subset)]
        every = np.arange(len(self)) if subset is None else subset
        found = self._candidates(queries, limit, every)
        return [
            self._ranking(positions, self._scores(queries.select([number]), positions)[0], k)
            for number, positions in enumerate(found)
        ]

    def _candidates(self, queries: TokenEmbeddings, limit: int, every: np.ndarray) -> list[np.ndarray]:
        """For each query the sorted storage positions, among some, whose encodings are best."""
        among, ties = self.slots[every], np.zeros(len(self.documents), np.int64)
        ties[self.slots] = self.state.ids.tie_order
        found = self.encodings.search(self.map.encode_query(queries), limit, ties, among)
        return [np.sort(np.searchsorted(self.slots, slots)) for slots, _ in found]

    def _stages(
        self, query: TokenEmbeddings, position: int, k: int
    ) -> tuple[tuple[Stage, ...], TokenTrace | None, tuple[str, ...]]:
        """Encodings, exact scores."""
        limit, every = max(self.settings.candidates, k), np.arange(len(self))
        kept = self._candidates(query, limit, every)[0]
        estimates = self.encodings.scores(self.map.encode_query(query))[0, self.slots]
        scores = self._scores(query, kept)[0]
        found = stage("encodings", "candidates", limit, position, every, estimates, kept)
        return (found, exact_stage(position, scores, self.state.ids.tie_order[kept], kept, k)), None, ()
