"""HNSW over token vectors (voyager): neighbours of each query token, the documents they belong to, exact rerank."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from engine import storage
from engine.embeddings import TokenEmbeddings
from engine.errors import CorruptDataError, InputError
from engine.indexes.base import require_positive
from engine.indexes.exact import ExactSettings, StoredVectorsIndex
from engine.indexes.trace import Stage, TokenTrace, exact_stage, stage
from engine.maxsim import maxsim
from engine.retrieval import Ranking

STORAGE = {"float32": "Float32", "float8": "Float8", "e4m3": "E4M3"}
WIDEST = 4096  # neighbours a query token; a search that needs more scores every document, which is then cheaper


@dataclass(frozen=True)
class HnswSettings(ExactSettings):
    """Settings of the HNSW index.

    Args:
        dtype: How vectors are stored for the rerank, "float16" or "float32".
        storage: How the graph stores them: "float32", "float8" (fixed point in -1 to 1) or "e4m3" (floating point).
        m: Connections of a node; more find better and take more bytes.
        ef_construction: Nodes looked at when a vector is inserted.
        neighbours: Token vectors fetched for each query token.
        candidates: Documents that are reranked at most, the best by an estimate from the neighbours; 0 reranks all.
        ef: Nodes looked at for each query token; 0 takes `neighbours`.
        seed: Of the graph's random levels.
        build_threads: Threads that insert; with more than 1 the graph differs from build to build.
    """

    storage: Literal["float32", "float8", "e4m3"] = "float32"
    m: int = 12
    ef_construction: int = 200
    neighbours: int = 200
    candidates: int = 1024
    ef: int = 0
    seed: int = 1
    build_threads: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.storage not in STORAGE:
            raise InputError(f"Unknown storage {self.storage!r}: choose among {', '.join(STORAGE)}.")
        require_positive(self, "m", "ef_construction", "neighbours", "build_threads")
        require_positive(self, "candidates", "ef", "seed", least=0)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """What the graph returned for one query.

    Args:
        documents: int64 [q, n], storage positions of the documents that own the neighbours.
        similarity: float32 [q, n], in the precision of the graph, best first.
        exhausted: The graph could not give n neighbours: it has fewer, or its links do not reach them.
    """

    documents: np.ndarray
    similarity: np.ndarray
    exhausted: bool = False


class HnswIndex(StoredVectorsIndex):
    """Approximate nearest neighbours of each query token (Malkov and Yashunin, arXiv 1603.09320), then exact MaxSim.

    Tokens of removed documents stay in the graph, unseen, until they are more than half of it; then it is rebuilt.
    """

    kind = "hnsw"
    settings_class = HnswSettings
    search_settings = ("neighbours", "candidates", "ef")
    packages = ("voyager",)
    # All processors build the graph here, as its users do, which gives up that two builds are equal.
    compared: ClassVar = {"build_threads": os.cpu_count() or 1}
    graph: Any = None

    @classmethod
    def ladder(cls, settings: HnswSettings) -> tuple[dict[str, Any], ...]:
        """Search settings, cheapest first."""
        rungs = ((10, 64), (25, 128), (50, 256), (100, 512), (200, 1024), (400, 0))
        return tuple({"neighbours": n, "candidates": c} for n, c in rungs)

    @classmethod
    def remedy(cls, setting: str) -> str:
        """What wins back a document that a stage cut."""
        return "raise candidates, or set it to 0" if setting == "candidates" else super().remedy(setting)

    @classmethod
    def dependency_defaults(cls) -> dict[str, Any]:
        """What voyager takes when it is told nothing."""
        voyager = import_module("voyager")
        plain = voyager.Index(voyager.Space.InnerProduct, 2)
        return {"voyager.M": plain.M, "voyager.ef_construction": plain.ef_construction, "voyager.ef": plain.ef}

    @property
    def abilities(self) -> frozenset[str]:
        """What this index can do with its settings."""
        return self.can if self.settings.build_threads == 1 else self.can - {"deterministic"}

    def _load(self) -> None:
        super()._load()
        self.graph, self.owners = None, np.empty(0, np.int64)
        if self.state.dim:
            self.graph = self._read_graph()
            self.owners = storage.open_array(self.path, self.state.manifest, "owners", mmap=False)

    def _read_graph(self) -> Any:
        voyager = import_module("voyager")
        path = storage.file_path(self.path, self.state.manifest, "graph")
        try:
            return voyager.Index.load(str(path))
        except (RuntimeError, ValueError, OSError) as error:
            raise CorruptDataError(f"{path} cannot be read ({error}): restore it or build it again.") from None

    def _empty_graph(self, dim: int, tokens: int) -> Any:
        voyager = import_module("voyager")
        settings = self.settings
        kind = getattr(voyager.StorageDataType, STORAGE[settings.storage])
        # Inner product, not cosine: MaxSim sums dot products, and vectors need not have length 1.
        return voyager.Index(
            voyager.Space.InnerProduct, dim, settings.m, settings.ef_construction, settings.seed, max(tokens, 1), kind
        )

    def _add(self, names: list[str], documents: TokenEmbeddings) -> None:
        joined = self._joined(documents)
        new = joined.select(np.arange(len(self), len(joined)))
        if self.settings.storage == "float8" and np.abs(new.values).max() > 1:
            raise InputError(
                "Expected values between -1 and 1 for storage float8, got larger ones: normalise the vectors, or "
                "choose storage float32."
            )
        # Read again rather than change the graph in memory: if this write fails, searches go on with the old one.
        graph = self._read_graph() if self.graph is not None else self._empty_graph(new.dim, new.n_tokens)
        graph.add_items(
            new.values.astype(np.float32),
            np.arange(len(self.owners), len(self.owners) + new.n_tokens),
            num_threads=self.settings.build_threads,
        )
        owners = np.repeat(np.arange(len(self), len(joined)), new.lengths)
        self._write_graph(self.state.ids.joined(names), joined, graph, np.concatenate([self.owners, owners]))

    def _remove(self, positions: np.ndarray) -> None:
        kept = self._kept(positions)
        renumbered = np.cumsum(~np.isin(np.arange(len(self)), positions)) - 1
        renumbered[positions] = -1
        owners = np.where(self.owners >= 0, renumbered[self.owners], -1)
        ids = self.state.ids.without(positions)
        if len(kept) == 0:
            self._write(ids, kept)
        elif kept.n_tokens * 2 < len(owners):
            graph = self._empty_graph(kept.dim, kept.n_tokens)
            graph.add_items(kept.values.astype(np.float32), num_threads=self.settings.build_threads)
            self._write_graph(ids, kept, graph, np.repeat(np.arange(len(kept)), kept.lengths))
        else:
            graph = self._read_graph()
            for label in np.flatnonzero((owners < 0) & (self.owners >= 0)):
                graph.mark_deleted(int(label))
            self._write_graph(ids, kept, graph, owners)

    def _write_graph(self, ids: Any, documents: TokenEmbeddings, graph: Any, owners: np.ndarray) -> None:
        draft = Path(self.path) / f".graph.{os.getpid()}.voyager"
        graph.save(str(draft))
        self._write(ids, documents, arrays={"owners": owners}, adopt={"graph": draft})

    def _stages(
        self, query: TokenEmbeddings, position: int, k: int
    ) -> tuple[tuple[Stage, ...], TokenTrace | None, tuple[str, ...]]:
        """Neighbours, candidates, exact scores."""
        every = np.arange(len(self))
        chosen, notes = self.candidates(query.values, k)
        stages = []
        if len(chosen) < len(self):
            n = self.settings.neighbours
            while True:  # as often as `candidates` widened
                found, estimate = estimates(self.neighbours(query.values, n))
                if len(found) >= k:
                    break
                n *= 2
            limit = max(self.settings.candidates, k) if self.settings.candidates else len(self)
            stages = [
                stage("neighbours", "neighbours", n, position, every, None, found),
                stage("candidates", "candidates", limit, position, found, estimate, chosen),
            ]
        scores = maxsim(query, self.documents.select(chosen))[0]
        return (*stages, exact_stage(position, scores, self.state.ids.tie_order[chosen], chosen, k)), None, notes

    def neighbours(self, query: np.ndarray, n: int) -> Neighbours:
        """Ask the graph for the token vectors nearest to each query token.

        Args:
            query: [q, dim] float16 or float32.
            n: Neighbours a token.

        Returns:
            The documents that own them; fewer columns, and `exhausted`, where the graph cannot give n.
        """
        voyager = import_module("voyager")
        assert self.graph is not None
        live = self.documents.n_tokens
        wanted = min(n, live)
        while wanted:
            ef = max(wanted, self.settings.ef or wanted)
            try:
                labels, distances = self.graph.query(query.astype(np.float32), wanted, query_ef=ef)
            except voyager.RecallError:  # links of removed tokens may lead nowhere
                wanted //= 2
                continue
            return Neighbours(self.owners[labels.astype(np.int64)], 1 - distances, wanted < n)
        return Neighbours(np.empty((len(query), 0), np.int64), np.empty((len(query), 0), np.float32), True)

    def _search(self, queries: TokenEmbeddings, k: int, subset: np.ndarray | None) -> list[Ranking]:
        return [self._search_one(query, k, subset) for query in queries]

    def _search_one(self, query: np.ndarray, k: int, subset: np.ndarray | None) -> Ranking:
        positions, notes = self.candidates(query, k, subset)
        chosen = self.documents.select(positions)
        scores = maxsim(TokenEmbeddings.from_list([query]), chosen)[0]
        return self._ranking(positions, scores, k, notes)

    def candidates(
        self, query: np.ndarray, k: int, subset: np.ndarray | None = None
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """The documents that are reranked for a query.

        Args:
            query: [q, dim] float16 or float32.
            k: How many documents are wanted; the search widens until there are as many.
            subset: Sorted storage positions to search among, or None for all.

        Returns:
            int64 sorted storage positions, and notes on what was done beyond the settings.
        """
        everything = np.arange(len(self)) if subset is None else subset
        limit = max(self.settings.candidates, k) if self.settings.candidates else len(self)
        if len(query) == 0 or len(everything) <= k:
            return everything, ()
        if subset is not None and len(subset) <= limit:
            return everything, ("every document of the subset was scored",)
        n, notes = self.settings.neighbours, ()
        while n <= WIDEST:
            found = self.neighbours(query, n)
            documents, estimate = estimates(found, everything if subset is not None else None)
            if len(documents) >= k:
                return cut(documents, estimate, limit), notes
            if found.exhausted:
                break
            n *= 2
            notes = (f"widened to {n} neighbours a token to find {k} documents",)
        return everything, ("every document was scored: the neighbours gave too few",)


def estimates(found: Neighbours, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Estimate MaxSim from neighbours alone.

    A document without a neighbour of a query token gets the worst similarity that was found for this token, an upper
    bound of what it can have (the imputation of XTR: Lee and others, arXiv 2304.01982).

    Args:
        found: Neighbours of one query.
        among: Sorted storage positions that count, or None for all.

    Returns:
        int64 [c] sorted storage positions, and float32 [c] estimates.
    """
    documents, column = np.unique(found.documents, return_inverse=True)
    column = column.reshape(found.documents.shape)
    floor = found.similarity.min(axis=1) if found.similarity.shape[1] else np.zeros(len(column), np.float32)
    best = np.repeat(floor[:, None], len(documents), axis=1)
    rows = np.broadcast_to(np.arange(len(column))[:, None], column.shape)
    np.maximum.at(best, (rows, column), found.similarity)
    estimate = best.sum(axis=0)
    if among is None:
        return documents, estimate
    inside = np.isin(documents, among, assume_unique=True)
    return documents[inside], estimate[inside]


def cut(documents: np.ndarray, estimate: np.ndarray, limit: int) -> np.ndarray:
    """The `limit` documents with the best estimates, sorted by position; equal estimates by position."""
    if len(documents) <= limit:
        return documents
    return np.sort(documents[np.lexsort((documents, -estimate))[:limit]])
