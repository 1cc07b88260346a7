"""What the page Train needs of `engine.training`: data from a browser, a rehearsal, and a run told as JSON values."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.plotting import drawn
from apps.records import level, rounded
from apps.text import visible
from apps.training_asked import Asked
from engine import Collection
from workbench.figures import pool_training, training_curves

if TYPE_CHECKING:
    from engine.training import Event, Report, Stop, TrainingData, TrainSettings

MOST_PINNED = 24  # evaluations whose heatmap is kept
SHOWN = 30  # questions a side
DRAWN_EVERY = 4.0  # seconds: drawing takes time from the training
MOST_POINTS = 400  # of a curve


class _Rehearsed(Exception):
    """Raised at the first step of a rehearsal: what was asked for is known."""


def rehearse(settings: TrainSettings, data: TrainingData) -> dict[str, Any]:
    """Load the model, measure one batch and stop before the first step; nothing is kept.

    Args:
        settings: What to train, and how.
        data: Checked rows.

    Returns:
        "kind" and "counts" of the data, "rows", "steps" and the "preflight".
    """
    from engine.training import Started, fine_tune

    found: dict[str, Any] = {}

    def listen(event: Event) -> None:
        if isinstance(event, Started):
            found.update(rows=event.rows, steps=event.steps, preflight=event.preflight)
            found["counts"] = {**event.counts, "leaking": data.counts.get("leaking", 0)}
            raise _Rehearsed

    with tempfile.TemporaryDirectory(prefix="workbench-") as folder, contextlib.suppress(_Rehearsed):
        fine_tune(replace(settings, output=str(Path(folder) / "rehearsal")), data, listen)
    return {"kind": data.kind, "name": visible(data.name), **found}


class Told:
    """A run as JSON values: what the page draws, filled by the run's events.

    Args:
        pinned: (question, text) whose matches are followed.
    """

    def __init__(self, pinned: tuple[str, str]) -> None:
        self.pinned = pinned
        self.started: dict[str, Any] | None = None
        self.losses: list[list[float]] = []
        self.scores: list[dict[str, float]] = []
        self.maps: list[dict[str, Any]] = []
        self.now: dict[str, float] = {}
        self.apart = False  # whether the scores are those of questions that choose a step
        self.figure = ""
        self._drawn = float("-inf")

    def listen(self, event: Event) -> None:
        """Take in one event."""
        from engine.training import Evaluated, Pinned, Started, Step

        if isinstance(event, Started):
            self.started = {
                "steps": event.steps, "rows": event.rows, "counts": event.counts, "preflight": event.preflight,
            }  # fmt: skip
        elif isinstance(event, Step):
            self.losses.append([event.step, round(event.loss, 5)])
            self.now = {"seconds": event.seconds, "tokens": event.tokens_per_second, "memory": event.memory_bytes}
        elif isinstance(event, Evaluated):
            self.scores.append({"step": event.step, "ndcg": event.ndcg, "low": event.low, "high": event.high})
            self.apart = event.chooses
        elif isinstance(event, Pinned) and event.alignments and len(self.maps) < MOST_PINNED:
            alignment = event.alignments[0]
            view = level(*self.pinned, alignment, whole=True)
            view["similarity"] = rounded(view["similarity"], 3)
            self.maps.append({"step": event.step, "score": round(float(alignment.score), 4), "view": view})

    def as_dict(self) -> dict[str, Any]:
        """Everything so far."""
        if (self.losses or self.scores) and time.monotonic() - self._drawn > DRAWN_EVERY:
            self.draw()
        return {
            "started": self.started, "losses": list(self.losses), "scores": list(self.scores),
            "maps": list(self.maps), "now": dict(self.now), "apart": self.apart, "question": visible(self.pinned[0]),
            "figure": self.figure,
        }  # fmt: skip

    def draw(self) -> None:
        """Draw the curves as they are now."""
        every = max(1, -(-len(self.losses) // MOST_POINTS))
        losses = [{"step": step, "loss": loss} for step, loss in self.losses[::-every][::-1]]
        events = sorted([*losses, *self.scores], key=lambda event: event["step"])
        self.figure = drawn(training_curves(events, last=(self.started or {}).get("steps")))
        self._drawn = time.monotonic()


def run(asked: Asked, told: Told, stop: Stop, report: Callable[..., None]) -> Iterator[Report]:
    """Train; for `apps.live.follow`.

    Args:
        asked: What to train, and how.
        told: Filled by the run.
        stop: Ends the run within a step.
        report: Called after each event.

    Yields:
        The report, once.
    """
    from engine.encoder import Encoder
    from engine.explain import explain
    from engine.training import Pinned, fine_tune
    from workbench.experiments.training import as_runs

    def listen(event: Event) -> None:
        told.listen(event)
        report(event.kind)

    settings = asked.settings
    first = explain(Encoder.load(settings.base, device="cpu"), *told.pinned) if settings.base == "embedded" else None
    if first is not None:
        told.listen(Pinned(0, (first,)))
    begin = time.perf_counter()
    done = fine_tune(
        settings, asked.data, listen, asked.development, stop=stop, pinned=[told.pinned], measure=as_runs(settings),
        choosing=asked.choosing,
    )  # fmt: skip
    told.now["wall"] = time.perf_counter() - begin
    yield done


def outcome(report: Report, development: Collection | None) -> dict[str, Any]:
    """What a finished run says.

    Args:
        report: What the run measured.
        development: The collection that it was measured with, or None.

    Returns:
        The model's name, scores before and after, and the questions that moved.
    """

    def questions(names: list[str]) -> list[dict[str, Any]]:
        before, after = report.before, report.after
        if development is None or before is None or after is None:
            return []
        qrels = development.qrels
        return [
            {"text": visible(development.queries[name]), "before": before.per_query[name],
             "after": after.per_query[name],
             "document": max(qrels[name], key=lambda key: qrels[name][key])}
            for name in names[:SHOWN]
        ]  # fmt: skip

    def score(value: Any) -> dict[str, float] | None:
        return None if value is None else {"ndcg": value.ndcg, "run": value.run}

    return {
        "model": f"trained/{Path(report.folder).name}", "reason": report.reason, "steps": report.steps,
        "seconds": report.seconds, "before": score(report.before), "after": score(report.after), "p": report.p_value,
        "better": questions(report.better), "worse": questions(report.worse), "n_better": len(report.better),
        "n_worse": len(report.worse), "n_same": len(report.same),
        "kept": report.kept, "chosen": len(report.measured), "chosen_on": visible(report.chosen_on),
        "curves": _curves(report),
        "measured": None if development is None else
        {"name": development.name, "questions": len(development.judged_queries),
         "documents": len(development.documents)},
    }  # fmt: skip


def _curves(report: Report) -> str:
    """What pooling costs before and after, drawn; empty where it was not trained for."""
    return drawn(pool_training(report.curves)) if report.curves else ""
