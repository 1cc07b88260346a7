"""The page Train: data, checks and a preflight, then a run that is watched, stopped, measured and used."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from apps import merging, training
from apps.components import component
from apps.live import follow
from apps.pages import Functions, answering, bar, live, sentence
from apps.text import asked
from apps.training_asked import TYPES, first_request, read_request
from apps.workspaces import Workspaces
from engine import Collection, load_collection
from engine.errors import InputError, missing_extra
from workbench.embedded.train_questions import count


def page(workspaces: Workspaces) -> None:
    """Build the page into the open Blocks.

    Args:
        workspaces: Whose collections are trained on and measured with.
    """
    bar()
    train = TrainPage(workspaces)
    view = component("train", None, [train.start, train.keep], ("train", "halt"))
    live(view, train.train, train.stops, "train", workspaces.training, _refused)


class TrainPage(Functions):
    """Runs of training, one at a time on the machine; a visitor sees their own."""

    @answering
    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the page needs first.

        Args:
            request: "on", the key of the workspace; the first one without it.

        Returns:
            See `Workspaces.about`; bases, losses and scorers to choose from, and why nothing can be trained, if so.
        """
        from engine.maxsim import scorers
        from engine.training.first import FIRST
        from engine.training.losses import LOSSES

        collection = self.workspaces.of(request).collection
        return {
            **self.workspaces.about(request), "missing": _missing(), "types": list(TYPES),
            "losses": [{"name": name, "about": kind.about} for name, kind in LOSSES.items()],
            "first": {way: first_request(way, collection) for way in FIRST}, "training": count(collection),
            "scorers": [{"name": name, "about": scorers.about(name)} for name in scorers.names()],
            "bases": [model for model in self.workspaces.models.offered() if model["name"].startswith("trained/")],
            "document": _example(collection)[1] if collection.judged_queries else "",
        }  # fmt: skip

    @answering
    def keep(self, request: dict[str, Any]) -> dict[str, Any]:
        """Save a model between a trained one and its base.

        Args:
            request: "model" and "share", 0 to 1.

        Returns:
            "model", the name of the new one.
        """
        share = request.get("share")
        if isinstance(share, bool) or not isinstance(share, (int, float)):
            raise InputError(f"Expected a share from 0 to 1, got {share!r}: choose a point.")
        return {"model": merging.keep(asked(request, "model"), float(share))}

    def train(self, request: dict[str, Any], session: str) -> Iterator[dict[str, Any]]:
        """Check, rehearse, train, or measure a merge, and tell how it goes.

        Args:
            request: What `read_request` takes; "rehearse" (yes or no), and "pinned": a question and a document; or
                "merge": a model that was trained here.
            session: Whose run it is.

        Yields:
            "job".
        """
        from engine.training import Stop

        flag, stop = self.stops.begin(session), Stop()

        try:
            if request.get("merge"):
                yield from self._merged(request, flag)
                return
            yield _job("running", step="Reading the data")
            collection = self.workspaces.of(request).collection
            wanted = read_request({**request, "base": self._base(request)}, collection)
            if request.get("rehearse"):
                yield _job("running", step="Loading the model and measuring one batch")
                yield _job("checked", checked=training.rehearse(wanted.settings, wanted.data))
                return
            told = training.Told(self._pinned(request, collection))
            yield _job("running", step="Loading the model, and measuring it before the first step", told=told.as_dict())
            for what, record in follow(lambda report: training.run(wanted, told, stop, report), flag):
                if flag.is_set():
                    stop.set()  # the run ends within a step and keeps its model
                if what == "progress":
                    yield _job("running", step=_step(told, stop.is_set()), told=told.as_dict())
                else:
                    told.draw()
                    yield _job("done", told=told.as_dict(), report=training.outcome(record, wanted.development))
        except Exception as error:  # the boundary to the browser
            yield _job("error", error=sentence(error), merging=bool(request.get("merge")))
        finally:
            stop.set()

    def _merged(self, request: dict[str, Any], flag: threading.Event) -> Iterator[dict[str, Any]]:
        """Measure shares between a trained model and its base on the open collection, and on the embedded one."""
        yield _job("running", step="Loading both models", merging=True)
        model = asked(request, "merge")
        collections = merging.measured_with(self.workspaces.of(request).collection, load_collection("embedded"))
        for what, found in follow(lambda report: merging.curve(model, collections, report, flag), flag):
            if what == "progress":
                yield _job("running", step=f"Measured {found[0]} of {found[1]} shares", merging=True)
            else:
                yield _job("merged", merged=merging.told(model, found))

    def _base(self, request: dict[str, Any]) -> str:
        name = asked(request, "base", "embedded")
        return name if name == "embedded" else self.workspaces.models.source(name)

    def _pinned(self, request: dict[str, Any], collection: Collection) -> tuple[str, str]:
        question, name = asked(request, "question"), asked(request, "document")
        example = _example(collection)
        text = collection.documents.get(name, collection.documents[example[1]])
        return question.strip() or example[0], text


def _job(status: str, **parts: Any) -> dict[str, Any]:
    return {
        "job": {
            "status": status,
            "step": "",
            "error": "",
            "checked": None,
            "report": None,
            "merging": False,
            "merged": None,
            **parts,
        }
    }


def _refused(request: dict[str, Any], told: str) -> dict[str, Any]:
    return _job("error", error=told, merging=bool(request.get("merge")))


def _step(told: training.Told, stopping: bool) -> str:
    if stopping:
        return "Stopping; the model of this step is kept"
    if told.started is None or not told.losses:
        return "Measuring the model before the first step"
    return f"Step {told.losses[-1][0]:.0f} of {told.started['steps']}"


def _example(collection: Collection) -> tuple[str, str]:
    """A question and a document to follow: the first judged pair, or any."""
    for query in collection.judged_queries:
        grades = collection.qrels[query]
        return collection.queries[query], max(grades, key=lambda name: grades[name])
    if not collection.documents:
        raise InputError("There is no document to follow: open a collection.")
    name = next(iter(collection.documents))
    return next(iter(collection.queries.values()), collection.documents[name][:60]), name


def _missing() -> str:
    """Why nothing can be trained here, or nothing; the trainer itself is imported only by a run."""
    absent = next((package for package in ("accelerate", "datasets") if find_spec(package) is None), None)
    return "" if absent is None else str(missing_extra(absent, "train"))
