"""Answers: what a question found, why, and where a document was lost; and how JSON has them, whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Alignment, TokenEmbeddings
from engine.conditions import Selection
from engine.errors import NotFoundError
from engine.indexes.trace import Trace
from engine.tokens import Token

if TYPE_CHECKING:
    from workbench.workspace import Workspace


@dataclass(frozen=True, eq=False)
class Hit:
    """One document of a search result.

    Args:
        rank: From 1.
        id: The document's id.
        title: Its title, or its id.
        text: Its whole text.
        score: What ranked it: the index's, on the vectors that it stores, or that of the workspace's scorer.
        explain: Makes `alignment`.
    """

    rank: int
    id: str
    title: str
    text: str
    score: float
    explain: Callable[[], Alignment]

    @cached_property
    def alignment(self) -> Alignment:
        """How the score comes about, computed when it is first asked for; see `SearchResult.scored_on`."""
        return self.explain()

    @property
    def contribution(self) -> np.ndarray:
        """float32 [query tokens], sums to `score` within 1e-3 where `SearchResult` says nothing else."""
        return self.alignment.contribution


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a question found.

    Args:
        question: The question.
        query_tokens: Its tokens, one a contribution.
        hits: Best first, ties by id: the ranking of the index, or of the scorer that reranks it.
        seconds: Wall time of encoding and searching.
        scored_on: Which vectors the scores and their parts are of, in words.
        notes: What the index did beyond its settings.
        caveat: Why the parts of a score do not sum to it; empty where they do.
        among: The documents that a condition chose, or None.
    """

    question: str
    query_tokens: list[Token]
    hits: list[Hit]
    seconds: float
    scored_on: str
    notes: tuple[str, ...] = ()
    caveat: str = ""
    among: Selection | None = None


def found_values(workspace: Workspace, result: SearchResult, contributions: bool = True) -> dict[str, Any]:
    """A search result as JSON values.

    Args:
        workspace: That was searched.
        result: What it found.
        contributions: Whether each hit says what each query token adds to its score.

    Returns:
        Names and values; arrays are lists.
    """
    parts, among = workspace.collection.parts, result.among
    hits = [
        {"rank": hit.rank, "id": hit.id, "title": hit.title, "score": hit.score, "text": hit.text,
         "contribution": hit.contribution.tolist() if contributions else None,
         "part": str(parts[hit.id]) if hit.id in parts else None}
        for hit in result.hits
    ]  # fmt: skip
    chosen = None if among is None else {"where": among.condition, "documents": len(among.ids), "of": among.total}
    return {
        "question": result.question, "query_tokens": [token.text for token in result.query_tokens], "hits": hits,
        "among": chosen, "scorer": workspace.scorer,
        "system": "" if workspace.system is None else workspace.system.text, "scored_on": result.scored_on,
        "notes": list(result.notes), "caveat": result.caveat, "seconds": result.seconds,
    }  # fmt: skip


def explained_values(
    workspace: Workspace, question: str, document: str | None, text: str | None = None
) -> dict[str, Any]:  # fmt: skip
    """Why a document scores what it scores, as JSON values: each query token, its best match and what that adds.

    Args:
        workspace: Its documents.
        question: The question.
        document: An id, or None.
        text: Any text, where there is no id.

    Returns:
        Names and values; the contributions sum to the score. "words" holds what each word of the question adds, for
        every stage of a system that counts words.

    Raises:
        NotFoundError: no such document.
        InputError: an empty question, or nothing of one of the two is left to score.
    """
    found = workspace.explain_text(question, text or "") if document is None else workspace.explain(question, document)
    matches = [
        {"token": token.text, "kind": token.kind, "match": found.document_tokens[best].text, "position": best,
         "contribution": value}
        for token, best, value in zip(
            found.query_tokens, found.best.tolist(), found.contribution.tolist(), strict=True
        )
    ]  # fmt: skip
    system = None if document is None else workspace.system
    words = {} if system is None or document is None else system.reasons(question, document)
    return {
        "question": question, "document": document, "score": float(found.score), "matches": matches,
        "words": {stage: [list(pair) for pair in pairs] for stage, pairs in words.items()},
        "scored_on": workspace.scored_on if text is None else "the vectors of the text as the model gives them",
        "caveat": workspace.caveat,
    }  # fmt: skip


def follow(
    workspace: Workspace, question: str, document: str, k: int, originals: TokenEmbeddings | None
) -> Trace:  # fmt: skip
    """Follow a document through the index of a workspace, to the stage that lost it.

    Args:
        workspace: With an index, and no system in its place.
        question: The question.
        document: An id.
        k: Results that are asked for.
        originals: Vectors of all documents before the index stored them, for comparison, or None.

    Returns:
        The trace.

    Raises:
        NotFoundError: no such document.
        UnsupportedError: this kind of index does not keep what a trace needs.
    """
    if document not in workspace.collection.documents:
        raise NotFoundError(f"{workspace.collection.name!r} has no document {document!r}: take one from a result.")
    return workspace.index.trace(workspace.query(question), document, k, originals)


def traced_values(question: str, found: Trace) -> dict[str, Any]:
    """A trace through an index as JSON values.

    Args:
        question: The question.
        found: See `follow`.

    Returns:
        Names and values.
    """
    return {
        "question": question, "document": found.document, "k": found.k, "cut_by": found.cut_by, "rank": found.rank,
        "stages": [asdict(stage) for stage in found.stages], "stored_score": found.stored_score,
        "stored_rank": found.stored_rank, "original_score": found.original_score,
        "original_rank": found.original_rank, "notes": list(found.notes), "remedy": found.remedy,
    }  # fmt: skip
