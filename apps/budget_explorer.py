"""The explorer of budgets: a grid of factor, dimensions and bits that a visitor measures, and what is finished."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from apps.budget_records import BUDGETS, budgets, dimensions, figure_of, grids, measured, point_row
from apps.live import Stops, follow
from apps.pages import sentence
from apps.text import asked
from apps.workspaces import Workspaces
from engine.errors import InputError

OFTEN, EVERY = 8, 4  # the first points are drawn one by one, then the figure follows every fourth
Key = tuple[str, str, str]


class BudgetExplorer:
    """Measures grids; what is there of one is the same for everyone who has the key of its workspace.

    Args:
        workspaces: What is measured; a request names one under "on".
        stops: Whose flags a run begins.
    """

    def __init__(self, workspaces: Workspaces, stops: Stops) -> None:
        self.workspaces = workspaces
        self.stops = stops
        self.finished: dict[Key, dict[str, Any]] = {}

    def start(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What the explorer offers.

        Args:
            request: "on".

        Returns:
            "dims" that are measured and whether the model was "nested" for them, the "models" to compare with, the
            "budgets" suggested, and a finished grid under "explored".
        """
        encoder = self.workspaces.of(request).encoder
        dims, nested = dimensions(encoder)
        models = [entry for entry in self.workspaces.models.offered() if entry["name"] != encoder.name]
        return {"dims": dims, "nested": nested, "models": models, "budgets": BUDGETS,
                "explored": self.kept({**request, "pools": BUDGETS})}  # fmt: skip

    def kept(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """A grid that is finished or was stopped, or an empty one.

        Args:
            request: "pools" and "against".
        """
        return self.finished.get(_key(request)) or explored("empty", request)

    def measure(self, request: dict[str, Any], session: str) -> Iterator[dict[str, Any]]:
        """Measure a grid, all of it again after each point.

        Args:
            request: "pools", budgets as text parted by spaces, and "against", the name of another model or nothing.
            session: Whose run it is.

        Yields:
            "explored".
        """
        points: list[Any] = []
        rows: list[dict[str, Any]] = []
        figure, begin, stop = "", time.perf_counter(), self.stops.begin(session)
        try:
            workspace, pools = self.workspaces.of(request), budgets(asked(request, "pools"))
            if not workspace.collection.judged_queries:
                raise InputError(
                    f"{workspace.collection.name!r} has no questions with judgements: nothing can be measured."
                )
            against = asked(request, "against")
            others = [self.workspaces.models.get(against)] if against else []
            of = grids(workspace.prepared, others, pools)
            total = sum(count for _, count in of)
            yield {"explored": explored("running", request, rows, total, "the questions")}
            following = ""
            for kind, told in follow(lambda report: measured(of, pools, report, stop.is_set), stop):
                if kind == "record":
                    points.append(told)
                    rows.append(point_row(told))
                    if len(points) <= OFTEN or len(points) % EVERY == 0:
                        figure = figure_of(points)
                else:
                    following = str(told[0])
                yield {"explored": explored("running", request, rows, total, following, figure)}
            figure = figure_of(points) if points else ""
            status = "stopped" if stop.is_set() else "done"
            result = explored(status, request, rows, total, figure=figure, seconds=time.perf_counter() - begin)
            if rows:
                self.finished[_key(request)] = result
            yield {"explored": result}
        except Exception as error:  # the boundary to the browser
            yield {"explored": explored("error", request, rows, figure=figure, error=sentence(error))}


def explored(
    status: str, request: Mapping[str, Any], rows: list[dict[str, Any]] | None = None, total: int = 0,
    following: str = "", figure: str = "", seconds: float = 0.0, error: str = "",
) -> dict[str, Any]:  # fmt: skip
    """A grid as the page takes it."""
    return {
        "status": status, "points": list(rows or []), "done": len(rows or []), "total": total, "next": following,
        "figure": figure, "seconds": seconds, "error": error, "pools": str(request.get("pools") or ""),
        "against": str(request.get("against") or ""),
    }  # fmt: skip


def _key(request: Mapping[str, Any]) -> Key:
    return asked(request, "on"), " ".join(asked(request, "pools").split()), asked(request, "against")
