"""The two functions that other programs may call; everything else that the application answers serves its pages."""

from __future__ import annotations

from typing import Any

import gradio as gr

from apps.pages import sentence
from apps.pages.search import question_of
from apps.records import rounded
from apps.text import asked
from apps.workspaces import Workspaces
from engine.errors import InputError

MOST_HITS = 100


def endpoints(workspaces: Workspaces) -> None:
    """Add the endpoints to the open Blocks.

    Args:
        workspaces: Of which the first, that of the command line, is searched.
    """
    workspace = workspaces.first

    def search(question: str, k: int = 10) -> dict[str, Any]:
        """Search the collection: documents with their scores, best first."""
        try:
            result = workspace.search(question_of({"question": question}), _count(k))
        except Exception as error:
            raise _refused(error) from None
        hits = [{"rank": hit.rank, "id": hit.id, "title": hit.title, "score": hit.score} for hit in result.hits]
        return {"question": question, "hits": hits, "scored_on": result.scored_on, "caveat": result.caveat}

    def explain(question: str, document: str) -> dict[str, Any]:
        """Explain the MaxSim of one document: each query token, its best match and its contribution."""
        try:
            name = asked({"document": document}, "document")
            found = workspace.explain(question_of({"question": question}), name)
        except Exception as error:
            raise _refused(error) from None
        matches = [
            {"token": token.text, "kind": token.kind, "match": found.document_tokens[best].text, "contribution": value}
            for token, best, value in zip(
                found.query_tokens, found.best, rounded(found.contribution, 6), strict=True
            )
        ]  # fmt: skip
        answer = {"question": question, "document": document, "score": float(found.score), "matches": matches}
        return {**answer, "caveat": workspace.caveat}

    gr.api(search, api_name="search")
    gr.api(explain, api_name="explain")


def _count(k: Any) -> int:
    """How many documents, of whatever a program sent; JSON may write 3 as 3.0."""
    number = isinstance(k, int | float) and not isinstance(k, bool)
    if not number or not 1 <= k <= MOST_HITS or int(k) != k:
        raise InputError(f"Expected k as a whole number from 1 to {MOST_HITS}, got {str(k)[:60]!r}: correct it.")
    return int(k)


def _refused(error: Exception) -> gr.Error:
    return gr.Error(sentence(error), print_exception=False)  # what is our own fault is logged by `sentence`
