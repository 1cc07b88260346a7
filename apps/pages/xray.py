"""The page X-ray: what each stage of an index did with one document, and where a collection loses documents."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from apps.components import component
from apps.live import follow
from apps.pages import Functions, answering, bar, live, sentence
from apps.pages.search import question_of
from apps.text import asked
from apps.workspaces import Workspaces, check_named
from apps.xray_records import lost_record, trace_record
from engine.errors import InputError, NotFoundError
from engine.indexes import Index, classes
from workbench.cache import cached_index
from workbench.experiments.plan import parse_spec
from workbench.systems.lost_in_index import lost_documents

K = 10
MOST_OPEN = 6  # indexes


def page(workspaces: Workspaces) -> None:
    """Build the page into the open Blocks.

    Args:
        workspaces: Whose indexes are looked into.
    """
    bar()
    xray = XrayPage(workspaces)
    view = component("xray", None, [xray.start, xray.trace], ("survey", "halt"))
    live(view, xray.survey, xray.stops, "survey", workspaces.measuring, _refused)


class XrayPage(Functions):
    """The state that all visitors share: the indexes that are open, and finished surveys of them."""

    def __init__(self, workspaces: Workspaces) -> None:
        super().__init__(workspaces)
        self._indexes: dict[tuple[str, str], Index] = {}
        self._opening = threading.Lock()
        self._surveys: dict[tuple[str, str], dict[str, Any]] = {}

    @answering
    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the page needs first.

        Args:
            request: "on", the key of the workspace; the first one without it.

        Returns:
            See `Workspaces.about`; and the kinds of index and an example.
        """
        workspace = self.workspaces.of(request)
        collection = workspace.collection
        query = next(iter(collection.judged_queries), None)
        grades = collection.qrels.get(query or "", {})
        return {
            **self.workspaces.about(request),
            "kinds": sorted(traced_kinds(), key=lambda kind: kind != workspace.index.kind), "k": K,
            "question": collection.queries[query] if query else "",
            "document": max(grades, key=lambda name: grades[name]) if grades else next(iter(collection.documents)),
        }  # fmt: skip

    def index(self, request: dict[str, Any]) -> Index:
        """An index over the workspace's vectors, built on first use.

        Args:
            request: "kind", such as "plaid" or "plaid:bits=2".

        Returns:
            The index.

        Raises:
            InputError: a kind that the page does not offer.
        """
        workspace, spec = self.workspaces.of(request), asked(request, "kind")
        kind, settings = parse_spec(spec)
        check_named(settings)
        if kind not in traced_kinds():
            raise InputError(f"Expected one of {', '.join(traced_kinds())}, got {kind!r}: choose an index.")
        if spec == workspace.index.kind:
            return workspace.index
        key = (asked(request, "on"), spec)
        with self._opening:
            if key not in self._indexes:
                ids = list(workspace.collection.documents)
                self._indexes[key] = cached_index(kind, ids, workspace.documents, **settings)[0]
                while len(self._indexes) > MOST_OPEN:
                    self._indexes.pop(next(iter(self._indexes)))
            return self._indexes[key]

    @answering
    def trace(self, request: dict[str, str]) -> dict[str, Any]:
        """Follow one document through one search.

        Args:
            request: "question", "document" and "kind".

        Returns:
            See `trace_record`.
        """
        question, name = question_of(request), asked(request, "document")
        workspace = self.workspaces.of(request)
        text = workspace.collection.documents.get(name)
        if text is None:
            raise NotFoundError(f"No document is called {name!r}: take one from the results of a search.")
        alignment = workspace.explain(question, name)
        query = workspace.query(question)
        index = self.index(request)
        originals = workspace.documents if index.ids == list(workspace.collection.documents) else None
        return trace_record(
            index.trace(query, name, K, originals), text, alignment.query_tokens, alignment.document_tokens
        )  # fmt: skip

    def survey(self, request: dict[str, str], session: str) -> Iterator[dict[str, Any]]:
        """Trace every relevant document that an index does not return.

        Args:
            request: "kind".
            session: Whose run it is.

        Yields:
            "survey".
        """
        key, stop = (asked(request, "on"), asked(request, "kind")), self.stops.begin(session)

        try:
            if key in self._surveys:
                yield _value("done", report=self._surveys[key])
                return
            yield _value("running", step="Opening the index")
            workspace, index = self.workspaces.of(request), self.index(request)
            collection = workspace.collection
            running = follow(
                lambda report: iter([lost_documents(
                    index, collection, workspace.documents, workspace.prepared.queries, K, progress=report,
                    stop=stop.is_set,
                )]),
                stop,
            )  # fmt: skip
            for what, told in running:
                if what == "progress":
                    yield _value("running", step=f"{told[1]} of {told[2]} questions")
                else:
                    record = lost_record(told, collection)
                    if not stop.is_set():
                        self._surveys[key] = record
                    yield _value("stopped" if stop.is_set() else "done", report=record)
        except Exception as error:  # the boundary to the browser
            yield _value("error", error=sentence(error))


def _value(status: str, **parts: Any) -> dict[str, Any]:
    return {"survey": {"status": status, "step": "", "error": "", "report": None, **parts}}


def _refused(request: dict[str, Any], told: str) -> dict[str, Any]:
    return _value("error", error=told)


def traced_kinds() -> list[str]:
    """The kinds whose traces show stages of their own."""
    return [kind for kind, found in classes().items() if found.traced]
