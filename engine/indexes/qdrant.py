"""Qdrant's multivectors behind our contract, in this process or on a server; an extra."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError, NotFoundError
from engine.indexes.checks import Settings, require_positive
from engine.indexes.foreign import NumberedIndex, check_package, signature_defaults
from engine.indexes.ids import IdTable
from engine.retrieval import Ranking

LOCAL = "documents"  # the collection's name in this process
KEY = "QDRANT_API_KEY"  # the environment variable of a server's key: a key does not belong into a folder
BATCH_TOKENS = 20_000  # sent at once
TIMEOUT = 60  # seconds for one request


@dataclass(frozen=True)
class QdrantSettings(Settings):
    """Settings of Qdrant, with its own defaults.

    Args:
        address: Of a server, such as "http://localhost:6333"; empty keeps everything in this process, where the client
            scores every document in NumPy. A server's key is read from the environment variable QDRANT_API_KEY.
        collection: Its name on the server.
        m: Connections of a node in the server's graph; 0 builds none, so that every document is scored.
        ef_construct: Nodes looked at when a vector is inserted.
        ef: Nodes looked at in a search; 0 leaves it to the server.
        exact: Let the server score every document.
    """

    address: str = ""
    collection: str = ""
    m: int = 16
    ef_construct: int = 100
    ef: int = 0
    exact: bool = False

    def __post_init__(self) -> None:
        require_positive(self, "ef_construct")
        require_positive(self, "m", "ef", least=0)
        if bool(self.address) != bool(self.collection):
            raise InputError(
                f"Expected both address and collection, or neither for an index in this process, got "
                f"{self.address!r} and {self.collection!r}: name both."
            )


class QdrantIndex(NumberedIndex):
    """A point a document, its token vectors one multivector, compared by MaxSim of dot products.

    Without an address the vectors lie in our own files, which the client reads into memory when the index is opened:
    the client's own local files are pickles that one process at a time may open. With an address they are on the
    server alone.
    """

    kind = "qdrant"
    settings_class = QdrantSettings
    search_settings = ("ef", "exact")
    packages = ("qdrant-client",)

    @classmethod
    def check_installed(cls) -> None:
        """Check the package."""
        check_package("qdrant-client", "qdrant")

    @classmethod
    def ladder(cls, settings: QdrantSettings) -> tuple[dict[str, Any], ...]:
        """Of a server's graph; in this process the client scores every document, whatever it is told."""
        return tuple({"ef": ef} for ef in (32, 64, 128, 256, 512, 1024)) if settings.address else ()

    @classmethod
    def dependency_defaults(cls) -> dict[str, Any]:
        """What the client takes when it is told nothing."""
        from qdrant_client import QdrantClient

        return signature_defaults("QdrantClient", QdrantClient, "query_points")

    @classmethod
    def able(cls, settings: QdrantSettings) -> frozenset[str]:
        """A server's graph is not repeatable, and a change that is cut short leaves the server ahead of the folder."""
        return cls.can - {"crash-safe", "deterministic", "snapshots"} if settings.address else cls.can

    @property
    def _name(self) -> str:
        return self.settings.collection or LOCAL

    def _open_native(self, folder: Path | None) -> Any:
        if self.settings.address:
            return self._connected()
        from qdrant_client import QdrantClient

        assert folder is not None
        client, documents = QdrantClient(":memory:"), TokenEmbeddings.open(folder)
        self._make(client, documents.dim)
        self._upload(client, self.numbers, documents)
        return client

    def _connected(self) -> Any:
        from qdrant_client import QdrantClient
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        address = self.settings.address
        client = QdrantClient(url=address, api_key=os.environ.get(KEY), timeout=TIMEOUT, check_compatibility=False)
        try:
            there = client.collection_exists(self._name)
        except (ResponseHandlingException, UnexpectedResponse, OSError) as error:
            raise NotFoundError(f"No Qdrant server answers at {address} ({error}): start it, or check {KEY}.") from None
        if len(self) and not there:
            raise NotFoundError(f"The server at {address} has no collection {self._name!r}: build the index again.")
        return client

    def _make(self, client: Any, dim: int) -> None:
        from qdrant_client import models

        comparison = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
        graph = models.HnswConfigDiff(m=self.settings.m, ef_construct=self.settings.ef_construct)
        vectors = models.VectorParams(
            size=dim, distance=models.Distance.DOT, multivector_config=comparison, hnsw_config=graph
        )
        client.create_collection(self._name, vectors_config=vectors)

    def _upload(self, client: Any, numbers: np.ndarray, documents: TokenEmbeddings) -> None:
        """Send documents in batches of tokens: a document of many tokens is a large point."""
        from qdrant_client import models

        points, held = [], 0
        for number, vectors in zip(numbers.tolist(), documents, strict=True):
            # model_construct: the client's validation of every number would take longer than the rest together.
            points.append(models.PointStruct.model_construct(id=number, vector=vectors.astype(np.float32).tolist()))
            held += len(vectors)
            if held >= BATCH_TOKENS:
                client.upsert(self._name, points, wait=True)
                points, held = [], 0
        if points:
            client.upsert(self._name, points, wait=True)

    def _commit(
        self, ids: IdTable, lengths: np.ndarray, documents: TokenEmbeddings | None, change: Callable[[Path], None],
        **more: Any,
    ) -> None:  # fmt: skip
        if self.settings.address:
            change(self.path)
            self._record(ids, lengths, documents, None, **more)
        else:
            super()._commit(ids, lengths, documents, change, **more)

    def _insert(self, folder: Path, numbers: np.ndarray, documents: TokenEmbeddings) -> None:
        if self.settings.address:
            client = self.native or self._connected()
            if len(self) == 0:
                self._start_anew(client, documents.dim)
            self._upload(client, numbers, documents)
            return
        parts = [*(TokenEmbeddings.open(folder) if len(self) else ()), *documents]
        TokenEmbeddings.from_list([part.astype(np.float32) for part in parts], documents.fingerprint).save(folder)

    def _delete(self, folder: Path, numbers: np.ndarray) -> None:
        from qdrant_client import models

        if self.settings.address:
            self.native.delete(self._name, models.PointIdsList(points=numbers.tolist()), wait=True)
        else:
            TokenEmbeddings.open(folder).select(np.flatnonzero(~np.isin(self.numbers, numbers))).save(folder)

    def _start_anew(self, client: Any, dim: int) -> None:
        """Make the server's collection; one that is there must be empty, as this index leaves its own."""
        if client.collection_exists(self._name):
            if client.count(self._name, exact=True).count:
                raise InputError(
                    f"The server already holds points in collection {self._name!r}: choose another name, or delete it."
                )
            client.delete_collection(self._name)
        self._make(client, dim)

    def _vectors(self, positions: np.ndarray) -> TokenEmbeddings:
        folder = self._folder()
        if folder is not None:
            return TokenEmbeddings.open(folder).select(positions)
        wanted = self.numbers[positions].tolist()
        points = {p.id: p.vector for p in self.native.retrieve(self._name, list(set(wanted)), with_vectors=True)}
        arrays = [np.asarray(points[number], np.float32) for number in wanted]
        return TokenEmbeddings.from_list(arrays, self.state.fingerprint, self.state.dim)

    def _search(self, queries: TokenEmbeddings, k: int, subset: np.ndarray | None) -> list[Ranking]:
        allowed = None if subset is None else self.numbers[subset]
        wanted = min(k, len(self) if allowed is None else len(allowed))
        return [self._search_one(queries[number], wanted, allowed) for number in range(len(queries))]

    def _search_one(self, query: np.ndarray, k: int, allowed: np.ndarray | None) -> Ranking:
        if len(query) == 0:
            return self._nothing_asked(k, allowed)
        if not self.settings.address:
            return self._with_ties(query, k, allowed)
        ranking = self._ask(query, k, k, allowed, self.settings.exact)
        if len(ranking) == k:
            return ranking
        # The graph does not reach all, or a change that was cut short left points that this index does not know.
        unknown = max(self.native.count(self._name, exact=True).count - len(self), 0)
        note = f"every document was scored: the first answer held fewer than {k}"
        return self._ask(query, k, k + unknown, allowed, True, (note,))

    def _with_ties(self, query: np.ndarray, k: int, allowed: np.ndarray | None) -> Ranking:
        """The client keeps any of those that tie at the cut: ask for more until the last one found scores less."""
        n, last = k + 1, len(self) if allowed is None else len(allowed)
        while True:
            n = min(n, last)
            more = self._ask(query, n, n, allowed, self.settings.exact)
            if n == last or more.scores[-1] < more.scores[k - 1]:
                return Ranking(more.ids[:k], more.scores[:k], more.notes)
            n *= 2

    def _ask(
        self,
        query: np.ndarray,
        k: int,
        limit: int,
        allowed: np.ndarray | None,
        exact: bool,
        notes: tuple[str, ...] = (),
    ) -> Ranking:
        from qdrant_client import models

        among = None
        if allowed is not None:
            among = models.Filter(must=[models.HasIdCondition(has_id=allowed.tolist())])
        points = self.native.query_points(
            self._name, query=query.astype(np.float32).tolist(), limit=limit, query_filter=among, with_payload=False,
            search_params=models.SearchParams(hnsw_ef=self.settings.ef or None, exact=exact),
        ).points  # fmt: skip
        return self._found([point.id for point in points], [point.score for point in points], k, notes)

    def describe(self) -> dict[str, Any]:
        """See the base class; what a server holds is not counted in bytes, and said to be elsewhere."""
        elsewhere = {"elsewhere": self.settings.address} if self.settings.address else {}
        return {**super().describe(), **elsewhere}
