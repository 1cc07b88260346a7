"""The page Pool factor: what fewer, shorter and coarser vectors cost, measured live on the collection that is open."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

from apps.budget_explorer import BudgetExplorer, explored
from apps.components import component
from apps.live import follow
from apps.pages import Functions, answering, bar, live, sentence
from apps.pool_records import factor_row, merged, pool_figure
from apps.text import asked
from apps.workspaces import Workspaces
from engine import machine
from engine.errors import InputError, NotFoundError
from engine.pooling import METHODS, PoolSettings, parse_pool
from workbench.experiments.plan import FACTORS, parse_spec
from workbench.experiments.pool_studies import pool_study

INDEXES = ("exact", "plaid", "plaid:bits=2", "plaid:bits=1")
SUGGESTIONS = 20


def page(workspaces: Workspaces) -> None:
    """Build the page into the open Blocks.

    Args:
        workspaces: What it measures.
    """
    bar()
    study = PoolPage(workspaces)
    functions = [study.start, study.merge, study.names, study.kept, study.explored]
    view = component("pool", None, functions, ("measure", "halt"))
    live(view, study.measure, study.stops, "measure", workspaces.measuring, _refused)


class PoolPage(Functions):
    """The state that all visitors share: finished studies, which are the same for everyone who has the key."""

    def __init__(self, workspaces: Workspaces) -> None:
        super().__init__(workspaces)
        self.finished: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.explorer = BudgetExplorer(workspaces, self.stops)

    @answering
    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the page needs first: the collection, the choices, and a study if one is finished.

        Args:
            request: "on", the key of the workspace; the first one without it.

        Returns:
            See `Workspaces.about`; and the choices.
        """
        collection = self.workspaces.of(request).collection
        return {
            **self.workspaces.about(request),
            "methods": list(METHODS), "indexes": list(INDEXES), "machine": machine.in_words(),
            "document": _example(collection.qrels, next(iter(collection.documents))),
            "study": self._kept(_key(request, METHODS[0], INDEXES[0])),
            "explorer": self.explorer.start(request),
        }  # fmt: skip

    @answering
    def kept(self, request: dict[str, Any]) -> dict[str, Any]:
        """A study that is finished, or an empty one.

        Args:
            request: "method" and "index".

        Returns:
            The study.
        """
        return self._kept(_key(request))

    def _kept(self, key: tuple[str, str, str]) -> dict[str, Any]:
        return self.finished.get(key) or _study(key, "empty", [])

    def measure(self, request: dict[str, Any], session: str) -> Iterator[dict[str, Any]]:
        """Run a study, all of it again after each factor.

        Args:
            request: "method" and "index"; or "explore", see `BudgetExplorer.measure`.
            session: Whose run it is.

        Yields:
            "study", or "explored".
        """
        if request.get("explore"):
            yield from self.explorer.measure(request, session)
            return
        key = _key(request)
        rows, records, begin, stop = [], [], time.perf_counter(), self.stops.begin(session)
        try:
            if key[1] not in METHODS or key[2] not in INDEXES:
                raise InputError(f"Expected a method and an index that the page offers, got {key[1:]}: choose again.")
            workspace = self.workspaces.of(request)
            collection = workspace.collection
            if not collection.judged_queries:
                raise InputError(f"{collection.name!r} has no questions with judgements: nothing can be measured.")
            yield {"study": _study(key, "running", rows, "the questions")}
            before, (index, settings) = None, parse_spec(key[2])
            running = follow(
                lambda report: pool_study(
                    workspace.prepared, FACTORS, (key[1],), index=index, settings=settings, progress=report,
                    stop=stop.is_set,
                ),
                stop,
            )  # fmt: skip
            following, figure = "", ""
            for kind, told in running:
                if kind == "record":
                    before = before or told
                    rows.append(factor_row(told, before, collection))
                    records.append(told)
                    figure = pool_figure(records)
                else:
                    following = str(told[0])
                yield {"study": _study(key, "running", rows, following, figure)}
            status = "stopped" if stop.is_set() else "done"
            study = {**_study(key, status, rows, figure=figure), "seconds": time.perf_counter() - begin}
            if status == "done":
                self.finished[key] = study
            yield {"study": study}
        except Exception as error:  # the boundary to the browser
            yield {"study": {**_study(key, "error", rows), "error": sentence(error)}}

    @answering
    def explored(self, request: dict[str, Any]) -> dict[str, Any]:
        """See `BudgetExplorer.kept`."""
        return self.explorer.kept(request)

    @answering
    def merge(self, request: dict[str, Any]) -> dict[str, Any]:
        """Which tokens of a document are merged, and which are dropped.

        Args:
            request: "document"; "factor" (a number, or "one") and "method", or "pool" as `parse_pool` reads it; and
                "dim", leading dimensions as text, where the vectors are cut.

        Returns:
            See `merged`; or a sentence under "error".
        """
        name = asked(request, "document")
        workspace = self.workspaces.of(request)
        text = workspace.collection.documents.get(name)
        if text is None:
            raise NotFoundError(f"No document is called {name!r}: type the beginning of a name and choose one.")
        position = list(workspace.collection.documents).index(name)
        dim = asked(request, "dim")
        if dim and not dim.isdecimal():
            raise InputError(f"Expected a dimension, got {dim!r}: choose one with the slider.")
        prepared, wanted = workspace.prepared.at_dim(int(dim) if dim else None), _pooling(request)
        prepared.pooler.check(wanted)
        return merged(text, workspace.encoder.tokens(text, "document"), prepared.pooler.groups_of(position, wanted))

    @answering
    def names(self, request: dict[str, str]) -> dict[str, Any]:
        """Documents whose name holds a text, those that begin with it first.

        Args:
            request: "text".

        Returns:
            "names", at most 20.
        """
        text = asked(request, "text").lower()
        found = [name for name in self.workspaces.of(request).collection.documents if text in name.lower()]
        ordered = sorted(found, key=lambda name: (not name.lower().startswith(text), len(name), name))
        return {"names": ordered[:SUGGESTIONS]}


def _pooling(request: dict[str, Any]) -> PoolSettings:
    if pool := asked(request, "pool"):
        return parse_pool(pool)
    label = asked(request, "factor")
    if label != "one" and not label.replace(".", "", 1).isdecimal():
        raise InputError(f"Expected a pool factor, got {label!r}: choose one with the slider.")
    return PoolSettings(math.inf if label == "one" else float(label), method=asked(request, "method", METHODS[0]))


def _key(request: dict[str, Any], method: str = "", index: str = "") -> tuple[str, str, str]:
    return (asked(request, "on"), asked(request, "method", method), asked(request, "index", index))


def _study(
    key: tuple[str, str, str], status: str, rows: list[dict[str, Any]], following: str = "", figure: str = ""
) -> dict[str, Any]:
    return {
        "method": key[1], "index": key[2], "status": status, "rows": list(rows), "done": len(rows),
        "total": len(FACTORS), "next": following, "error": "", "seconds": 0, "figure": figure,
    }  # fmt: skip


def _refused(request: dict[str, Any], told: str) -> dict[str, Any]:
    if request.get("explore"):
        return {"explored": explored("error", request, error=told)}
    key = ("", str(request.get("method")), str(request.get("index")))
    return {"study": {**_study(key, "error", []), "error": told}}


def _example(qrels: dict[str, dict[str, int]], default: str) -> str:
    """A document worth looking at: the first that a question was judged to be answered by."""
    best = ((-grade, document) for grades in list(qrels.values())[:1] for document, grade in grades.items())
    return min(best, default=(0, default))[1]
