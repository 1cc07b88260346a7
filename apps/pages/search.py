"""The page Search and explain: a question, ranked documents, and the token-level reasons for each."""

from __future__ import annotations

from typing import Any

from apps.components import component
from apps.pages import answering, bar
from apps.records import explanation, matched, rounded, snippet
from apps.text import visible, word_groups
from engine.errors import InputError
from workbench.workspace import SearchResult, Workspace

HITS = 10
LONGEST_QUESTION = 2000  # characters
EXAMPLES = 4
GRADES = {1: "helps", 2: "judged right"}


def page(workspace: Workspace) -> None:
    """Build the page into the open Blocks.

    Args:
        workspace: What it searches.
    """
    bar()
    functions = SearchFunctions(workspace)
    questions = [visible(text) for text in workspace.collection.queries.values()]
    component("search", {"examples": questions[:EXAMPLES]}, [functions.search, functions.explain])


class SearchFunctions:
    """What the page's script calls; every answer is JSON, and a person's mistake is one sentence under "error".

    Args:
        workspace: What is searched.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.judged = {text: query for query, text in workspace.collection.queries.items()}

    @answering
    def search(self, request: dict[str, str]) -> dict[str, Any]:
        """Search and explain the best document, or the one that a link names.

        Args:
            request: "question", and "document" or nothing.

        Returns:
            "question", "found" (the ranked list) and "pair" (the explanation).
        """
        question = _question(request)
        result = self.workspace.search(question, HITS)
        wanted = request.get("document") or ""
        name = wanted if wanted in self.workspace.collection.documents else result.hits[0].id
        return {"question": question, "found": self._found(result), "pair": self._pair(question, name)}

    @answering
    def explain(self, request: dict[str, str]) -> dict[str, Any]:
        """Explain one document.

        Args:
            request: "question" and "document".

        Returns:
            "pair", the explanation.
        """
        return {"pair": self._pair(_question(request), str(request.get("document")))}

    def _pair(self, question: str, name: str) -> dict[str, Any]:
        alignment = self.workspace.explain(question, name)
        collection = self.workspace.collection
        return explanation(
            question, name, collection.titles.get(name, name), collection.documents[name], alignment
        )  # fmt: skip

    def _found(self, result: SearchResult) -> dict[str, Any]:
        collection = self.workspace.collection
        grades = collection.qrels.get(self.judged.get(result.question, ""), {})
        hits = []
        for hit in result.hits:
            alignment = self.workspace.explain(result.question, hit.id)
            hits.append({
                "rank": hit.rank, "id": hit.id, "title": visible(hit.title), "score": round(hit.score, 6),
                "grade": GRADES.get(min(grades.get(hit.id, 0), 2), ""),
                "contribution": rounded(hit.contribution, 5),
                "snippet": snippet(hit.text, alignment.document_tokens, matched(alignment)),
            })  # fmt: skip
        tokens = result.query_tokens
        return {
            "hits": hits,
            "seconds": result.seconds,
            "documents": len(collection.documents),
            "index": self.workspace.index.kind,
            "groups": {"pieces": [[i] for i in range(len(tokens))], "words": word_groups(result.question, tokens)},
        }


def _question(request: dict[str, str]) -> str:
    question = str(request.get("question") or "").encode("utf-8", "replace").decode()
    if len(question) > LONGEST_QUESTION:
        raise InputError(
            f"Expected a question of at most {LONGEST_QUESTION:,} characters, got {len(question):,}: shorten it."
        )
    if not question.strip():
        raise InputError("Type a question first: a few words are enough.")
    return question
