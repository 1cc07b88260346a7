"""What a server has open: collections, and indexes on disk that change while they are searched."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from apps.workspaces import allowed, label
from engine import Collection
from engine.collection import join_title
from engine.errors import InputError, NotFoundError, UnsupportedError
from engine.fields import Fields
from engine.files import make_folder
from engine.indexes import index_class
from workbench.changes import add_documents, create_indexed, remove_documents, remove_indexed, sweep_halves
from workbench.client.schema import Document
from workbench.experiments.experiment import INDEX
from workbench.experiments.plan import parse_spec
from workbench.experiments.progress import SILENT
from workbench.indexed import DOCUMENTS, model_of, open_indexed
from workbench.systems import build
from workbench.workspace import Workspace

MOST_SYSTEMS = 6  # of a collection that are kept
Encoders = Callable[[str], Any]  # name of a model -> its encoder, the same one for the same name


class Open:
    """One collection that is open; a request takes its workspace once and keeps it, whatever changes meanwhile.

    Args:
        name: What requests call it.
        workspace: It, as it is now.
        folder: Of its index, where documents can be added and removed.
        made: Whether a request made it, so that a request may remove it.
    """

    def __init__(self, name: str, workspace: Workspace, folder: Path | None = None, made: bool = False) -> None:
        self.name, self.folder, self.made = name, folder, made
        self.workspace = workspace
        self._systems: OrderedDict[str, Workspace] = OrderedDict()
        self._lock = threading.Lock()

    def system(self, text: str) -> Workspace | None:
        """The workspace of a system that was built, or None."""
        with self._lock:
            return self._systems.get(text)

    def build(self, text: str) -> Workspace:
        """Build a system over the collection as it is now, or take what was built.

        Raises:
            InputError: it cannot be built.
        """
        found, base = self.system(text), self.workspace
        if found is None:
            found = Workspace(base.prepared, base.index, system=build(text, base.prepared, steps=SILENT))
        with self._lock:
            if self.workspace is base:
                self._systems[text] = found
                self._systems.move_to_end(text)
                while len(self._systems) > MOST_SYSTEMS:
                    self._systems.popitem(last=False)
        return found

    def ranked(self, scorer: str) -> Workspace:
        """The workspace with another scorer.

        Raises:
            InputError: an unknown scorer.
            UnsupportedError: only the index has the vectors, which a scorer cannot use.
        """
        if scorer in ("", self.workspace.scorer):
            return self.workspace
        if scorer != INDEX and not self.workspace.prepared.encoded:
            raise UnsupportedError(
                f"{self.name!r} has only the vectors that its index stores, which {scorer!r} does not rank by: leave "
                "the scorer out, or serve the collection itself."
            )
        return self.workspace.ranked_by(scorer)

    def replace(self, workspace: Workspace) -> None:
        """Put a newer state in force; systems are built again when they are next asked for."""
        with self._lock:
            self.workspace = workspace
            self._systems.clear()

    def describe(self) -> dict[str, Any]:
        """What the collection is, as JSON values."""
        workspace = self.workspace
        about = workspace.index.describe()
        return {
            "name": self.name, "documents": len(workspace.collection.documents), "model": label(workspace.encoder.name),
            "index": about["kind"], "settings": about["settings"], "scorer": workspace.scorer,
            "changes": self.folder is not None, "fields": workspace.collection.rows.columns,
        }  # fmt: skip


class Catalogue:
    """All that is open, by name; the first is meant where a request names none.

    Args:
        encoders: Gives the encoder of a model.
        model: What collections that requests make are encoded by.
    """

    def __init__(self, encoders: Encoders, model: str) -> None:
        self._encoders, self._model = encoders, model
        self._store: Path | None = None
        self._open: dict[str, Open] = {}

    def keep_in(self, store: Path) -> None:
        """Let requests make collections in a folder, and open those that they made earlier.

        Raises:
            InputError: the folder cannot be made.
        """
        make_folder(store)
        sweep_halves(store)
        self._store = store
        for folder in sorted(store.iterdir()):
            if (folder / DOCUMENTS).is_file():
                self.open_folder(folder, made=True)

    def add(self, found: Open) -> None:
        """Open one more.

        Raises:
            InputError: another one has this name.
        """
        if found.name in self._open:
            raise InputError(f"Two collections are called {found.name!r}: rename one of the two.")
        self._open = {**self._open, found.name: found}  # whoever lists them sees the one or the other

    def open_folder(self, folder: Path, made: bool = False) -> Open:
        """Open an index on disk, whose folder names it.

        Raises:
            WorkbenchError: see `open_indexed`.
        """
        found = Open(folder.resolve().name, self._read(folder), folder, made)
        self.add(found)
        return found

    def _read(self, folder: Path) -> Workspace:
        workspace = open_indexed(folder, self._encoders(model_of(folder)))
        _ = workspace.collection.rows  # from the file as it is now: a later change replaces it
        return workspace

    def __iter__(self) -> Iterator[Open]:
        return iter(self._open.values())

    def get(self, name: str) -> Open:
        """The collection that a request means.

        Raises:
            NotFoundError: none has this name, or none is open.
        """
        found = self._open.get(name) if name else next(iter(self._open.values()), None)
        if found is None:
            known = ", ".join(list(self._open)[:10]) or "none; make one"
            raise NotFoundError(f"No collection {name!r} is open: name one of these ({known}).")
        return found

    def sizes(self) -> dict[str, int]:
        """Documents of each."""
        return {name: len(found.workspace.collection.documents) for name, found in self._open.items()}

    def create(self, name: str, documents: list[Document], index: str) -> Open:
        """Make a collection in the store.

        Raises:
            UnsupportedError: there is no store.
            InputError: the name is taken, or documents or settings make no sense.
        """
        if self._store is None:
            raise UnsupportedError("This server has no folder to make collections in: start it with --store FOLDER.")
        if name in self._open:
            raise InputError(f"Expected the name of a new collection, got {name!r}, which is open: choose another.")
        kind, settings = parse_spec(index)
        if settings.get("address"):
            raise InputError("Expected an index on this machine, got the address of a server: leave it out.")
        index_class(kind).check_can("stored")
        folder = self._store / name
        create_indexed(folder, _collection(name, documents), self._encoders(self._model), self._model, kind, settings)
        return self.open_folder(folder, made=True)

    def delete(self, name: str) -> None:
        """Remove a collection that a request made.

        Raises:
            NotFoundError: none has this name.
            UnsupportedError: no request made it.
        """
        found = self.get(name)
        if not found.made or found.folder is None:
            raise UnsupportedError(f"{name!r} was opened when the server was started: only made ones can be removed.")
        remove_indexed(found.folder)
        self._open = {key: value for key, value in self._open.items() if key != name}

    def grow(self, name: str, documents: list[Document]) -> Open:
        """Add documents to a collection.

        Raises:
            UnsupportedError: it does not change.
            WorkbenchError: see `add_documents`.
        """
        found, folder = self._changing(name)
        add_documents(folder, _collection(name, documents), found.workspace.encoder)
        found.replace(self._read(folder))
        return found

    def shrink(self, name: str, ids: list[str]) -> Open:
        """Remove documents from a collection.

        Raises:
            UnsupportedError: it does not change.
            WorkbenchError: see `remove_documents`.
        """
        found, folder = self._changing(name)
        remove_documents(folder, ids)
        found.replace(self._read(folder))
        return found

    def _changing(self, name: str) -> tuple[Open, Path]:
        found = self.get(name)
        if found.folder is None:
            raise UnsupportedError(
                f"The collection {found.name!r} was read from its source and does not change: serve an index on disk "
                "(--index FOLDER, --store FOLDER)."
            )
        return found, found.folder


def _collection(name: str, documents: list[Document]) -> Collection:
    """Documents of a request as a collection."""
    texts: dict[str, str] = {}
    for document in documents:
        if document.id in texts:
            raise InputError(f"Expected different ids, got {document.id!r} twice: leave one out.")
        texts[document.id] = join_title(document.title, document.text)
    rows: Mapping[str, Any] = {document.id: document.fields for document in documents}
    names = tuple(dict.fromkeys(name for document in documents for name in document.fields))
    return Collection(
        texts, name=name, titles={document.id: document.title for document in documents if document.title},
        fields=Fields(names, lambda: rows) if names else None,
    )  # fmt: skip


def checked_system(text: str, scorer: str) -> str:
    """The one text of a system that a request names, or "".

    Raises:
        InputError: it is none, it names a place on this machine, or a scorer stands beside it.
    """
    if not text.strip():
        return ""
    if scorer:
        raise InputError("A system names its own stages, so a scorer beside it means nothing: leave one of them out.")
    return allowed(text)
