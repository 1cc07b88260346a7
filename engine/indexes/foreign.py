"""Base of indexes whose data another library writes: a folder of its own beside ours, replaced as a whole."""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from errno import ENOSPC
from importlib import metadata
from pathlib import Path
from threading import RLock
from typing import Any
from weakref import WeakKeyDictionary, finalize

import numpy as np

from engine import storage
from engine.embeddings import TokenEmbeddings
from engine.errors import CorruptDataError, WorkbenchError, missing_extra
from engine.indexes.base import Index
from engine.indexes.ids import IdTable
from engine.indexes.state import State
from engine.indexes.trace import Stage, TokenTrace
from engine.retrieval import Ranking, top_positions


def check_package(package: str, extra: str) -> None:
    """Check that a package is there and that torch is the version it was built for, without importing either.

    A wheel linked against another torch ends the process instead of raising, so the versions are read from metadata.

    Args:
        package: Its name as installed.
        extra: The extra of this project that installs it.

    Raises:
        MissingExtraError: it is not installed, or needs another torch.
    """
    from packaging.requirements import Requirement

    try:
        requirements = [Requirement(text) for text in metadata.requires(package) or []]
    except metadata.PackageNotFoundError:
        raise missing_extra(package, extra) from None
    torch = metadata.version("torch")
    for needed in requirements:
        if needed.name == "torch" and needed.marker is None and not needed.specifier.contains(torch, prereleases=True):
            why = f"{package} {metadata.version(package)} needs torch{needed.specifier}, found torch {torch}"
            raise missing_extra(package, extra, why)


def signature_defaults(label: str, owner: Any, *methods: str) -> dict[str, Any]:
    """Defaults of some methods that are plain numbers, texts or None, as "label.method.argument"."""
    return {
        f"{label}.{method}.{name}": entry.default
        for method in methods
        for name, entry in inspect.signature(getattr(owner, method)).parameters.items()
        if isinstance(entry.default, (int, float, str, type(None)))
    }


def list_files(folder: Path) -> dict[str, dict[str, int]]:
    """Size and CRC-32 of every file in a folder, by its path there."""
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "crc32": storage.checksum(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def check_files(folder: Path, expected: Mapping[str, Mapping[str, int]]) -> None:
    """Raise CorruptDataError unless files are as `list_files` saw them; others may lie beside them."""
    for name, entry in expected.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != entry["bytes"] or storage.checksum(path) != entry["crc32"]:
            raise CorruptDataError(f"{path} differs from what was written: restore it or build the index again.")


# The folder of every generation that somebody in this process can still search.
_OPEN: WeakKeyDictionary[State, Path | None] = WeakKeyDictionary()
_GUARD = RLock()  # reentrant: the end of a generation may come at any moment


def _folders_in_use() -> set[Path | None]:
    with _GUARD:
        return set(_OPEN.values())


class ForeignIndex(Index):
    """Keeps ids and token counts itself, and the other library's files in a folder that is copied before each change.

    The copy is why a killed writer loses nothing: the manifest names the old folder until the new one is complete. It
    is also why a search goes on beside a change: the old folder stays until nobody searches in it. A backend fills in
    `_open_native`, `_search`, and `_add` and `_remove`, which hand `_commit` the change of the copy.
    """

    traced = False
    alters_files = False  # whether the library changes its files when it opens them: they have no checksums then
    native: Any = None
    lengths: np.ndarray

    @classmethod
    def remedy(cls, setting: str) -> str:
        """What wins back a document that the other library did not return."""
        return "raise the search settings of the other library" if setting == "k" else super().remedy(setting)

    def _load(self) -> None:
        self.lengths = np.empty(0, np.int64)
        self.native = None
        if self.state.dim:
            self.lengths = storage.open_array(self.path, self.state.manifest, "lengths", mmap=False)
            folder = self._folder()
            if folder is not None and not folder.is_dir():
                raise CorruptDataError(f"{folder} is missing: restore it from a copy or build the index again.")
            self.native = self._open_native(folder)
            with _GUARD:
                _OPEN[self.state] = folder
            finalize(self.state, self._done, self.path, folder, self.native).atexit = False

    @classmethod
    def _done(cls, path: Path, folder: Path | None, native: Any) -> None:
        """The last search of a generation is over: let go of it, and remove its folder if another is in force."""
        cls._close_native(native)
        with suppress(WorkbenchError, OSError):
            in_force = storage.read_manifest(path).record.get("native")
            if folder is not None and folder.name != in_force and folder not in _folders_in_use():
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self) -> Path | None:
        """The other library's folder in force; None for one that keeps its data elsewhere."""
        name = self.state.manifest.record.get("native")
        return self.path / name if name else None

    def _open_native(self, folder: Path | None) -> Any:
        """Open what the other library wrote."""
        raise NotImplementedError

    @staticmethod
    def _close_native(native: Any) -> None:
        """Let go of what the other library holds of a generation that nobody searches any more."""

    def _verify(self, manifest: storage.Manifest) -> None:
        super()._verify(manifest)
        name = manifest.record.get("native")
        if name:
            check_files(self.path / name, manifest.record.get("native_files", {}))

    def _commit(
        self, ids: IdTable, lengths: np.ndarray, documents: TokenEmbeddings | None, change: Callable[[Path], None],
        **more: Any,
    ) -> None:  # fmt: skip
        """Copy the other library's folder, change the copy, and put it in force.

        The old folder stays until the last search in it is over; remains of a killed writer go now.

        Args:
            ids: All ids afterwards.
            lengths: int64 [n], their token counts.
            documents: What is added, or None when documents are removed.
            change: Changes the copy.
            more: See `_record`.
        """
        generation = storage.next_generation(self.path)
        target, old = self.path / f"native.{generation:06d}", self._folder()
        in_use = _folders_in_use() | {old}
        for path in self.path.glob("native.*"):
            if path.is_dir() and path not in in_use:
                shutil.rmtree(path, ignore_errors=True)
        if len(ids) == 0:
            self._record(ids, lengths, documents, None, **more)
            return
        try:
            if old is not None:
                check_files(old, self.state.manifest.record.get("native_files", {}))
                shutil.copytree(old, target)
            change(target)
            more["native_files"] = {} if self.alters_files else list_files(target)
            self._record(ids, lengths, documents, target.name, **more)
        except BaseException as error:
            shutil.rmtree(target, ignore_errors=True)
            if "No space left" in str(error) and not isinstance(error, OSError):  # the words of a library in Rust
                raise OSError(ENOSPC, os.strerror(ENOSPC)) from None
            raise

    def _record(
        self, ids: IdTable, lengths: np.ndarray, documents: TokenEmbeddings | None, native: str | None, **more: Any
    ) -> None:
        """Put a generation in force; `more` arrays are stored beside the ids, plain values in the record."""
        fingerprint = self.state.fingerprint or (documents.fingerprint if documents is not None else None)
        record = {
            "settings": asdict(self.settings),
            "dim": (self.state.dim or (documents.dim if documents is not None else 0)) if len(ids) else 0,
            "fingerprint": fingerprint if len(ids) else None,
            "documents": len(ids),
            "tokens": int(lengths.sum()),
            "native": native,
            **{name: value for name, value in more.items() if not isinstance(value, np.ndarray)},
        }
        extra = {name: value for name, value in more.items() if isinstance(value, np.ndarray)}
        arrays = {"lengths": lengths, **extra} if len(ids) else {}
        storage.commit(self.path, f"index/{self.kind}", record, arrays, ids.files(self.path))

    def _stages(
        self, query: TokenEmbeddings, position: int, k: int
    ) -> tuple[tuple[Stage, ...], TokenTrace | None, tuple[str, ...]]:
        """One stage: what happens inside the other library cannot be seen from here."""
        ranking = self._search(query, k, None)[0]
        found = self._positions(ranking.ids)
        at = np.flatnonzero(found == position)
        score, rank = (float(ranking.scores[at[0]]), int(at[0]) + 1) if len(at) else (None, None)
        return (Stage("search", "k", k, len(self), len(found), score, rank, rank is not None),), None, ranking.notes

    def _keep_mask(self, removed: np.ndarray) -> np.ndarray:
        mask = np.ones(len(self), bool)
        mask[removed] = False
        return mask

    def describe(self) -> dict[str, Any]:
        """See the base class; bytes count the other library's files too."""
        described = super().describe()
        folder = self._folder() if self.state.dim else None
        if folder is not None:
            described["bytes"] += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            described["bytes_per_token"] = described["bytes"] / described["tokens"]
        return described

    def _ranking(self, positions: np.ndarray, scores: np.ndarray, k: int, notes: tuple[str, ...] = ()) -> Ranking:
        """Order storage positions by the scores that the other library gave."""
        scores = np.asarray(scores, np.float32)
        best = top_positions(scores, self.state.ids.tie_order[positions], k)
        return Ranking(self.state.ids.at(positions[best]), scores[best], notes)


class NumberedIndex(ForeignIndex):
    """Base for libraries that know documents by a number which is given once and never again.

    `numbers` maps storage positions to those numbers, rising. A backend fills in `_open_native`, `_insert`, `_delete`
    and `_search`.
    """

    numbers: np.ndarray

    def _load(self) -> None:
        self.numbers = np.empty(0, np.int64)
        if self.state.dim:
            self.numbers = storage.open_array(self.path, self.state.manifest, "numbers", mmap=False)
        super()._load()

    def _insert(self, folder: Path, numbers: np.ndarray, documents: TokenEmbeddings) -> None:
        """Add documents under these numbers to the other library's folder."""
        raise NotImplementedError

    def _delete(self, folder: Path, numbers: np.ndarray) -> None:
        """Take these numbers out of the other library's folder."""
        raise NotImplementedError

    def _add(self, names: list[str], documents: TokenEmbeddings) -> None:
        first = self.state.manifest.record.get("next_number", 0) if len(self) else 0
        new = np.arange(first, first + len(documents))
        self._commit(
            self.state.ids.joined(names), np.concatenate([self.lengths, documents.lengths]), documents,
            lambda folder: self._insert(folder, new, documents),
            numbers=np.concatenate([self.numbers, new]), next_number=first + len(new),
        )  # fmt: skip

    def _remove(self, positions: np.ndarray) -> None:
        keep, gone = self._keep_mask(positions), self.numbers[positions]
        self._commit(
            self.state.ids.without(positions), self.lengths[keep], None, lambda folder: self._delete(folder, gone),
            numbers=self.numbers[keep], next_number=self.state.manifest.record["next_number"],
        )  # fmt: skip

    def _found(self, numbers: Any, scores: Any, k: int, notes: tuple[str, ...] = ()) -> Ranking:
        """Order what the other library returned; numbers that this generation does not know are left out."""
        numbers, scores = np.asarray(numbers, np.int64), np.asarray(scores, np.float32)
        at = np.searchsorted(self.numbers, numbers)
        known = at < len(self.numbers)
        known[known] = self.numbers[at[known]] == numbers[known]
        return self._ranking(at[known], scores[known], k, notes)

    def _nothing_asked(self, k: int, allowed: np.ndarray | None) -> Ranking:
        """The ranking of a query without tokens, whose every score is 0."""
        chosen = np.arange(len(self)) if allowed is None else np.searchsorted(self.numbers, allowed)
        return self._ranking(chosen, np.zeros(len(chosen), np.float32), k)
