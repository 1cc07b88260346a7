"""The page X-ray: what each stage of an index did with one document, and where a collection loses documents."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr

from apps.components import component
from apps.live import Stops, follow
from apps.pages import HEAVY, answering, bar, sentence
from apps.pages.search import question_of
from apps.xray_records import lost_record, trace_record
from engine.errors import InputError, NotFoundError
from engine.indexes import Index
from workbench.cache import cached_embeddings, cached_index
from workbench.tracing import lost_documents
from workbench.workspace import Workspace

KINDS = ("plaid", "hnsw", "exact")
K = 10


def page(workspace: Workspace) -> None:
    """Build the page into the open Blocks.

    Args:
        workspace: Whose index is looked into.
    """
    bar()
    xray = XrayPage(workspace)
    view = component("xray", xray.start(), [xray.trace], ("survey", "halt"))

    def survey(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        yield from xray.survey(event._data, request.session_hash or "")

    def halt(request: gr.Request) -> None:
        xray.stops.stop(request.session_hash or "")

    view.survey(
        survey, outputs=view, concurrency_limit=1, concurrency_id=HEAVY, api_visibility="private",
        show_progress="hidden", trigger_mode="once",
    )  # fmt: skip
    view.halt(halt, api_visibility="private", show_progress="hidden")


class XrayPage:
    """The state that all visitors share: the indexes that are open, and finished surveys of them.

    Args:
        workspace: Whose vectors are indexed.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.stops = Stops()
        self._indexes: dict[str, Index] = {workspace.index.kind: workspace.index}
        self._opening = threading.Lock()
        self._surveys: dict[str, dict[str, Any]] = {}

    def start(self) -> dict[str, Any]:
        """What the page shows when it opens."""
        collection = self.workspace.collection
        query = next(iter(collection.judged_queries), None)
        grades = collection.qrels.get(query or "", {})
        return {
            "kinds": sorted(KINDS, key=lambda kind: kind != self.workspace.index.kind),
            "collection": collection.name, "judged": len(collection.judged_queries), "k": K,
            "question": collection.queries[query] if query else "",
            "document": max(grades, key=lambda name: grades[name]) if grades else next(iter(collection.documents)),
            "survey": {"status": "empty", "step": "", "error": "", "report": None},
        }  # fmt: skip

    def index(self, kind: str) -> Index:
        """An index of a kind over the workspace's vectors, built on first use.

        Raises:
            InputError: a kind that the page does not offer.
        """
        if kind not in KINDS:
            raise InputError(f"Expected one of {', '.join(KINDS)}, got {kind!r}: choose an index.")
        with self._opening:
            if kind not in self._indexes:
                ids = list(self.workspace.collection.documents)
                self._indexes[kind] = cached_index(kind, ids, self.workspace.documents)[0]
        return self._indexes[kind]

    @answering
    def trace(self, request: dict[str, str]) -> dict[str, Any]:
        """Follow one document through one search.

        Args:
            request: "question", "document" and "kind".

        Returns:
            See `trace_record`.
        """
        question, name = question_of(request), str(request.get("document"))
        text = self.workspace.collection.documents.get(name)
        if text is None:
            raise NotFoundError(f"No document is called {name!r}: take one from the results of a search.")
        alignment = self.workspace.explain(question, name)
        query = self.workspace.encoder.encode_query([question])
        index = self.index(str(request.get("kind")))
        originals = self.workspace.documents if index.ids == list(self.workspace.collection.documents) else None
        return trace_record(
            index.trace(query, name, K, originals), text, alignment.query_tokens, alignment.document_tokens
        )  # fmt: skip

    def survey(self, request: dict[str, str], session: str) -> Iterator[dict[str, Any]]:
        """Trace every relevant document that an index does not return.

        Args:
            request: "kind".
            session: Whose run it is.

        Yields:
            The value of the page.
        """
        base, kind, stop = self.start(), str(request.get("kind")), self.stops.begin(session)

        def value(status: str, **parts: Any) -> dict[str, Any]:
            return {**base, "survey": {"status": status, "step": "", "error": "", "report": None, **parts}}

        try:
            if kind in self._surveys:
                yield value("done", report=self._surveys[kind])
                return
            yield value("running", step="Opening the index")
            collection, index = self.workspace.collection, self.index(kind)
            queries = cached_embeddings(
                self.workspace.encoder, list(collection.queries.values()), "query", dtype="float32"
            )
            running = follow(
                lambda report: iter([lost_documents(
                    index, collection, self.workspace.documents, queries, K, progress=report, should_stop=stop.is_set
                )]),
                stop,
            )  # fmt: skip
            for what, told in running:
                if what == "progress":
                    yield value("running", step=f"{told[0]} of {told[1]} questions")
                else:
                    record = lost_record(told, collection)
                    if not stop.is_set():
                        self._surveys[kind] = record
                    yield value("stopped" if stop.is_set() else "done", report=record)
        except Exception as error:  # the boundary to the browser
            yield value("error", error=sentence(error))
