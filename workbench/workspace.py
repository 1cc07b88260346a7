"""A workspace: one collection, one model and one index, ready to be searched and explained."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from engine import Alignment, Collection, Encoder, TokenEmbeddings
from engine.errors import InputError, NotFoundError
from engine.explain import align
from engine.indexes import DEFAULT_KIND, Index
from engine.retrieval import check_k
from engine.tokens import Token
from workbench.cache import cached_index
from workbench.experiments.prepare import Prepared, prepare
from workbench.experiments.progress import Progress, Steps


@dataclass(frozen=True, eq=False)
class Hit:
    """One document of a search result.

    Args:
        rank: From 1.
        id: The document's id.
        title: Its title, or its id.
        text: Its whole text.
        score: The index's, on the vectors that it stores.
        alignment: How the score comes about; see `SearchResult.scored_on`.
    """

    rank: int
    id: str
    title: str
    text: str
    score: float
    alignment: Alignment

    @property
    def contribution(self) -> np.ndarray:
        """float32 [query tokens], sums to `score` within 1e-3 where the index gives back what it stores."""
        return self.alignment.contribution


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a question found.

    Args:
        question: The question.
        query_tokens: Its tokens, one a contribution.
        hits: Best first, ties by id: the ranking of the index.
        seconds: Wall time of encoding, searching and explaining.
        scored_on: Which vectors the scores and their parts are of, in words.
        notes: What the index did beyond its settings.
    """

    question: str
    query_tokens: list[Token]
    hits: list[Hit]
    seconds: float
    scored_on: str
    notes: tuple[str, ...] = ()


class Workspace:
    """Searches a collection and explains what it finds; use `open_workspace`.

    Args:
        prepared: The collection, its vectors and the model that made them.
        index: An index over the same vectors.
    """

    def __init__(self, prepared: Prepared, index: Index) -> None:
        if prepared.encoder is None:
            raise InputError("Expected vectors that a model made, since questions need it: prepare with a model.")
        self.prepared = prepared
        self.collection: Collection = prepared.collection
        self.encoder: Encoder = prepared.encoder
        self.documents: TokenEmbeddings = prepared.documents
        self.index = index
        self._positions = {name: position for position, name in enumerate(self.collection.documents)}
        self._query = lru_cache(maxsize=64)(self._encode_query)
        self._document_tokens = lru_cache(maxsize=1024)(lambda text: self.encoder.tokens(text, "document"))
        self.explain = lru_cache(maxsize=256)(self._explain)  # a page explains what it has just found

    def _encode_query(self, question: str) -> tuple[TokenEmbeddings, list[Token]]:
        if not question.strip():
            raise InputError("Expected a question, got an empty one: type a few words.")
        encoded = self.encoder.encode_query([question]).astype(self.prepared.vectors)  # as those that are evaluated
        return encoded, self.encoder.tokens(question, "query")

    def query(self, question: str) -> TokenEmbeddings:
        """The vectors of a question, kept as those that are evaluated.

        Raises:
            InputError: an empty question.
        """
        return self._query(question)[0]

    @property
    def scored_on(self) -> str:
        """Which vectors scores and their parts are of, in words."""
        kind, settings = self.index.kind, asdict(self.index.settings)
        if "stored" not in self.index.abilities:
            return f"what the {kind} index stores, their parts on the original vectors, which may differ a little"
        precision = f"{settings['bits']}-bit" if settings.get("bits") else settings.get("dtype", "stored")
        return f"the {precision} vectors of the {kind} index"

    def search(self, question: str, k: int = 10, subset: Sequence[str] | None = None) -> SearchResult:
        """Find the documents for a question: order and scores of the index, as `evaluate` takes them.

        Args:
            question: The question.
            k: How many documents.
            subset: Ids to search among, or None.

        Returns:
            The result.

        Raises:
            InputError: an empty question or k below 1.
        """
        check_k(k)
        start = time.perf_counter()
        query, tokens = self._query(question)
        ranking = self.index.search(query, k=k, subset=subset)[0]
        titles, texts = self.collection.titles, self.collection.documents
        hits = [
            Hit(rank, name, titles.get(name, name), texts[name], float(score), self.explain(question, name))
            for rank, (name, score) in enumerate(zip(ranking.ids, ranking.scores, strict=True), start=1)
        ]
        return SearchResult(question, tokens, hits, time.perf_counter() - start, self.scored_on, ranking.notes)

    def _explain(self, question: str, document_id: str) -> Alignment:
        """Show how a document's score for a question comes about, on the vectors that the index stores.

        Args:
            question: The question.
            document_id: A document of the collection.

        Returns:
            The alignment; on the original vectors where the index cannot give back what it stores.

        Raises:
            NotFoundError: no such document.
        """
        if document_id not in self._positions:
            raise NotFoundError(f"{self.collection.name!r} has no document {document_id!r}: take one from a result.")
        query, tokens = self._query(question)
        if "stored" in self.index.abilities:
            vectors = self.index.stored([document_id])[0]
        else:
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
    on_progress: Progress | None = None,
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
    prepared = prepare(collection, model, device=device)
    documents, _ = prepared.encode("document", Steps(lambda stage, done, total: report("encode", done, total)))
    report("index", 0, len(documents))
    built = cached_index(index, list(prepared.collection.documents), documents, **(settings or {}))[0]
    report("index", len(documents), len(documents))
    return Workspace(prepared, built)
