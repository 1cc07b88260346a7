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
LONGEST_TEXT = 20_000
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
    component("search", {"examples": questions[:EXAMPLES]}, [functions.search, functions.explain, functions.rescore])


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
        question = question_of(request)
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
        return {"pair": self._pair(question_of(request), str(request.get("document")))}

    @answering
    def rescore(self, request: dict[str, str]) -> dict[str, Any]:
        """Explain a document whose text the person changed.

        Args:
            request: "question", "document" and "text".

        Returns:
            "pair", the explanation of the changed text under the document's name.
        """
        question, name, text = question_of(request), str(request.get("document")), str(request.get("text") or "")
        text = text.encode("utf-8", "replace").decode()
        if len(text) > LONGEST_TEXT:
            raise InputError(f"Expected a text of at most {LONGEST_TEXT:,} characters, got {len(text):,}: shorten it.")
        if not text.strip():
            raise InputError("The text is empty: type a few words to score.")
        title = self.workspace.collection.titles.get(name, name)
        return {"pair": explanation(question, name, title, text, self.workspace.explain_text(question, text))}

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


def question_of(request: dict[str, str]) -> str:
    """The question of a request, checked.

    Raises:
        InputError: empty, or too long.
    """
    question = str(request.get("question") or "").encode("utf-8", "replace").decode()
    if len(question) > LONGEST_QUESTION:
        raise InputError(
            f"Expected a question of at most {LONGEST_QUESTION:,} characters, got {len(question):,}: shorten it."
        )
    if not question.strip():
        raise InputError("Type a question first: a few words are enough.")
    return question
