"""The page Indexes: what each index costs and finds, measured live on identical vectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apps.components import component
from apps.index_records import conditions, frontiers, index_row
from apps.live import follow
from apps.pages import Functions, answering, bar, live, questions_at_most, sentence, step_of
from apps.text import asked
from apps.workspaces import Workspaces, check_named
from engine import machine
from engine.errors import InputError, MissingExtraError
from engine.indexes import classes, index_class
from workbench.experiments.plan import TARGET, default_indexes, parse_spec
from workbench.experiments.studies import compare_indexes

MOST_SPECS = 8
MOST_QUERIES = (50, 200, 1000)


def page(workspaces: Workspaces) -> None:
    """Build the page into the open Blocks.

    Args:
        workspaces: What it measures.
    """
    bar()
    comparison = IndexPage(workspaces)
    view = component("indexes", None, [comparison.start], ("compare", "halt"))
    live(view, comparison.compare, comparison.stops, "compare", workspaces.measuring, _refused)


class IndexPage(Functions):
    """The state that all visitors share: the last finished comparison of each workspace."""

    def __init__(self, workspaces: Workspaces) -> None:
        super().__init__(workspaces)
        self.finished: dict[str, dict[str, Any]] = {}

    @answering
    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the page needs first: the choices, and the last finished comparison.

        Args:
            request: "on", the key of the workspace; the first one without it.

        Returns:
            See `Workspaces.about`; and the choices.
        """
        collection = self.workspaces.of(request).collection
        return {
            **self.workspaces.about(request),
            "asked": len(collection.queries), "machine": machine.in_words(),
            "kinds": [{"name": kind, "missing": _missing(kind)} for kind, _ in default_indexes()],
            "limits": [limit for limit in MOST_QUERIES if limit < len(collection.queries)],
            "traced": [kind for kind, found in classes().items() if found.traced],
            "run": self.finished.get(asked(request, "on"), _run("empty", [])),
        }  # fmt: skip

    def compare(self, request: dict[str, Any], session: str) -> Iterator[dict[str, Any]]:
        """Run a comparison, all of it again as each row or step arrives.

        Args:
            request: "specs" (list of text), "matched" (yes or no) and "queries" (how many, 0 for all).
            session: Whose run it is.

        Yields:
            "run".
        """
        rows, records, step, shared, figures = [], [], "Reading the vectors", {}, []
        stop = self.stops.begin(session)
        try:
            specs = _specs(request.get("specs"))
            workspace = self.workspaces.of(request)
            if not workspace.collection.queries:
                raise InputError(f"{workspace.collection.name!r} has no questions to compare indexes with: add some.")
            yield {"run": _run("running", rows, step)}
            most = questions_at_most(request.get("queries"))
            target = TARGET if request.get("matched") else None
            running = follow(
                lambda report: compare_indexes(
                    workspace.prepared, specs, matched=target, max_queries=most, progress=report, stop=stop.is_set
                ),
                stop,
            )
            for kind, told in running:
                if kind == "record":
                    rows.append(index_row(told, beside=self.workspaces.training.busy()))
                    records.append(told)
                    figures = frontiers(records)
                    shared = conditions(told)
                else:
                    step = step_of(*told)
                yield {"run": _run("running", rows, step, shared, figures)}
            if stop.is_set():
                yield {"run": _run("stopped", rows, "", shared, figures)}
            else:
                finished = _run("done", rows, "", shared, figures)
                self.finished[asked(request, "on")] = finished
                yield {"run": finished}
        except Exception as error:  # the boundary to the browser
            yield {"run": {**_run("error", rows, "", shared, figures), "error": sentence(error)}}


def _run(
    status: str,
    rows: list[dict[str, Any]],
    step: str = "",
    shared: dict[str, Any] | None = None,
    figures: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    return {
        "status": status, "rows": list(rows), "step": step, "shared": shared or {}, "figures": figures or [],
        "error": "",
    }  # fmt: skip


def _refused(request: dict[str, Any], told: str) -> dict[str, Any]:
    return {"run": {**_run("error", []), "error": told}}


def _specs(texts: Any) -> list[tuple[str, dict[str, Any]]]:
    words = [str(text).strip() for text in texts if str(text).strip()] if isinstance(texts, list) else []
    if not 1 <= len(words) <= MOST_SPECS:
        raise InputError(f"Expected 1 to {MOST_SPECS} indexes, got {len(words)}: tick those to compare.")
    specs = [parse_spec(word) for word in words]
    for _, settings in specs:
        check_named(settings)
    return specs


def _missing(kind: str) -> str:
    """Why a kind cannot run here, or nothing."""
    try:
        index_class(kind).check_installed()
    except MissingExtraError as error:
        return str(error)
    return ""
