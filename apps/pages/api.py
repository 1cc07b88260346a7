"""The two functions that other programs may call; everything else that the application answers serves its pages."""

from __future__ import annotations

from typing import Any

import gradio as gr

from apps.pages import sentence
from apps.pages.search import question_of
from apps.records import rounded
from apps.workspaces import Workspaces
from engine.errors import InputError

MOST_HITS = 100


def endpoints(workspaces: Workspaces) -> None:
    """Add the endpoints to the open Blocks.

    Args:
        workspaces: Of which the first, that of the command line, is searched.
    """
    workspace = workspaces.first

    def search(question: str, k: float = 10) -> dict[str, Any]:
        """Search the collection: documents with their scores, best first."""
        try:
            if not 1 <= k <= MOST_HITS:
                raise InputError(f"Expected k from 1 to {MOST_HITS}, got {k}: correct it.")
            result = workspace.search(question_of({"question": question}), int(k))
        except Exception as error:
            raise gr.Error(sentence(error)) from None
        hits = [{"rank": hit.rank, "id": hit.id, "title": hit.title, "score": hit.score} for hit in result.hits]
        return {"question": question, "hits": hits}

    def explain(question: str, document: str) -> dict[str, Any]:
        """Explain the score of one document: each query token, its best match and its contribution."""
        try:
            found = workspace.explain(question_of({"question": question}), document)
        except Exception as error:
            raise gr.Error(sentence(error)) from None
        matches = [
            {"token": token.text, "kind": token.kind, "match": found.document_tokens[best].text, "contribution": value}
            for token, best, value in zip(
                found.query_tokens, found.best, rounded(found.contribution, 6), strict=True
            )
        ]  # fmt: skip
        return {"question": question, "document": document, "score": float(found.score), "matches": matches}

    gr.api(search, api_name="search")
    gr.api(explain, api_name="explain")
