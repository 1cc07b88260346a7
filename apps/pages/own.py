"""The page Bring your own: a collection from files or pasted text, or another model for the one that is open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from apps.components import component
from apps.live import follow
from apps.own import limits, own_collection
from apps.pages import Functions, answering, bar, live, sentence
from apps.text import asked
from apps.workspaces import Workspaces
from engine.errors import InputError
from engine.indexes import DEFAULT_KIND
from engine.model_names import ModelName
from workbench.workspace import Workspace, open_workspace

STAGES = {"encode": "Encoding the documents", "index": "Building the index"}


class _Stopped(Exception):
    """The person asked the indexing to end."""


def page(workspaces: Workspaces) -> None:
    """Build the page into the open Blocks.

    Args:
        workspaces: Where what people bring is kept.
    """
    bar()
    own = OwnPage(workspaces)
    view = component("own", None, [own.start], ("index", "halt"))
    live(view, own.index, own.stops, "index", workspaces.measuring, _refused)


class OwnPage(Functions):
    """Indexes what a person brings, and hands out the key under which the other pages work on it."""

    @answering
    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the page needs first.

        Args:
            request: "on", the key of the workspace; the first one without it.

        Returns:
            See `Workspaces.about`; "models" to choose from and the "limits".
        """
        return {
            **self.workspaces.about(request), "models": self.workspaces.models.offered(), "limits": limits(),
        }  # fmt: skip

    def index(self, request: dict[str, Any], session: str) -> Iterator[dict[str, Any]]:
        """Read, encode and index, with progress.

        Args:
            request: "source" ("text", "files", or "open": the collection that is open), what `own_collection` takes,
                "model", and "windows" (size:overlap) where long documents are read in windows.
            session: Whose run it is.

        Yields:
            "job".
        """
        stop = self.stops.begin(session)

        try:
            opened = self.workspaces.of(request)
            if request.get("source") not in ("text", "files", "open"):
                raise InputError("Choose first where the texts come from.")
            given = request["source"] != "open"
            yield _job("running", step="Loading the model")
            wanted = ModelName.parse(asked(request, "model") or self.workspaces.first.encoder.name)
            windows = asked(request, "windows")
            wanted = replace(wanted, windows=None).choose(windows) if windows else wanted
            encoder = self.workspaces.models.get(str(wanted))
            yield _job("running", step="Reading the texts")
            collection = own_collection(request, encoder) if given else opened.collection

            def start(report: Callable[..., None]) -> Iterator[Workspace]:
                def told(stage: str, done: int, total: int) -> None:
                    if stop.is_set():
                        raise _Stopped
                    report(stage, done, total)

                first = self.workspaces.first
                kind, system = (first.index.kind, "") if first.system is None else (DEFAULT_KIND, first.system.text)
                yield open_workspace(collection, encoder, kind, told, scorer=first.scorer, system=system)

            for what, told in follow(start, stop):
                if what == "progress":
                    yield _job("running", step=STAGES.get(told[0], told[0]), done=told[1], total=told[2])
                else:
                    yield _job("done", ready=self._ready(told))
        except _Stopped:
            yield _job("stopped")
        except Exception as error:  # the boundary to the browser
            yield _job("error", error=sentence(error))

    def _ready(self, workspace: Workspace) -> dict[str, Any]:
        key = self.workspaces.add(workspace)
        return {
            **self.workspaces.about({"on": key}), "key": key, "tokens": workspace.documents.n_tokens,
            "asked": len(workspace.collection.queries), "notes": list(workspace.collection.notes),
        }  # fmt: skip


def _job(status: str, **parts: Any) -> dict[str, Any]:
    return {"job": {"status": status, "step": "", "done": 0, "total": 0, "error": "", "ready": None, **parts}}


def _refused(request: dict[str, Any], told: str) -> dict[str, Any]:
    return _job("error", error=told)
