"""An index as a folder: created, opened, refreshed, verified and described, for every kind alike."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import asdict, replace
from pathlib import Path
from threading import RLock
from typing import Any, ClassVar, TypeVar

from engine import storage
from engine.errors import CorruptDataError, InputError, UnsupportedError
from engine.indexes.checks import ABILITIES
from engine.indexes.ids import IdTable
from engine.indexes.kind import Kind
from engine.indexes.state import State

T = TypeVar("T", bound="IndexFolder")
REBUILD = "originals"  # the file of vectors that nothing but another training reads


class IndexFolder(Kind, ABC):
    """The files of one index, and the one generation of them that this object answers from.

    What belongs to a generation, `state` and all that `_load` sets, is replaced by one assignment (`_read`) and never
    changed. A search works on a copy of the object (`_pinned`) that keeps the generation it began with, so a change of
    the same object in another thread cannot touch it. What a search keeps for the next one lies in objects that `_load`
    makes, which the copies share.
    """

    # Files that a change leaves alone or only appends to. All others are checked beforehand: a change copies them.
    growing: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, path: Path, settings: Any, state: State) -> None:
        self.path = path
        self.settings = settings
        self.state = state
        self._refreshing = RLock()

    @classmethod
    def create(cls: type[T], path: Path, settings: dict[str, Any]) -> T:
        """Make an empty index; see `engine.indexes.create_index`."""
        parsed = cls.parse_settings(settings)
        cls.check_installed()
        try:
            used = path.exists() and (not path.is_dir() or any(name != storage.LOCK for name in os.listdir(path)))
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}): give a new folder.") from None
        if used:
            raise InputError(f"{path} is not empty: give a new folder, or open what is there with open_index.")
        with storage.writer_lock(path):
            commit_empty(path, cls.kind, parsed)
        return cls.open(path)

    @classmethod
    def open(cls: type[T], path: Path) -> T:
        """Open a folder; see `engine.indexes.open_index`."""
        manifest = storage.read_manifest(path, f"index/{cls.kind}")
        cls.check_installed()
        settings = cls.parse_settings(manifest.record["settings"])
        index = cls(path, settings, State(manifest, IdTable.from_list([]), 0, None))
        index._read(manifest)
        return index

    def _read(self, manifest: storage.Manifest) -> None:
        """Load a generation; when a writer replaced it halfway, load the one that is in force by then."""
        while True:
            try:
                fresh = copy(self)
                fresh.state = State.read(self.path, manifest)
                fresh._load()
                # At once: whoever copies this object gets all of it or nothing.
                object.__setattr__(self, "__dict__", vars(fresh))
                return
            except CorruptDataError:
                latest = storage.read_manifest(self.path, f"index/{self.kind}")
                if latest.generation == manifest.generation:
                    raise
                manifest = latest

    @abstractmethod
    def _load(self) -> None:
        """Open the files of `self.state.manifest` and set all that a search reads, on an object nobody has seen yet."""

    def __len__(self) -> int:
        return len(self.state.ids)

    def __contains__(self, name: str) -> bool:
        return name in self.state.ids

    def tuned(self: T, **settings: Any) -> T:
        """The same index with other search settings, without touching the folder.

        Args:
            settings: Among `search_settings`.

        Returns:
            A second index object over the same files.

        Raises:
            InputError: a setting that is fixed with the index, or a value that makes no sense.
        """
        fixed = next((name for name in settings if name not in self.search_settings), None)
        if fixed is not None:
            allowed = ", ".join(self.search_settings) or "nothing"
            raise InputError(f"{fixed!r} cannot change after the build: tune {allowed}.")
        other = copy(self)
        other.settings = replace(self.settings, **settings)
        return other

    def _pinned(self: T) -> T:
        """A copy of the index as it is now, which no change of this object reaches."""
        return copy(self)

    @property
    def abilities(self) -> frozenset[str]:
        """What this index can do with its settings: `can`, or less."""
        return self.able(self.settings)

    def _need(self, ability: str) -> None:
        if ability not in self.abilities:
            raise UnsupportedError(
                f"Index kind {self.kind!r} has not the ability {ability!r}: it has {', '.join(sorted(self.abilities))}."
            )

    @property
    def ids(self) -> list[str]:
        """The ids of all documents, in storage order."""
        return self.state.ids.names

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the writer's lock for a change; afterwards this object answers from the new generation."""
        with storage.writer_lock(self.path):
            self.refresh()
            before = self.state.manifest
            storage.verify(self.path, before, before.files.keys() - self.growing)
            yield
            self.refresh()
            if self.state.manifest.generation != before.generation:
                self._changed()

    def _changed(self) -> None:
        """Called after every change, with the new generation loaded and the writer lock held."""

    def refresh(self) -> bool:
        """See what another process has written since; True if there was something."""
        with self._refreshing:  # else a slow thread could put an older generation over a newer one
            manifest = storage.read_manifest(self.path, f"index/{self.kind}")
            if manifest.generation == self.state.manifest.generation:
                return False
            self._read(manifest)
            return True

    def verify(self) -> None:
        """Compare every file with its checksum; raises CorruptDataError at the first that differs."""
        manifest, latest = self.state.manifest, storage.read_manifest(self.path, f"index/{self.kind}")
        while True:
            try:
                self._verify(manifest)
                return
            except CorruptDataError:
                if latest.generation == manifest.generation:
                    raise
                manifest, latest = latest, storage.read_manifest(self.path, f"index/{self.kind}")

    def _verify(self, manifest: storage.Manifest) -> None:
        storage.verify(self.path, manifest)

    @property
    def unread_bytes(self) -> int:
        """Bytes of the files that no search reads: vectors that a small index keeps to be trained again with."""
        return self.state.manifest.files.get(REBUILD, {}).get("bytes", 0)

    def describe(self) -> dict[str, Any]:
        """Documents, tokens, bytes, settings, fingerprints and what this kind can do, as JSON values."""
        state = self.state
        record, size = state.manifest.record, state.manifest.bytes
        return {
            "kind": self.kind,
            "documents": len(state.ids),
            "without_vectors": record.get("without_vectors", 0),
            "tokens": record["tokens"],
            "dim": state.dim,
            "bytes": size,
            "bytes_per_token": size / record["tokens"] if record["tokens"] else 0.0,
            "settings": asdict(self.settings),
            "fingerprint": state.fingerprint,
            "generation": state.manifest.generation,
            "can": sorted(self.abilities),
            "cannot": sorted(set(ABILITIES) - self.abilities),
        }


def commit_empty(path: Path, kind: str, settings: Any) -> None:
    """Put an index without documents in force."""
    record = {"settings": asdict(settings), "dim": 0, "fingerprint": None, "documents": 0, "tokens": 0}
    storage.commit(path, f"index/{kind}", record, {}, IdTable.from_list([]).files(path))
