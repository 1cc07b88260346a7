"""The page Indexes: what each index costs and finds, measured live on identical vectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from apps.components import component
from apps.index_records import conditions, index_row
from apps.live import Stops, follow
from apps.machine import machine
from apps.pages import HEAVY, bar, sentence
from engine.errors import InputError, MissingExtraError
from engine.indexes import index_class
from workbench.cache import cached_embeddings
from workbench.compare_indexes import DEFAULT_INDEXES, TARGET, compare_indexes
from workbench.index_records import parse_spec
from workbench.workspace import Workspace

MOST_SPECS = 8
MOST_QUERIES = (50, 200, 1000)


def page(workspace: Workspace) -> None:
    """Build the page into the open Blocks.

    Args:
        workspace: What it measures.
    """
    bar()
    comparison = IndexPage(workspace)
    view = component("indexes", comparison.start(), [comparison.last], ("compare", "halt"))

    def compare(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        yield from comparison.compare(event._data, request.session_hash or "")

    def halt(request: gr.Request) -> None:
        comparison.stops.stop(request.session_hash or "")

    view.compare(
        compare, outputs=view, concurrency_limit=1, concurrency_id=HEAVY, api_visibility="private",
        show_progress="hidden", trigger_mode="once",
    )  # fmt: skip
    view.halt(halt, api_visibility="private", show_progress="hidden")


class IndexPage:
    """The state that all visitors share: the last finished comparison of this workspace.

    Args:
        workspace: What is measured.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.stops = Stops()
        self.finished: dict[str, Any] = _run("empty", [])

    def start(self) -> dict[str, Any]:
        """What the page shows when it opens: the choices, and the last finished comparison."""
        collection = self.workspace.collection
        return {
            "collection": collection.name, "documents": len(collection.documents), "model": self.workspace.encoder.name,
            "questions": len(collection.queries), "judged": len(collection.judged_queries), "machine": machine(),
            "kinds": [{"name": kind, "missing": _missing(kind)} for kind, _ in DEFAULT_INDEXES],
            "limits": [limit for limit in MOST_QUERIES if limit < len(collection.queries)],
            "run": self.finished,
        }  # fmt: skip

    def last(self, request: object) -> dict[str, Any]:
        """The last finished comparison, or an empty one."""
        return self.finished

    def compare(self, request: dict[str, Any], session: str) -> Iterator[dict[str, Any]]:
        """Run a comparison, the whole page's value again as each row or step arrives.

        Args:
            request: "specs" (list of text), "matched" (yes or no) and "queries" (how many, 0 for all).
            session: Whose run it is.

        Yields:
            The value of the page.
        """
        base, rows, step = self.start(), [], "Reading the vectors"
        shared: dict[str, Any] = {}
        stop = self.stops.begin(session)
        try:
            specs = _specs(request.get("specs"))
            questions = list(self.workspace.collection.queries.values())
            if not questions:
                raise InputError(
                    f"{self.workspace.collection.name!r} has no questions to compare indexes with: add some."
                )
            yield {**base, "run": _run("running", rows, step)}
            most = int(request.get("queries") or 0) or None
            target = TARGET if request.get("matched") else None
            queries = cached_embeddings(self.workspace.encoder, questions, "query", dtype="float32")
            running = follow(
                lambda report: compare_indexes(
                    self.workspace.collection, specs, documents=self.workspace.documents, queries=queries,
                    matched=target, max_queries=most, progress=report, should_stop=stop.is_set,
                ),
                stop,
            )  # fmt: skip
            for kind, told in running:
                if kind == "record":
                    rows.append(index_row(told))
                    shared = conditions(told)
                else:
                    step = _step(*told)
                yield {**base, "run": _run("running", rows, step, shared)}
            if stop.is_set():
                yield {**base, "run": _run("stopped", rows, "", shared)}
            else:
                self.finished = _run("done", rows, "", shared)
                yield {**base, "run": self.finished}
        except Exception as error:  # the boundary to the browser
            yield {**base, "run": {**_run("error", rows, "", shared), "error": sentence(error)}}


def _run(
    status: str, rows: list[dict[str, Any]], step: str = "", shared: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {"status": status, "rows": list(rows), "step": step, "shared": shared or {}, "error": ""}


def _step(what: str, done: int, total: int) -> str:
    return f"{what}, {done:,} of {total:,}" if total > 1 else what


def _specs(texts: Any) -> list[tuple[str, dict[str, Any]]]:
    words = [str(text).strip() for text in texts if str(text).strip()] if isinstance(texts, list) else []
    if not 1 <= len(words) <= MOST_SPECS:
        raise InputError(f"Expected 1 to {MOST_SPECS} indexes, got {len(words)}: tick those to compare.")
    return [parse_spec(word) for word in words]


def _missing(kind: str) -> str:
    """Why a kind cannot run here, or nothing."""
    try:
        index_class(kind).check_installed()
    except MissingExtraError as error:
        return str(error)
    return ""
