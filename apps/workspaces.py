"""What is open: the collection of the command line for everybody, and those that people brought, each by its key."""

from __future__ import annotations

import re
import secrets
import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from apps.lane import Lane
from apps.text import asked
from engine import Encoder, plugins
from engine.errors import InputError, NotFoundError
from engine.model_names import ModelName
from workbench.paths import data_folder
from workbench.systems.text import leaves, parse_system
from workbench.workspace import Workspace

MOST_WORKSPACES = 8  # of people; the one that was not used for longest makes room
MOST_MODELS = 3  # beside the first; the same
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


class Workspaces:
    """Open workspaces: "" is that of the command line, every other has a key that only its owner's link holds.

    Args:
        first: The workspace of the command line.
    """

    def __init__(self, first: Workspace) -> None:
        self.first = first
        self.models = Models(first.encoder)
        self._others: OrderedDict[str, Workspace] = OrderedDict()
        self._lock = threading.Lock()
        self.listeners: Counter[str] = Counter()  # open streams of each visitor's page
        self.training = Lane(self._listening)  # hours, so that it has a line of its own
        self.measuring = Lane(self._listening)

    def of(self, request: Mapping[str, Any]) -> Workspace:
        """The workspace that a request is about.

        Args:
            request: Its "on" is a key; the first workspace without one. Its "scorer" ranks, where there is one.

        Returns:
            The workspace.

        Raises:
            NotFoundError: no such key here.
            InputError: no such scorer.
        """
        found, scorer = self._opened(asked(request, "on")), asked(request, "scorer")
        return found.ranked_by(scorer) if scorer else found

    def _opened(self, key: str) -> Workspace:
        if not key:
            return self.first
        with self._lock:
            found = self._others.get(key)
            if found is None:
                raise NotFoundError(
                    "This collection is not open any more: the workbench was started again, or others took its place. "
                    "Bring it again."
                )
            self._others.move_to_end(key)
            return found

    def _listening(self, session: str) -> bool:
        return self.listeners[session] > 0

    def add(self, workspace: Workspace) -> str:
        """Keep a workspace until the workbench ends or newer ones take its place.

        Args:
            workspace: It.

        Returns:
            Its key, which cannot be guessed.
        """
        key = secrets.token_urlsafe(9)
        with self._lock:
            self._others[key] = workspace
            while len(self._others) > MOST_WORKSPACES:
                self._others.popitem(last=False)
        return key

    def about(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What every page says about the workspace that it works on.

        Args:
            request: See `of`.

        Returns:
            "collection", "documents", "questions" (with judgements), "model", "cut" (what of the documents was not
            read), "own" (whether a person brought it), and "made", a sentence about questions that no person asked, or
            nothing.
        """
        workspace = self.of(request)
        collection = workspace.collection
        return {
            "collection": collection.name, "documents": len(collection.documents),
            "questions": len(collection.judged_queries), "model": label(workspace.encoder.name),
            "cut": workspace.prepared.cut, "own": bool(request.get("on")), "made": collection.made_note,
        }  # fmt: skip


class Models:
    """The models that a page may name: the first, registered ones, those trained here, and names on the hub.

    Args:
        first: The model of the command line.
    """

    def __init__(self, first: Encoder) -> None:
        self._first = first
        self._loaded: OrderedDict[str, Encoder] = OrderedDict()
        self._lock = threading.Lock()

    def offered(self) -> list[dict[str, str]]:
        """Names to choose from, the first model first.

        Returns:
            Dictionaries with "name" and "label".
        """
        names = [self._first.name, *plugins.names(plugins.MODELS), *trained(), *self._loaded]
        return [{"name": name, "label": label(name)} for name in dict.fromkeys(names)]

    def get(self, name: str) -> Encoder:
        """Load a model that a browser asked for.

        Args:
            name: One of those offered, or "owner/name" on the hub; never a path. It may say how documents are read.

        Returns:
            The model.

        Raises:
            InputError: a name that could be a path.
            NotFoundError: the hub does not know it or cannot be reached.
        """
        if name in ("", self._first.name):
            return self._first
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = Encoder.load(self.source(name))  # called by its folder, as runs name it
                while len(self._loaded) > MOST_MODELS:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(name)
            return self._loaded[name]

    def source(self, name: str) -> str:
        """What `Encoder.load` takes for a name that a browser sent.

        Args:
            name: See `get`.

        Returns:
            The name, or the folder of a model that was trained here.

        Raises:
            InputError: a name that could be a path.
        """
        wanted = ModelName.parse(name)
        return str(replace(wanted, name=self._place(wanted.name)))

    def _place(self, name: str) -> str:
        if name in plugins.names(plugins.MODELS):
            return name
        if ModelName.parse(self._first.name).name == name:  # what the command line named may be a folder
            return name
        if name in trained():
            return str(models_folder() / name.partition("/")[2])
        if not HUB_NAME.fullmatch(name) or Path(name).exists():
            raise InputError(
                f"Expected a model from the list, or owner/name on the hub, got {name!r}: give a folder to "
                "`workbench ui --model` instead."
            )
        return name


def check_named(settings: Mapping[str, Any]) -> None:
    """Refuse settings of a browser that name a server or a place on this machine: only the command line may.

    Args:
        settings: Of an index or of a stage of a system, by name.

    Raises:
        InputError: an address, or a model that could be a path.
    """
    if settings.get("address"):
        raise InputError("Expected an index on this machine, got the address of a server: name it on the command line.")
    model = settings.get("model")
    if model and (not HUB_NAME.fullmatch(str(model)) or Path(str(model)).exists()):
        raise InputError(
            f"Expected a model as owner/name on the hub, got {str(model)[:60]!r}: give a folder on the command line."
        )


def allowed(text: str) -> str:
    """The one text of a system that a browser or a program sent.

    Raises:
        InputError: it is none, or names a server or a place on this machine.
    """
    tree = parse_system(text)
    for leaf in leaves(tree):
        settings = leaf.kind.changed(leaf.options)
        check_named(settings)
        if settings.get("vectors", "encode") != "encode":  # an index that stores the vectors of a rerank
            allowed(settings["vectors"])
    return str(tree)


def models_folder() -> Path:
    """Where models are kept that were trained in the browser."""
    return data_folder("models")


def trained() -> list[str]:
    """Names of the models that were trained in the browser, the newest first."""
    found = [path for path in models_folder().iterdir() if (path / "modules.json").exists()]
    return [f"trained/{path.name}" for path in sorted(found, key=lambda path: -path.stat().st_mtime)]


def label(name: str) -> str:
    """What pages call a model: its name, or the last part of its folder's; "trained/..." where it was trained here."""
    path = Path(name)
    if path.parent == models_folder():
        return f"trained/{path.name}"
    return path.name if path.is_absolute() or name.startswith((".", "~")) else name
