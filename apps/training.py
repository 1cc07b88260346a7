"""What the page Train needs of `engine.training`: data from a browser, a rehearsal, and a run told as JSON values."""

from __future__ import annotations

import contextlib
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.own import read_files
from apps.plotting import drawn
from apps.records import level, rounded
from apps.text import asked, visible
from apps.workspaces import models_folder
from engine import Collection
from engine.errors import InputError, WorkbenchError
from workbench.figures import pool_training, training_curves

if TYPE_CHECKING:
    from engine.training import Event, Report, Stop, TrainingData, TrainSettings

TYPES = (".jsonl", ".csv", ".tsv")
MOST_STEPS = 5000
MOST_MODELS, MOST_MODEL_BYTES = 50, 20_000_000_000  # of models that were trained in the browser
HELD_OUT = 0.4  # share of the judged questions that are never trained on
WATCHED_QUESTIONS, WATCHED_DOCUMENTS = 200, 1500  # that a run is measured with: among few documents all models are good
CHOOSING_QUESTIONS = 20  # with fewer, none are set apart to choose the step that is kept
MOST_PINNED = 24  # evaluations whose heatmap is kept
SHOWN = 30  # questions a side
DRAWN_EVERY = 4.0  # seconds: drawing takes time from the training
MOST_POINTS = 400  # of a curve
BOUNDS = {"steps": (1, MOST_STEPS), "batch": (2, 256), "every": (1, MOST_STEPS), "seed": (0, 2**31)}


class _Rehearsed(Exception):
    """Raised at the first step of a rehearsal: what was asked for is known."""


def held_out(collection: Collection) -> tuple[Collection, Collection]:
    """Split the judged questions into those to train on and those to measure with.

    Args:
        collection: With judgements.

    Returns:
        For training, and for measuring; every `1 / HELD_OUT`-th question is in the second.

    Raises:
        InputError: too few judged questions.
    """
    judged = collection.judged_queries
    if len(judged) < 5:
        raise InputError(
            f"Expected 5 or more judged questions in {collection.name!r}, got {len(judged)}: choose a file of pairs."
        )
    kept = {name for number, name in enumerate(judged) if int((number + 1) * HELD_OUT) > int(number * HELD_OUT)}

    def part(names: set[str], name: str) -> Collection:
        queries = {query: text for query, text in collection.queries.items() if query in names}
        qrels = {query: collection.qrels[query] for query in queries}
        return Collection(collection.documents, queries, qrels, name, collection.notes, collection.titles)

    return part(set(judged) - kept, collection.name), part(kept, f"{collection.name}, held out")


def read_request(
    request: Mapping[str, Any], collection: Collection
) -> tuple[TrainSettings, TrainingData, Collection | None]:
    """What a person asked for, checked.

    Args:
        request: "source" ("texts", "judgements" or "file"), "file" (name and text), "base", "way" ("head", "lora",
            "all"), "loss", "scorer", "steps", "batch", "rate", "every", "factors", "seed" and "name".
        collection: That is open: its judgements are the data, or what the run is measured with.

    Returns:
        Settings, rows, and the collection to measure with (None when nothing is judged).

    Raises:
        InputError: a value that makes no sense, or data that cannot be used.
    """
    from engine.sampling import sample
    from engine.training import TrainSettings, collection_pairs, document_pairs
    from engine.training.first import first_settings

    check_room()
    if request.get("source") == "file":
        data, development = _uploaded(request.get("file")), collection if collection.judged_queries else None
    elif request.get("source") == "texts":
        data, development = document_pairs(collection), collection if collection.judged_queries else None
    else:
        training, development = held_out(collection)
        data = collection_pairs(training)
    watched = None if development is None else sample(development, WATCHED_DOCUMENTS, WATCHED_QUESTIONS)
    data = data.check(None, watched)
    numbers = {name: _whole(name, request.get(name), *bounds) for name, bounds in BOUNDS.items()}
    usual = first_settings(asked(request, "way"))
    if len(set(data.columns["query"])) < CHOOSING_QUESTIONS:
        usual |= {"validation": 0.0, "patience": 0}
    settings = TrainSettings.from_dict({
        **usual, "base": asked(request, "base", "embedded"), "loss": asked(request, "loss"),
        "pool_factors": _factors(asked(request, "factors", "1")),
        "scorer": asked(request, "scorer", "maxsim"),
        "learning_rate": _rate(request.get("rate")), "max_steps": numbers["steps"], "batch": numbers["batch"],
        "evaluate_every": numbers["every"], "seed": numbers["seed"], "output": str(new_folder(asked(request, "name"))),
    })  # fmt: skip
    return settings, data, watched


def first_request(way: str) -> dict[str, Any]:
    """What the page asks for when nothing is changed but what learns."""
    from engine.training.first import first_settings

    usual = first_settings(way)
    numbers = {"steps": "max_steps", "batch": "batch", "rate": "learning_rate", "every": "evaluate_every"}
    return {
        "source": "texts", "way": way, "loss": "contrastive", "seed": "0", "name": "my model", "factors": "1",
        **{field: str(usual[name]) for field, name in numbers.items()},
    }  # fmt: skip


def check_room() -> None:
    """Refuse another model when those trained in the browser fill their place; none is ever removed by itself.

    Raises:
        InputError: there are as many, or as large, as there may be.
    """
    kept = [path for path in models_folder().iterdir() if path.is_dir()]
    size = sum(file.stat().st_size for path in kept for file in path.rglob("*") if file.is_file())
    if len(kept) >= MOST_MODELS or size >= MOST_MODEL_BYTES:
        raise InputError(
            f"Expected fewer than {MOST_MODELS} models and {MOST_MODEL_BYTES / 1e9:.0f} GB trained in the browser, got "
            f"{len(kept)} and {size / 1e9:.1f} GB: whoever runs this workbench removes some from its folder of models."
        )


def _uploaded(file: Any) -> TrainingData:
    from engine.training import read_training_data

    found = read_files([file] if file else [], TYPES, 1)
    if not found:
        raise InputError("There is no file of pairs yet: choose a .jsonl, .csv or .tsv with query and positive.")
    name, content = found[0]
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        path = Path(folder) / f"pairs{Path(name).suffix.lower()}"
        path.write_bytes(content)
        try:
            return replace(read_training_data(path), name=name)
        except WorkbenchError as error:
            raise InputError(str(error).replace(str(path), name)) from None


def _whole(name: str, value: Any, least: int, most: int) -> int:
    text = str(value).strip()
    if not text.isdecimal() or not least <= int(text) <= most:
        raise InputError(f"Expected {name} as a whole number from {least} to {most:,}, got {text!r}: correct it.")
    return int(text)


def _rate(value: Any) -> float:
    try:
        return float(str(value))
    except ValueError:
        raise InputError(f"Expected a learning rate such as 3e-5, got {value!r}: correct it.") from None


def _factors(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"Expected pool factors such as 1, 2, 4, got {text!r}: correct them.") from None


def new_folder(name: str) -> Path:
    """A new folder of our own for a model; a browser gives a name, never a path."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "model"
    folder = models_folder() / slug
    number = 2
    while folder.exists():
        folder = models_folder() / f"{slug}-{number}"
        number += 1
    return folder


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
            "maps": list(self.maps), "now": dict(self.now), "question": visible(self.pinned[0]),
            "figure": self.figure,
        }  # fmt: skip

    def draw(self) -> None:
        """Draw the curves as they are now."""
        every = max(1, -(-len(self.losses) // MOST_POINTS))
        losses = [{"step": step, "loss": loss} for step, loss in self.losses[::-every][::-1]]
        events = sorted([*losses, *self.scores], key=lambda event: event["step"])
        self.figure = drawn(training_curves(events, last=(self.started or {}).get("steps")))
        self._drawn = time.monotonic()


def run(
    settings: TrainSettings, data: TrainingData, development: Collection | None, told: Told, stop: Stop,
    report: Callable[..., None],
) -> Iterator[Report]:  # fmt: skip
    """Train; for `apps.live.follow`.

    Args:
        settings: What to train, and how.
        data: Checked rows.
        development: To measure with, or None.
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

    first = explain(Encoder.load(settings.base, device="cpu"), *told.pinned) if settings.base == "embedded" else None
    if first is not None:
        told.listen(Pinned(0, (first,)))
    begin = time.perf_counter()
    done = fine_tune(settings, data, listen, development, stop=stop, pinned=[told.pinned], measure=as_runs(settings))
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
        "kept": report.kept, "chosen": len(report.measured), "curves": _curves(report),
        "measured": None if development is None else
        {"name": development.name, "questions": len(development.judged_queries),
         "documents": len(development.documents)},
    }  # fmt: skip


def _curves(report: Report) -> str:
    """What pooling costs before and after, drawn; empty where it was not trained for."""
    return drawn(pool_training(report.curves)) if report.curves else ""
