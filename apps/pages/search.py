"""The page Search and explain: a question, ranked documents, and the token-level reasons for each."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from apps.components import component
from apps.pages import Functions, answering, bar
from apps.places import page_picture, place_of
from apps.records import LONGEST_TEXT, explanation, matched, rounded, snippet
from apps.text import asked, visible
from apps.workspaces import Workspaces, label
from engine.conditions import quoted
from engine.errors import InputError, NotFoundError
from engine.explain import explain
from engine.simd.threads import thread_count
from workbench.workspace import SearchResult, Workspace

HITS = 10
LONGEST_QUESTION = 2000  # characters
EXAMPLES = 4
TRIED = 10  # questions that examples are chosen from
GRADES = {1: "helps", 2: "judged right"}


def page(workspaces: Workspaces) -> None:
    """Build the page into the open Blocks.

    Args:
        workspaces: What it searches.
    """
    bar()
    functions = SearchFunctions(workspaces)
    component(
        "search", None,
        [functions.start, functions.search, functions.explain, functions.rescore, functions.second, functions.fields,
         functions.picture],
    )  # fmt: skip


class SearchFunctions(Functions):
    """Searches and explains."""

    def __init__(self, workspaces: Workspaces) -> None:
        super().__init__(workspaces)
        self._examples: WeakKeyDictionary[Workspace, list[str]] = WeakKeyDictionary()
        self._choosing = threading.Lock()
        self._turns = threading.BoundedSemaphore(thread_count())  # more at once would only wait for each other

    @answering
    def start(self, request: dict[str, str]) -> dict[str, Any]:
        """What the page needs first.

        Args:
            request: "on", the key of the workspace; the first one without it.

        Returns:
            See `Workspaces.about`; "examples" (questions), "models" to compare with, "scorer" (what ranks where nothing
            is chosen) and "scorers" to choose from.
        """
        workspace = self.workspaces.of(request)
        with self._choosing:
            if workspace not in self._examples:
                self._examples[workspace] = _examples(workspace)
        return {
            **self.workspaces.about(request),
            "examples": [visible(text) for text in self._examples[workspace]],
            "models": self.workspaces.models.offered(),
            "scorer": workspace.scorer,
            "scorers": [{"name": name, "about": about} for name, about in workspace.scorers().items()],
        }

    @answering
    def search(self, request: dict[str, str]) -> dict[str, Any]:
        """Search and explain the best document, or the one that a link names.

        Args:
            request: "question", and "document", "passage" (a number), "scorer" and "where" (a condition on fields) or
                nothing.

        Returns:
            "question", "found" (the ranked list) and "pair" (the explanation).
        """
        workspace, question = self.workspaces.of(request), question_of(request)
        with self._turns:
            result = workspace.search(question, HITS, where=asked(request, "where"))
            wanted = asked(request, "document")
            name = wanted if wanted in workspace.collection.documents else result.hits[0].id
            return {
                "question": question,
                "found": _found(workspace, result),
                "pair": _pair(workspace, question, name, request),
            }

    @answering
    def fields(self, request: dict[str, str]) -> dict[str, Any]:
        """What a condition can be about.

        Args:
            request: "on".

        Returns:
            "columns", each with "name" as a condition writes it and "kind".
        """
        columns = self.workspaces.of(request).collection.rows.columns
        return {"columns": [{"name": visible(quoted(name)), "kind": kind} for name, kind in columns.items()]}

    @answering
    def picture(self, request: dict[str, str]) -> dict[str, Any]:
        """The page that a document stands on.

        Args:
            request: "document".

        Returns:
            "picture", an address that holds it.
        """
        with self._turns:
            return {"picture": page_picture(self.workspaces.of(request).collection, asked(request, "document"))}

    @answering
    def explain(self, request: dict[str, str]) -> dict[str, Any]:
        """Explain one document.

        Args:
            request: "question", "document", and "passage" (a number) where it is long.

        Returns:
            "pair", the explanation.
        """
        name = asked(request, "document")
        with self._turns:
            return {"pair": _pair(self.workspaces.of(request), question_of(request), name, request)}

    @answering
    def rescore(self, request: dict[str, str]) -> dict[str, Any]:
        """Explain a document whose text the person changed.

        Args:
            request: "question", "document" and "text", and "passage" (a number) where that is long.

        Returns:
            "pair", the explanation of the changed text under the document's name.
        """
        workspace, question = self.workspaces.of(request), question_of(request)
        name, text = asked(request, "document"), asked(request, "text")
        text = text.encode("utf-8", "replace").decode()
        if len(text) > LONGEST_TEXT:
            raise InputError(f"Expected a text of at most {LONGEST_TEXT:,} characters, got {len(text):,}: shorten it.")
        if not text.strip():
            raise InputError("The text is empty: type a few words to score.")
        title = workspace.collection.titles.get(name, name)
        alignment = workspace.explain_text(question, text)
        return {"pair": explanation(question, name, title, text, alignment, _passage(request))}

    @answering
    def second(self, request: dict[str, str]) -> dict[str, Any]:
        """Explain one document as another model sees it.

        Args:
            request: "question", "document" and "model".

        Returns:
            "pair", the explanation, and "model", its name.
        """
        collection, question = self.workspaces.of(request).collection, question_of(request)
        name, model = asked(request, "document"), asked(request, "model")
        if name not in collection.documents:
            raise NotFoundError(f"No document is called {name!r}: choose one of the list.")
        alignment = explain(self.workspaces.models.get(model), question, collection.documents[name])
        title = collection.titles.get(name, name)
        return {
            "pair": explanation(question, name, title, collection.documents[name], alignment),
            "model": label(model),
        }


def _examples(workspace: Workspace) -> list[str]:
    """Questions for a first visit: of the first few, those whose best document is judged right come first."""
    collection = workspace.collection
    tried = list(collection.queries)[:TRIED]

    def misses(query: str) -> bool:
        found = workspace.search(collection.queries[query], 1).hits
        return not found or collection.qrels.get(query, {}).get(found[0].id, 0) < 1

    ordered = sorted(tried, key=misses) if collection.qrels else tried
    return [collection.queries[query] for query in ordered[:EXAMPLES]]


def _pair(workspace: Workspace, question: str, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
    alignment, collection = workspace.explain(question, name), workspace.collection
    title = collection.titles.get(name, name)
    pair = explanation(question, name, title, collection.documents[name], alignment, _passage(request))
    return {**pair, "place": place_of(collection, name)}


def _passage(request: Mapping[str, Any]) -> int | None:
    """The number of a passage that a request is about.

    Raises:
        InputError: it is no number.
    """
    wanted = asked(request, "passage")
    if wanted and not (wanted.isdecimal() and len(wanted) < 10):
        raise InputError(f"Expected the number of a passage, got {wanted[:20]!r}: choose one of the document.")
    return int(wanted) if wanted else None


def _found(workspace: Workspace, result: SearchResult) -> dict[str, Any]:
    collection = workspace.collection
    query = next((name for name, text in collection.queries.items() if text == result.question), "")
    grades = collection.qrels.get(query, {})
    hits = []
    for hit in result.hits:
        hits.append({
            "rank": hit.rank, "id": hit.id, "title": visible(hit.title), "score": round(hit.score, 6),
            "part": visible(str(collection.parts.get(hit.id, ""))),
            "grade": GRADES.get(min(grades.get(hit.id, 0), 2), ""),
            "contribution": rounded(hit.contribution, 5),
            "snippet": snippet(hit.text, hit.alignment.document_tokens, matched(hit.alignment)),
        })  # fmt: skip
    return {
        "hits": hits, "seconds": result.seconds, "documents": len(collection.documents), "index": workspace.searched,
        "scored_on": result.scored_on, "caveat": result.caveat,
        "among": "" if result.among is None else visible(str(result.among)),
    }  # fmt: skip


def question_of(request: dict[str, str]) -> str:
    """The question of a request, checked.

    Raises:
        InputError: empty, or too long.
    """
    question = asked(request, "question").encode("utf-8", "replace").decode()
    if len(question) > LONGEST_QUESTION:
        raise InputError(
            f"Expected a question of at most {LONGEST_QUESTION:,} characters, got {len(question):,}: shorten it."
        )
    if not question.strip():
        raise InputError("Type a question first: a few words are enough.")
    return question
