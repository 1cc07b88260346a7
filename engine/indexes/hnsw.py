"""HNSW over token vectors (voyager): neighbours of each query token, the documents they belong to, exact rerank."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from engine import storage
from engine.embeddings import TokenEmbeddings
from engine.errors import CorruptDataError, InputError
from engine.indexes.base import require_positive
from engine.indexes.progress import BuildProgress
from engine.indexes.stored import StoredSettings, StoredVectorsIndex
from engine.indexes.trace import Stage, TokenTrace, exact_stage, stage
from engine.retrieval import Ranking, top_positions

LARGEST = {"float8": 1.0, "e4m3": 448.0}  # what a value of the graph can hold
STORAGE = {"float32": "Float32", "float8": "Float8", "e4m3": "E4M3"}
PART = 4096  # tokens that enter the graph between two words on how far it is
WIDEST = 4096  # neighbours a query token; a search that needs more scores every document, which is then cheaper


@dataclass(frozen=True)
class HnswSettings(StoredSettings):
    """Settings of the HNSW index.

    Args:
        dtype: How vectors are stored for the rerank, "float16" or "float32".
        storage: How the graph stores them: "float32", "float8" (fixed point in -1 to 1) or "e4m3" (floating point).
        m: Connections of a node; more find better and take more bytes.
        ef_construction: Nodes looked at when a vector is inserted.
        neighbours: Token vectors fetched for each query token.
        candidates: Documents that are reranked at most, the best by an estimate from the neighbours; 0 reranks all.
        ef: Nodes looked at for each query token; 0 takes `neighbours`.
        seed: Decides the random level of each vector in the graph.
        build_threads: Threads that insert; with more than 1 the graph differs from build to build.
    """

    storage: Literal["float32", "float8", "e4m3"] = "float32"
    m: int = 12
    ef_construction: int = 200
    neighbours: int = 200
    candidates: int = 1024
    ef: int = 0
    seed: int = 0
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


@dataclass(frozen=True, eq=False)
class Chosen:
    """The documents that one search scored.

    Args:
        positions: int64, sorted storage positions.
        scores: float32, their MaxSim on the stored vectors.
        notes: What was done beyond the settings.
        neighbours: How many were fetched for each query token in the end.
        found: int64, sorted positions that the neighbours gave; None where every document was scored.
        estimate: float32, the estimates of those.
    """

    positions: np.ndarray
    scores: np.ndarray
    notes: tuple[str, ...] = ()
    neighbours: int = 0
    found: np.ndarray | None = None
    estimate: np.ndarray | None = None


class HnswIndex(StoredVectorsIndex):
    """Approximate nearest neighbours of each query token (Malkov and Yashunin, arXiv 1603.09320), then exact MaxSim.

    The graph numbers tokens as the file of values does. Tokens of removed documents stay in it, marked when it is read,
    until they are more than half of it; then it is built anew.
    """

    kind = "hnsw"
    settings_class = HnswSettings
    search_settings = ("neighbours", "candidates", "ef")
    packages = ("voyager",)
    compared: ClassVar = {}
    growing: ClassVar[frozenset[str]] = StoredVectorsIndex.growing | {"graph"}  # checked when it is read
    graph: Any = None  # read for one generation, never changed
    owners: np.ndarray  # int64 [tokens of the graph], the storage position of each token's document, -1 after removal

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

    @classmethod
    def able(cls, settings: HnswSettings) -> frozenset[str]:
        """Several threads that insert make another graph each time."""
        return cls.can if settings.build_threads == 1 else cls.can - {"deterministic"}

    def _load(self) -> None:
        super()._load()
        self.graph, self.owners = None, np.empty(0, np.int64)
        if self.state.dim:
            places = np.full(len(self.documents), -1, np.int64)
            places[self.slots] = np.arange(len(self.slots))
            self.owners = np.repeat(places, self.documents.lengths)
            if "graph" in self.state.manifest.files:  # else no document has a vector
                self.graph = self._read_graph()
            for label in np.flatnonzero(self.owners < 0).tolist():
                self.graph.mark_deleted(label)

    def _read_graph(self) -> Any:
        """The graph as it is stored: checked whole, since a wrong link in it would end the process."""
        voyager, manifest = import_module("voyager"), self.state.manifest
        storage.verify(self.path, manifest, ("graph",))
        path = storage.file_path(self.path, manifest, "graph")
        try:
            graph = voyager.Index.load(str(path))
        except (RuntimeError, ValueError, OSError) as error:
            raise CorruptDataError(f"{path} cannot be read ({error}): restore it or build it again.") from None
        if (graph.num_elements, graph.num_dimensions) != (self.documents.n_tokens, self.state.dim):
            raise CorruptDataError(f"{path} does not fit the vectors beside it: restore it or build it again.")
        return graph

    def _empty_graph(self, dim: int, tokens: int) -> Any:
        voyager = import_module("voyager")
        settings = self.settings
        kind = getattr(voyager.StorageDataType, STORAGE[settings.storage])
        # Inner product, not cosine: MaxSim sums dot products, and vectors need not have length 1.
        return voyager.Index(
            voyager.Space.InnerProduct, dim, settings.m, settings.ef_construction, settings.seed, max(tokens, 1), kind
        )

    def _add(self, names: list[str], documents: TokenEmbeddings) -> None:
        limit = LARGEST.get(self.settings.storage, np.inf)
        largest = max(float(documents.values.max(initial=0)), -float(documents.values.min(initial=0)))
        if largest > limit:
            raise InputError(
                f"Expected values between -{limit:g} and {limit:g} for storage {self.settings.storage}, got "
                f"{largest:g}: normalise the vectors, or choose storage float32."
            )
        super()._add(names, documents)

    def _grown(self, documents: TokenEmbeddings) -> dict[str, Path]:
        # Read again rather than change the graph in memory, which searches use.
        first = self.documents.n_tokens
        graph = self._read_graph() if self.graph is not None else self._empty_graph(documents.dim, documents.n_tokens)
        return self._written(graph, documents, np.arange(first, first + documents.n_tokens))

    def _anew(self, documents: TokenEmbeddings) -> dict[str, Path]:
        graph = self._empty_graph(documents.dim, documents.n_tokens)
        return self._written(graph, documents, np.arange(documents.n_tokens))

    def _written(self, graph: Any, documents: TokenEmbeddings, labels: np.ndarray) -> dict[str, Path]:
        """A file of the graph with more tokens; none without new ones, since an empty graph cannot be read."""
        if len(labels) == 0:
            return {}
        start = time.perf_counter()
        for first in range(0, len(labels), PART):  # in the order of one call, so that the graph is the same
            part = slice(first, min(first + PART, len(labels)))
            graph.add_items(
                documents.values[part].astype(np.float32), labels[part], num_threads=self.settings.build_threads
            )
            if self.progress is not None:
                share = part.stop / len(labels)
                left = (time.perf_counter() - start) * (1 - share) / share
                self.progress(BuildProgress("graph", part.stop, len(labels), share, left))
        draft = self.path / f".graph.{os.getpid()}.voyager"
        with storage.writing(draft), draft.open("wb") as stream:
            graph.save(stream)
        return {"graph": draft}

    def _stages(
        self, query: TokenEmbeddings, position: int, k: int
    ) -> tuple[tuple[Stage, ...], TokenTrace | None, tuple[str, ...]]:
        """Neighbours, candidates, exact scores."""
        left = self._chosen(query, k)
        stages = ()
        if left.found is not None:
            limit = max(self.settings.candidates, k) if self.settings.candidates else len(self)
            every = np.arange(len(self))
            stages = (
                stage("neighbours", "neighbours", left.neighbours, position, every, None, left.found),
                stage("candidates", "candidates", limit, position, left.found, left.estimate, left.positions),
            )
        ties = self.state.ids.tie_order[left.positions]
        return (*stages, exact_stage(position, left.scores, ties, left.positions, k)), None, left.notes

    def neighbours(self, query: np.ndarray, n: int) -> Neighbours:
        """Ask the graph for the token vectors nearest to each query token.

        Args:
            query: [q, dim] float16 or float32.
            n: Neighbours a token.

        Returns:
            The documents that own them; fewer columns, and `exhausted`, where the graph cannot give n.
        """
        voyager = import_module("voyager")
        graph, wanted = self.graph, min(n, self.state.manifest.record["tokens"])
        values, limit = query.astype(np.float32), LARGEST.get(self.settings.storage, np.inf)
        # A longer vector has the same neighbours; the graph holds a query's values as it holds those of documents.
        shrink = np.maximum(np.abs(values).max(axis=1, initial=0, keepdims=True) / limit, 1).astype(np.float32)
        while wanted and graph is not None:
            ef = max(wanted, self.settings.ef or wanted)
            try:
                labels, distances = graph.query(values / shrink, wanted, query_ef=ef)
            except voyager.RecallError:  # links of removed tokens may lead nowhere
                wanted //= 2
                continue
            return Neighbours(self.owners[labels.astype(np.int64)], (1 - distances) * shrink, wanted < n)
        return Neighbours(np.empty((len(query), 0), np.int64), np.empty((len(query), 0), np.float32), True)

    def _search(self, queries: TokenEmbeddings, k: int, subset: np.ndarray | None) -> list[Ranking]:
        return [self._search_one(queries.select([number]), k, subset) for number in range(len(queries))]

    def _search_one(self, query: TokenEmbeddings, k: int, subset: np.ndarray | None) -> Ranking:
        left = self._chosen(query, k, subset)
        return self._ranking(left.positions, left.scores, k, left.notes)

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
        left = self._pinned()._chosen(TokenEmbeddings.from_list([query]), k, subset)
        return left.positions, left.notes

    def _chosen(self, query: TokenEmbeddings, k: int, subset: np.ndarray | None = None) -> Chosen:
        """Look for documents among the neighbours, wider until there are enough, and score them."""
        everything = np.flatnonzero(self.documents.lengths[self.slots]) if subset is None else subset
        limit = max(self.settings.candidates, k) if self.settings.candidates else len(self)

        def every(*notes: str) -> Chosen:
            return Chosen(everything, self._scores(query, everything)[0], notes)

        if query.n_tokens == 0 or len(everything) <= k:
            return every()
        if subset is not None and len(subset) <= limit:
            return every("every document of the subset was scored")
        ties, n, notes = self.state.ids.tie_order, self.settings.neighbours, ()
        while n <= WIDEST:
            found = self.neighbours(query.values, n)
            documents, estimate = estimates(found, everything if subset is not None else None)
            if len(documents) >= k:
                positions = cut(documents, estimate, limit, ties[documents])
                scores = self._scores(query, positions)[0]
                best = positions[top_positions(scores, ties[positions], k)]
                if self.graph.num_elements <= n or not np.isin(best, at_edge(found)).any():
                    return Chosen(positions, scores, notes, n, documents, estimate)
            if found.exhausted:
                break
            n *= 2
            notes = (f"widened to {n} neighbours a token to find {k} documents",)
        return every("every document was scored: the neighbours gave too few")


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


def at_edge(found: Neighbours) -> np.ndarray:
    """The documents known only by neighbours as far as the last ones: others just like them may not have been found."""
    nearer = found.similarity > found.similarity.min(axis=1, keepdims=True)
    return np.setdiff1d(found.documents, found.documents[nearer])


def cut(documents: np.ndarray, estimate: np.ndarray, limit: int, ties: np.ndarray | None = None) -> np.ndarray:
    """The `limit` documents with the best estimates, sorted by position; of equal ones those first in `ties`."""
    return np.sort(documents[top_positions(estimate, documents if ties is None else ties, limit)])
