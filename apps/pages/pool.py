"""The page Pool factor: what fewer vectors a document cost, measured live on the collection that is open."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any, cast

import gradio as gr

from apps.components import component
from apps.live import Stops, follow
from apps.machine import machine
from apps.pages import HEAVY, answering, bar, sentence
from apps.pool_records import factor_row, merged
from engine.errors import InputError, NotFoundError
from engine.pooling import METHODS, Method
from workbench.cache import cached_embeddings
from workbench.pool_study import FACTORS, pool_study
from workbench.workspace import Workspace

INDEXES = ("exact", "plaid")
SUGGESTIONS = 20


def page(workspace: Workspace) -> None:
    """Build the page into the open Blocks.

    Args:
        workspace: What it measures.
    """
    bar()
    study = PoolPage(workspace)
    view = component("pool", study.start(), [study.merge, study.names, study.kept], ("measure", "halt"))

    def measure(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        yield from study.measure(event._data, request.session_hash or "")

    def halt(request: gr.Request) -> None:
        study.stops.stop(request.session_hash or "")

    view.measure(
        measure, outputs=view, concurrency_limit=1, concurrency_id=HEAVY, api_visibility="private",
        show_progress="hidden", trigger_mode="once",
    )  # fmt: skip
    view.halt(halt, api_visibility="private", show_progress="hidden")


class PoolPage:
    """The state that all visitors share: finished studies of this workspace, which are the same for everyone.

    Args:
        workspace: What is measured.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.stops = Stops()
        self.finished: dict[tuple[str, str], dict[str, Any]] = {}

    def start(self) -> dict[str, Any]:
        """What the page shows when it opens: the collection, the choices, and a study if one is finished."""
        collection = self.workspace.collection
        return {
            "collection": collection.name, "documents": len(collection.documents),
            "questions": len(collection.judged_queries), "model": self.workspace.encoder.name,
            "methods": list(METHODS), "indexes": list(INDEXES), "machine": machine(),
            "document": _example(collection.qrels, next(iter(collection.documents))),
            "study": self.kept({"method": METHODS[0], "index": INDEXES[0]}),
        }  # fmt: skip

    def kept(self, request: dict[str, str]) -> dict[str, Any]:
        """A study that is finished, or an empty one.

        Args:
            request: "method" and "index".

        Returns:
            The study.
        """
        key = (str(request.get("method")), str(request.get("index")))
        return self.finished.get(key) or _study(key, "empty", [])

    def measure(self, request: dict[str, str], session: str) -> Iterator[dict[str, Any]]:
        """Run a study, the whole page's value again after each factor.

        Args:
            request: "method" and "index".
            session: Whose run it is.

        Yields:
            The value of the page.
        """
        key = (str(request.get("method")), str(request.get("index")))
        base, rows, begin, stop = self.start(), [], time.perf_counter(), self.stops.begin(session)
        try:
            if key[0] not in METHODS or key[1] not in INDEXES:
                raise InputError(f"Expected a method and an index that the page offers, got {key}: choose again.")
            collection = self.workspace.collection
            if not collection.judged_queries:
                raise InputError(f"{collection.name!r} has no questions with judgements: nothing can be measured.")
            yield {**base, "study": _study(key, "running", rows, "the questions")}
            questions = list(collection.queries.values())
            queries = cached_embeddings(self.workspace.encoder, questions, "query", dtype="float32")
            before, method = None, cast(Method, key[0])
            running = follow(
                lambda report: pool_study(
                    collection, self.workspace.documents, queries, FACTORS, (method,), index=key[1], progress=report
                ),
                stop,
            )
            following = ""
            for kind, told in running:
                if kind == "record":
                    before = before or told
                    rows.append(factor_row(told, before, collection))
                else:
                    following = str(told[2])
                yield {**base, "study": _study(key, "running", rows, following)}
            status = "stopped" if stop.is_set() else "done"
            study = {**_study(key, status, rows), "seconds": time.perf_counter() - begin}
            if status == "done":
                self.finished[key] = study
            yield {**base, "study": study}
        except Exception as error:  # the boundary to the browser
            yield {**base, "study": {**_study(key, "error", rows), "error": sentence(error)}}

    @answering
    def merge(self, request: dict[str, Any]) -> dict[str, Any]:
        """Which tokens of a document are merged.

        Args:
            request: "document", "factor" (a number, or "one") and "method".

        Returns:
            See `merged`; or a sentence under "error".
        """
        name = str(request.get("document"))
        text = self.workspace.collection.documents.get(name)
        if text is None:
            raise NotFoundError(f"No document is called {name!r}: type the beginning of a name and choose one.")
        label, method = str(request.get("factor")), cast(Method, request.get("method"))
        if label != "one" and not label.replace(".", "", 1).isdigit():
            raise InputError(f"Expected a pool factor, got {label!r}: choose one with the slider.")
        return merged(self.workspace.encoder, text, math.inf if label == "one" else float(label), method)

    def names(self, request: dict[str, str]) -> list[str]:
        """Documents whose name holds a text, those that begin with it first.

        Args:
            request: "text".

        Returns:
            At most 20 ids.
        """
        text = str(request.get("text", "")).lower()
        found = [name for name in self.workspace.collection.documents if text in name.lower()]
        return sorted(found, key=lambda name: (not name.lower().startswith(text), len(name), name))[:SUGGESTIONS]


def _study(key: tuple[str, str], status: str, rows: list[dict[str, Any]], following: str = "") -> dict[str, Any]:
    return {
        "method": key[0], "index": key[1], "status": status, "rows": list(rows), "done": len(rows),
        "total": len(FACTORS), "next": following, "error": "", "seconds": 0,
    }  # fmt: skip


def _example(qrels: dict[str, dict[str, int]], default: str) -> str:
    """A document worth looking at: the first that a question was judged to be answered by."""
    best = ((-grade, document) for grades in list(qrels.values())[:1] for document, grade in grades.items())
    return min(best, default=(0, default))[1]
