"""A workspace: one collection, one model and one index, ready to be searched and explained."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from engine import Alignment, Collection, Encoder, TokenEmbeddings, load_collection
from engine.errors import InputError, NotFoundError
from engine.explain import align
from engine.indexes import DEFAULT_KIND, Index
from engine.retrieval import check_k
from engine.tokens import Token
from workbench.cache import cached_embeddings, cached_index

QUICK_S = 0.2  # a collection that does not exist is known by then

OnProgress = Callable[[str, int, int], None]  # stage, done, all


@dataclass(frozen=True, eq=False)
class Hit:
    """One document of a search result.

    Args:
        rank: From 1.
        id: The document's id.
        title: Its title, or its id.
        text: Its whole text.
        score: MaxSim on the document's own vectors.
        contribution: float32 [query tokens], sums to `score`.
    """

    rank: int
    id: str
    title: str
    text: str
    score: float
    contribution: np.ndarray


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a question found.

    Args:
        question: The question.
        query_tokens: Its tokens, one a contribution.
        hits: Best first, ties by id.
        seconds: Wall time of encoding, searching and scoring.
        notes: What the index did beyond its settings.
    """

    question: str
    query_tokens: list[Token]
    hits: list[Hit]
    seconds: float
    notes: tuple[str, ...] = ()


class Workspace:
    """Searches a collection and explains what it finds; use `open_workspace`.

    Args:
        collection: The documents.
        encoder: The model.
        documents: Its vectors of the documents, in their order.
        index: An index over the same vectors.
    """

    def __init__(self, collection: Collection, encoder: Encoder, documents: TokenEmbeddings, index: Index) -> None:
        self.collection = collection
        self.encoder = encoder
        self.documents = documents
        self.index = index
        self._positions = {name: position for position, name in enumerate(collection.documents)}
        self._query = lru_cache(maxsize=64)(self._encode_query)
        self._document_tokens = lru_cache(maxsize=1024)(lambda text: encoder.tokens(text, "document"))

    def _encode_query(self, question: str) -> tuple[TokenEmbeddings, list[Token]]:
        if not question.strip():
            raise InputError("Expected a question, got an empty one: type a few words.")
        return self.encoder.encode_query([question]), self.encoder.tokens(question, "query")

    def search(self, question: str, k: int = 10, subset: Sequence[str] | None = None) -> SearchResult:
        """Find the documents for a question: candidates from the index, scores from the documents' own vectors.

        Args:
            question: The question.
            k: How many documents.
            subset: Ids to search among, or None.

        Returns:
            The result; its scores are exact MaxSim, whatever the index compresses.

        Raises:
            InputError: an empty question or k below 1.
        """
        check_k(k)
        start = time.perf_counter()
        query, tokens = self._query(question)
        ranking = self.index.search(query, k=k, subset=subset)[0]
        found = [(name, self._contribution(query[0], name)) for name in ranking.ids]
        found.sort(key=lambda item: (-float(item[1].sum()), item[0]))
        hits = [
            Hit(
                rank,
                name,
                self.collection.titles.get(name, name),
                self.collection.documents[name],
                float(part.sum()),
                part,
            )
            for rank, (name, part) in enumerate(found, start=1)
        ]
        return SearchResult(question, tokens, hits, time.perf_counter() - start, ranking.notes)

    def _contribution(self, query: np.ndarray, name: str) -> np.ndarray:
        document = self.documents[self._positions[name]].astype(np.float32)
        return (query.astype(np.float32) @ document.T).max(axis=1)

    def explain(self, question: str, document_id: str) -> Alignment:
        """Show how a document's score for a question comes about, on the same vectors as `search`.

        Args:
            question: The question.
            document_id: A document of the collection.

        Returns:
            The alignment.

        Raises:
            NotFoundError: no such document.
        """
        if document_id not in self._positions:
            raise NotFoundError(f"{self.collection.name!r} has no document {document_id!r}: take one from a result.")
        query, tokens = self._query(question)
        vectors = self.documents[self._positions[document_id]]
        return align(query[0], vectors, tokens, self._document_tokens(self.collection.documents[document_id]))

    def explain_text(self, question: str, text: str) -> Alignment:
        """Show how any text would score for a question: for texts edited by hand.

        Args:
            question: The question.
            text: The text; it need not be in the collection.

        Returns:
            The alignment.

        Raises:
            InputError: an empty text.
        """
        query, tokens = self._query(question)
        vectors = self.encoder.encode_document([text])
        return align(query[0], vectors[0], tokens, self._document_tokens(text))


def open_workspace(
    collection: str | Collection = "embedded",
    model: str | Encoder = "embedded",
    index: str = DEFAULT_KIND,
    on_progress: OnProgress | None = None,
    device: str = "auto",
    settings: Mapping[str, Any] | None = None,
) -> Workspace:
    """Load a collection and a model, encode and index what is not kept from the last time.

    Args:
        collection: A name or path for `load_collection`, or a collection.
        model: A name or path for `Encoder.load`, or an encoder.
        index: A kind of index.
        on_progress: Called with a stage ("encode", "index"), how much is done, and of how much.
        device: Where the model runs.
        settings: Of the index, where they are not the defaults.

    Returns:
        The workspace.
    """
    report = on_progress or (lambda stage, done, total: None)
    with ThreadPoolExecutor(1) as beside:  # texts are read by another process or the disk, the model by this one
        reading = beside.submit(load_collection, collection) if isinstance(collection, str) else None
        if reading is not None and wait([reading], timeout=QUICK_S).done:
            reading.result()  # a wrong name is an error at once
        encoder = Encoder.load(model, device=device) if isinstance(model, str) else model
    loaded = reading.result() if reading is not None else collection
    assert isinstance(loaded, Collection)
    texts = list(loaded.documents.values())
    documents = cached_embeddings(encoder, texts, "document", lambda done, total: report("encode", done, total))
    report("index", 0, len(texts))
    built, _ = cached_index(index, list(loaded.documents), documents, **(settings or {}))
    report("index", len(texts), len(texts))
    return Workspace(loaded, encoder, documents, built)
