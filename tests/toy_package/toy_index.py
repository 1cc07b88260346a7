"""An index kind of another package: mean vectors choose the candidates, MaxSim on the stored vectors ranks them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from engine import TokenEmbeddings, maxsim, storage
from engine.indexes import Index
from engine.indexes.base import Settings, require_positive
from engine.indexes.ids import IdTable
from engine.indexes.trace import exact_stage, stage
from engine.retrieval import Ranking, top_positions


@dataclass(frozen=True)
class ToySettings(Settings):
    """Settings of the toy.

    Args:
        candidates: Documents that get their MaxSim, the best by their mean vector; 0 takes all.
    """

    candidates: int = 0

    def __post_init__(self) -> None:
        require_positive(self, "candidates", least=0)


class ToyIndex(Index):
    """All that a kind needs: what it says of itself, and five methods."""

    kind = "toy"
    settings_class = ToySettings
    search_settings = ("candidates",)
    packages = ("toy-index",)
    compared: ClassVar = {"candidates": 2}
    documents: TokenEmbeddings

    @classmethod
    def ladder(cls, settings: ToySettings) -> tuple[dict[str, Any], ...]:
        """Search settings, cheapest first."""
        return ({"candidates": 4}, {"candidates": 0})

    @classmethod
    def remedy(cls, setting: str) -> str:
        """What wins a document back."""
        return "look at more means" if setting == "candidates" else super().remedy(setting)

    def _load(self) -> None:
        self.documents = TokenEmbeddings.from_list([])
        if self.state.dim:
            values, offsets = (storage.open_array(self.path, self.state.manifest, name) for name in ("values", "ends"))
            self.documents = TokenEmbeddings(values, offsets, self.state.fingerprint)

    def _write(self, ids: IdTable, documents: TokenEmbeddings) -> None:
        record = {
            "settings": asdict(self.settings),
            "dim": documents.dim if len(ids) else 0,
            "fingerprint": documents.fingerprint if len(ids) else None,
            "documents": len(ids),
            "tokens": documents.n_tokens,
        }
        arrays = {"values": documents.values, "ends": documents.offsets} if len(ids) else {}
        storage.commit(self.path, f"index/{self.kind}", record, arrays, ids.files(self.path))

    def _add(self, names: list[str], documents: TokenEmbeddings) -> None:
        items = [self.documents[i] for i in range(len(self))] + [documents[i] for i in range(len(documents))]
        fingerprint = self.state.fingerprint or documents.fingerprint
        self._write(self.state.ids.joined(names), TokenEmbeddings.from_list(items, fingerprint))

    def _remove(self, positions: np.ndarray) -> None:
        left = np.delete(np.arange(len(self)), positions)
        self._write(self.state.ids.without(positions), self.documents.select(left))

    def _vectors(self, positions: np.ndarray) -> TokenEmbeddings:
        return self.documents.select(positions)

    def _means(self, query: TokenEmbeddings, among: np.ndarray) -> np.ndarray:
        means = np.stack([self.documents[int(i)].astype(np.float32).mean(axis=0) for i in among])
        return means @ query.values.astype(np.float32).mean(axis=0)

    def _candidates(self, query: TokenEmbeddings, among: np.ndarray, k: int) -> np.ndarray:
        wanted = max(self.settings.candidates or len(among), k)
        return among[np.sort(top_positions(self._means(query, among), self.state.ids.tie_order[among], wanted))]

    def _search(self, queries: TokenEmbeddings, k: int, subset: np.ndarray | None) -> list[Ranking]:
        found, among = [], np.arange(len(self)) if subset is None else subset
        for number in range(len(queries)):
            query = queries.select([number])
            chosen = self._candidates(query, among, k)
            scores = maxsim(query, self.documents.select(chosen))[0]
            best = top_positions(scores, self.state.ids.tie_order[chosen], k)
            found.append(Ranking([self.state.ids[int(i)] for i in chosen[best]], scores[best]))
        return found

    def _stages(self, query: TokenEmbeddings, position: int, k: int) -> Any:
        every = np.arange(len(self))
        chosen, limit = self._candidates(query, every, k), max(self.settings.candidates or len(self), k)
        means = stage("means", "candidates", limit, position, every, self._means(query, every), chosen)
        scores = maxsim(query, self.documents.select(chosen))[0]
        return (means, exact_stage(position, scores, self.state.ids.tie_order[chosen], chosen, k)), None, ()


class Misnamed(ToyIndex):
    """Registered under another name than its own."""
