"""Prepare: a collection and a model to the vectors that everything is measured on, by one policy and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from engine import Collection, Encoder, TokenEmbeddings, load_collection
from engine.encoder import Task
from engine.errors import InputError
from engine.maxsim import QuantizedDocuments, maxsim_topk
from engine.pooling import PoolSettings
from engine.reading import from_library
from engine.retrieval import id_order
from engine.sampling import fitting
from workbench.cache import cached_embeddings, content_key, keep_arrays, kept_arrays
from workbench.elsewhere import spread_encoder
from workbench.experiments import unread
from workbench.experiments.experiment import Experiment
from workbench.experiments.pooler import Pooler
from workbench.experiments.progress import SILENT, Steps
from workbench.paths import data_folder

TRUTH_DEPTH = 100  # documents of exact search that are kept for each query
TRUTH = "exact-truth"
BLOCK = 32  # queries of exact search between two looks at whether to stop
STAGES: dict[Task, str] = {"document": "encode documents", "query": "encode queries"}


class Prepared:
    """A collection with its vectors, in the order of its documents and queries; use `prepare`.

    Vectors, pooled vectors and the results of exact search are computed when they are first asked for, and kept.

    Args:
        collection: Texts and judgements.
        identity: Hash of what decides the vectors: the model, its dtype and how they are kept; or the vectors
            themselves.
        model: What records say of the model.
        vectors: How vectors are kept, "float16" or "float32".
        encoder: Makes the vectors; None when they were given.
        given: Vectors of documents and of queries.
        source: Names of collection and model, when a command can repeat it.
        whole: Where these are the leading coordinates of other vectors: those, and how many coordinates.
        part: Where these are some of other vectors: those, and the positions of documents and queries.
    """

    def __init__(
        self, collection: Collection, identity: str, model: dict[str, Any], vectors: str,
        encoder: Encoder | None = None, given: tuple[TokenEmbeddings, TokenEmbeddings] | None = None,
        source: tuple[str, str] | None = None, whole: tuple[Prepared, int] | None = None,
        part: tuple[Prepared, Mapping[Task, np.ndarray]] | None = None,
    ) -> None:  # fmt: skip
        self.collection = collection
        self.identity = identity
        self.model = model
        self.vectors, self.encoder, self.source = vectors, encoder, source
        self._held: dict[Task, TokenEmbeddings] = {} if given is None else {"document": given[0], "query": given[1]}
        self.known_cut = ""  # what an index on disk says of its documents
        self._truth: np.ndarray | None = None
        self._whole = whole
        self._shorter: dict[int, Prepared] = {}
        self._part = part
        self._fitting: dict[str, Prepared] = {}

    @property
    def key(self) -> str:
        """Hash of the texts, the judgements and what decides the vectors."""
        return content_key(self.collection.fingerprint, self.identity)

    @property
    def documents(self) -> TokenEmbeddings:
        """Vectors of the documents."""
        return self.encode("document")[0]

    @property
    def encoded(self) -> bool:
        """Whether the vectors of the documents are at hand, so that asking for them costs nothing."""
        return "document" in self._held

    @property
    def queries(self) -> TokenEmbeddings:
        """Vectors of the queries."""
        return self.encode("query")[0]

    def experiment(self, **changes: Any) -> Experiment:
        """An experiment on these vectors; without judgements it has no metrics of them.

        Args:
            changes: Fields that are not the defaults.

        Returns:
            The experiment.

        Raises:
            InputError: an impossible value.
        """
        names = self.source or (self.collection.name or "collection", str(self.model["model"]) or "vectors")
        wanted = Experiment(**{"collection": names[0], "model": names[1], "vectors": self.vectors, **changes})
        return wanted if self.collection.judged_queries else replace(wanted, metrics=())

    @property
    def cut(self) -> str:
        """What was cut of the documents, without full stop; nothing before they are encoded, or where nothing was."""
        return unread.what_was_cut("documents", self.documents, self.model) if self.encoded else self.known_cut

    def encode(self, task: Task, steps: Steps = SILENT) -> tuple[TokenEmbeddings, bool]:
        """Encode the documents or the queries, where nobody did before.

        Args:
            task: "document" or "query".
            steps: Told of the progress.

        Returns:
            The vectors, and whether they were there already.
        """
        if task in self._held:
            return self._held[task], True
        if self._whole is not None:
            vectors, known = self._whole[0].encode(task, steps)
            self._held[task] = vectors.prefix(self._whole[1])
            return self._held[task], known
        if self._part is not None:
            vectors, known = self._part[0].encode(task, steps)
            self._held[task] = vectors.select(self._part[1][task])
            return self._held[task], known
        assert self.encoder is not None
        texts = list((self.collection.documents if task == "document" else self.collection.queries).values())
        worked: list[int] = []

        def progress(done: int, total: int) -> None:
            worked.append(done)
            steps(STAGES[task], done, total)

        self._held[task] = cached_embeddings(self.encoder, texts, task, progress, self.vectors)
        unread.tell(STAGES[task].split()[1], self._held[task], self.model)
        return self._held[task], not worked

    @property
    def dim(self) -> int:
        """Dimension of a vector; no text is encoded for it."""
        if self._whole is not None:
            return self._whole[1]
        return self.encoder.dim if self.encoder is not None else self.documents.dim

    def at_dim(self, dim: int | None) -> Prepared:
        """The same with the leading coordinates of its vectors only, each at the length that it has.

        Args:
            dim: How many; None is all.

        Returns:
            The same collection; it shares what was encoded.

        Raises:
            InputError: a `dim` that the vectors do not have.
        """
        if dim is None or dim == self.dim:
            return self
        if not 1 <= dim < self.dim:
            raise InputError(
                f"Expected a dim from 1 to {self.dim}, that of the model, got {dim!r}: choose one of these."
            )
        if dim not in self._shorter:
            model = {**self.model, "dim": dim, "fingerprint": f"{self.model['fingerprint']}-{dim}"}
            identity = content_key(self.identity, f"dim {dim}")
            self._shorter[dim] = Prepared(
                self.collection, identity, model, self.vectors, self.encoder, source=self.source, whole=(self, dim)
            )
        return self._shorter[dim]

    def where(self, condition: str) -> Prepared:
        """The documents that fit a condition and the queries that they answer; see `engine.sampling.fitting`.

        Args:
            condition: On the rows of the collection; "" is all.

        Returns:
            A part of the collection; it shares what was encoded, and nothing is encoded for it.

        Raises:
            InputError: it is no condition, or fits no document.
        """
        if not condition:
            return self
        if condition not in self._fitting:
            part = fitting(self.collection, condition)
            kept: dict[Task, np.ndarray] = {
                "document": _positions(self.collection.documents, part.documents),
                "query": _positions(self.collection.queries, part.queries),
            }
            self._fitting[condition] = Prepared(
                part, self.identity, self.model, self.vectors, self.encoder, source=self.source, part=(self, kept)
            )
        return self._fitting[condition]

    @cached_property
    def pooler(self) -> Pooler:
        """Pools the documents."""
        return Pooler(self)

    def pooled(
        self, settings: PoolSettings, keep: bool = True, steps: Steps = SILENT
    ) -> tuple[TokenEmbeddings, float | None, bool]:
        """The documents pooled; see `Pooler.pooled`."""
        return self.pooler.pooled(settings, keep, steps)

    def truth(self, steps: Steps = SILENT) -> np.ndarray:
        """The best documents of each query by exact MaxSim on the vectors before pooling, kept for next time.

        Args:
            steps: Told of the progress.

        Returns:
            int64 [queries, at most 100], positions of documents, best first, ties by id.
        """
        if self._truth is None:
            folder = data_folder("cache", "truth") / content_key(TRUTH, self.key)
            kept = kept_arrays(folder, TRUTH, "positions")
            self._truth = self._exact(steps) if kept is None else kept[0]
            if kept is None:
                keep_arrays(folder, TRUTH, {"positions": self._truth})
        return self._truth

    def _exact(self, steps: Steps) -> np.ndarray:
        ties, total = id_order(list(self.collection.documents)), len(self.queries)
        codes = QuantizedDocuments.build(self.documents)
        found = []
        for start in range(0, total, BLOCK):
            block = self.queries.select(np.arange(start, min(start + BLOCK, total)))
            found.append(maxsim_topk(block, codes, TRUTH_DEPTH, ties)[0])
            steps("exact truth", start + len(block), total)
        return np.concatenate(found) if found else np.empty((0, TRUTH_DEPTH), np.int64)

    def truth_ids(self, steps: Steps = SILENT) -> list[list[str]]:
        """`truth` as ids."""
        ids = list(self.collection.documents)
        return [[ids[i] for i in row] for row in self.truth(steps)]

    def first(self, queries: int) -> Prepared:
        """The same with the first queries only."""
        whole = self.collection
        if queries >= len(whole.queries):
            return self
        kept = dict(list(whole.queries.items())[:queries])
        judged = {query: grades for query, grades in whole.qrels.items() if query in kept}
        part = replace(whole, queries=kept, qrels=judged, name=f"{whole.name}, first {queries} queries")
        vectors = self.documents, self.queries.select(np.arange(queries))
        return Prepared(part, self.identity, self.model, self.vectors, self.encoder, vectors, self.source)


def _positions(texts: Mapping[str, str], kept: Mapping[str, str]) -> np.ndarray:
    return np.flatnonzero([name in kept for name in texts])


def prepare(
    collection: str | Collection = "embedded",
    model: str | Encoder = "embedded",
    documents: TokenEmbeddings | None = None,
    queries: TokenEmbeddings | None = None,
    dtype: str = "auto",
    vectors: str = "float16",
    device: str = "auto",
) -> Prepared:
    """Load a collection and a model, the one way that every command, page and notebook does.

    Args:
        collection: A name or path for `load_collection`, or a collection.
        model: A name or path for `Encoder.load`, or an encoder; with vectors, what records call their model.
        documents: Vectors of the documents in their order, instead of encoding them.
        queries: Vectors of the queries in their order.
        dtype: What the model computes in; see `Encoder.load`.
        vectors: How encoded vectors are kept, "float16" or "float32"; given ones stay as they are.
        device: Where the model runs.

    Returns:
        The collection with its vectors, which are encoded on first use and kept for next time.

    Raises:
        InputError: only one of the two was given, or counts differ.
        NotFoundError: no such collection or model.
    """
    if (documents is None) != (queries is None):
        raise InputError("Expected vectors of both documents and queries, got one of them: pass both or neither.")
    if documents is not None and queries is not None:
        loaded = load_collection(collection) if isinstance(collection, str) else collection
        return _given(loaded, documents, queries, model if isinstance(model, str) else model.name)
    source = (collection, model) if isinstance(collection, str) and isinstance(model, str) else None
    ready = load_collection(collection) if isinstance(collection, str) and from_library(collection) else collection
    with ThreadPoolExecutor(1) as beside:  # texts are read by another process or the disk, the model by this one
        reading = beside.submit(load_collection, ready) if isinstance(ready, str) else None
        if reading is not None and wait([reading], timeout=0.2).done:  # seconds
            reading.result()  # a wrong name is an error at once
        encoder = Encoder.load(model, device=device, dtype=dtype) if isinstance(model, str) else model
    loaded: Any = reading.result() if reading is not None else ready
    return _encoded(loaded, spread_encoder(encoder), vectors, source)


def _encoded(collection: Collection, encoder: Encoder, vectors: str, source: tuple[str, str] | None) -> Prepared:
    way = [name] if (name := getattr(encoder, "questions", "")) else []  # another encoder may have none
    identity = content_key(encoder.fingerprint, encoder.dtype, encoder.device.partition(":")[0], vectors, *way)
    return Prepared(collection, identity, encoder.describe(), vectors, encoder, source=source)


def _given(collection: Collection, documents: TokenEmbeddings, queries: TokenEmbeddings, name: str) -> Prepared:
    if (len(documents), len(queries)) != (len(collection.documents), len(collection.queries)):
        raise InputError(
            f"Expected vectors of {len(collection.documents)} documents and {len(collection.queries)} queries, got "
            f"{len(documents)} and {len(queries)}: pass them in the order of the collection."
        )
    digest = hashlib.blake2b(digest_size=10)
    for array in (documents.values, documents.offsets, queries.values, queries.offsets):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    kept = str(documents.values.dtype)
    model = {"model": name, "note": "vectors that were given", "dim": documents.dim, "dtype": kept,
             "fingerprint": documents.fingerprint or digest.hexdigest()}  # fmt: skip
    return Prepared(collection, digest.hexdigest(), model, kept, given=(documents, queries))


class Loader:
    """Collections and models that several experiments share, each loaded once."""

    def __init__(self) -> None:
        self._collections: dict[str, Collection] = {}
        self._encoders: dict[tuple[str, str], Encoder] = {}
        self._prepared: dict[tuple[str, str, str, str], Prepared] = {}

    def __call__(self, experiment: Experiment) -> Prepared:
        """The collection and the vectors of an experiment."""
        names = (experiment.collection, experiment.model)
        key = (*names, experiment.dtype, experiment.vectors)
        if key not in self._prepared:
            if names[0] not in self._collections:
                self._collections[names[0]] = load_collection(names[0])
            if key[1:3] not in self._encoders:
                self._encoders[key[1:3]] = Encoder.load(names[1], dtype=experiment.dtype)
            shared = self._collections[names[0]], spread_encoder(self._encoders[key[1:3]])
            self._prepared[key] = _encoded(*shared, experiment.vectors, names)
        return self._prepared[key]
