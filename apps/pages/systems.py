"""The page Systems: is late interaction worth it here? Whole systems on the same questions, and why they differ."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from apps.components import component
from apps.live import follow
from apps.pages import Functions, answering, bar, live, questions_at_most, sentence, step_of
from apps.pages.search import question_of
from apps.system_records import (
    answer,
    frontiers,
    losses_record,
    pair_record,
    passage_record,
    reasons_record,
    system_row,
)
from apps.text import asked, visible
from apps.workspaces import Workspaces, allowed
from engine import machine
from engine.errors import InputError, NotFoundError
from workbench.experiments.progress import Steps, Stopped
from workbench.experiments.system_studies import DEFAULT, compare_systems
from workbench.experiments.views.systems import SystemRow
from workbench.systems import System, build, finders, losses, rerankers, trace
from workbench.systems.worth import METRIC

MOST_SYSTEMS = 10
MOST_QUERIES = (50, 200, 1000)
K = 10  # results that a document is followed to
MOST_OPEN = 6  # systems kept to be asked again


def page(workspaces: Workspaces) -> None:
    """Build the page into the open Blocks.

    Args:
        workspaces: What it measures.
    """
    bar()
    systems = SystemsPage(workspaces)
    functions = [systems.start, systems.read, systems.pair, systems.why, systems.trace]
    view = component("systems", None, functions, ("compare", "lose", "halt"))
    for run, event in ((systems.compare, "compare"), (systems.lose, "lose")):
        live(view, run, systems.stops, event, workspaces.measuring, _refused)


class SystemsPage(Functions):
    """The state that all visitors share: the last comparison of each workspace, and systems that are open."""

    def __init__(self, workspaces: Workspaces) -> None:
        super().__init__(workspaces)
        self.finished: dict[str, dict[str, Any]] = {}
        self._rows: dict[str, dict[str, SystemRow]] = {}
        self._systems: dict[tuple[str, str], System] = {}
        self._opening = threading.Lock()

    @answering
    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the page needs first: the choices, and the last comparison.

        Args:
            request: "on", the key of the workspace; the first one without it.

        Returns:
            See `Workspaces.about`; and the choices.
        """
        collection = self.workspaces.of(request).collection
        return {
            **self.workspaces.about(request),
            "asked": len(collection.queries), "machine": machine.in_words(), "finders": finders(),
            "rerankers": rerankers(), "systems": list(DEFAULT), "most": MOST_SYSTEMS,
            "limits": [limit for limit in MOST_QUERIES if limit < len(collection.queries)],
            "run": self.finished.get(asked(request, "on"), _run("empty", [])),
        }  # fmt: skip

    @answering
    def read(self, request: dict[str, Any]) -> dict[str, Any]:
        """The one text of a system that a person typed, before anything is built.

        Args:
            request: "text".

        Returns:
            "name"; or a sentence under "error".
        """
        return {"name": allowed(asked(request, "text"))}

    def compare(self, request: dict[str, Any], session: str) -> Iterator[dict[str, Any]]:
        """Measure systems, all of it again as each row or step arrives.

        Args:
            request: "systems" (list of text) and "queries" (how many, 0 for all).
            session: Whose run it is.

        Yields:
            "run".
        """
        rows: list[SystemRow] = []
        shown: list[dict[str, Any]] = []
        step, stop = "Reading the vectors", self.stops.begin(session)
        try:
            texts = _texts(request.get("systems"))
            workspace, most = self.workspaces.of(request), questions_at_most(request.get("queries"))
            if not workspace.collection.judged_queries:
                name = workspace.collection.name
                raise InputError(f"{name!r} has no questions with judgements, so no system can be better: add some.")
            yield {"run": _run("running", shown, step)}
            running = follow(
                lambda report: compare_systems(
                    workspace.prepared, texts, max_queries=most, progress=report, stop=stop.is_set
                ),
                stop,
            )
            for kind, told in running:
                if kind == "record":
                    rows.append(told)
                    shown.append(system_row(told, len(shown), beside=self.workspaces.training.busy()))
                else:
                    step = step_of(*told)
                yield {"run": _run("running", shown, step)}
            status = "stopped" if stop.is_set() else "done"
            finished = {**_run(status, shown), "figures": frontiers(shown), "verdict": answer(rows)}
            on = asked(request, "on")
            self.finished[on], self._rows[on] = finished, {visible(row.name): row for row in rows if row.per_query}
            yield {"run": finished}
        except Exception as error:  # the boundary to the browser
            yield {"run": {**_run("error", shown), "error": sentence(error)}}

    @answering
    def pair(self, request: dict[str, Any]) -> dict[str, Any]:
        """Two systems of the last comparison, question by question.

        Args:
            request: "a" and "b", their names, and "metric".

        Returns:
            See `pair_record`.
        """
        rows = self._rows.get(asked(request, "on"), {})
        names, metric = [asked(request, name) for name in ("a", "b")], asked(request, "metric", METRIC)
        missing = next((name for name in names if name not in rows), None)
        if missing is not None:
            raise NotFoundError(f"The last comparison has no system {missing!r}: compare it first.")
        first, second = (rows[name] for name in names)
        if any(metric not in row.per_query for row in (first, second)):
            raise InputError(f"These systems were not measured by {metric!r}: choose a metric of the table.")
        return pair_record(first, second, self.workspaces.of(request).collection, metric)

    @answering
    def why(self, request: dict[str, Any]) -> dict[str, Any]:
        """Why two systems answer a question differently.

        Args:
            request: "a" and "b", texts of systems, and "query", the id of a question.

        Returns:
            See `reasons_record`.
        """
        collection, query = self.workspaces.of(request).collection, asked(request, "query")
        if query not in collection.queries:
            raise NotFoundError(f"{collection.name!r} has no question {query!r}: take one from the lists.")
        return reasons_record([self.system(request, name) for name in ("a", "b")], query, collection)

    @answering
    def trace(self, request: dict[str, Any]) -> dict[str, Any]:
        """Follow one document through the stages of a system.

        Args:
            request: "system", "question" and "document".

        Returns:
            See `passage_record`.
        """
        system, question = self.system(request, "system"), question_of(request)
        return passage_record(trace(system, question, asked(request, "document"), K))

    def lose(self, request: dict[str, Any], session: str) -> Iterator[dict[str, Any]]:
        """Find the stage that dropped each relevant document that a system does not return.

        Args:
            request: "system".
            session: Whose run it is.

        Yields:
            "losses".
        """
        stop = self.stops.begin(session)
        try:
            yield {"losses": {"status": "running", "step": "Opening the system", "error": "", "found": None}}
            system = self.system(request, "system")
            running = follow(lambda report: iter([losses(system, K, steps=Steps.of(report, stop.is_set))]), stop)
            for kind, told in running:
                status, found = ("done", losses_record(told)) if kind == "record" else ("running", None)
                step, value = "" if found else step_of(*told), {}
                if found and asked(request, "on") in self.finished:  # a saved copy of the page holds both
                    value = {"run": self.finished[asked(request, "on")]}
                yield {**value, "losses": {"status": status, "step": step, "error": "", "found": found}}
        except Stopped:
            yield {"losses": {"status": "stopped", "step": "", "error": "", "found": None}}
        except Exception as error:  # the boundary to the browser
            yield {"losses": {"status": "error", "step": "", "error": sentence(error), "found": None}}

    def system(self, request: dict[str, Any], name: str) -> System:
        """A system over the workspace, built on first use.

        Args:
            request: Holds its text under `name`.
            name: Where.

        Returns:
            The system.
        """
        text = allowed(asked(request, name))
        key = (asked(request, "on"), text)
        with self._opening:
            if key not in self._systems:
                self._systems[key] = build(text, self.workspaces.of(request).prepared)
                while len(self._systems) > MOST_OPEN:
                    self._systems.pop(next(iter(self._systems)))
            return self._systems[key]


def _run(status: str, rows: list[dict[str, Any]], step: str = "") -> dict[str, Any]:
    return {"status": status, "rows": list(rows), "step": step, "figures": [], "verdict": answer([]), "error": ""}


def _refused(request: dict[str, Any], told: str) -> dict[str, Any]:
    if "system" in request:
        return {"losses": {"status": "error", "step": "", "error": told, "found": None}}
    return {"run": {**_run("error", []), "error": told}}


def _texts(texts: Any) -> list[str]:
    words = [str(text).strip() for text in texts if str(text).strip()] if isinstance(texts, list) else []
    if not 2 <= len(words) <= MOST_SYSTEMS:
        raise InputError(f"Expected 2 to {MOST_SYSTEMS} systems, got {len(words)}: tick those to compare.")
    return list(dict.fromkeys(map(allowed, words)))
