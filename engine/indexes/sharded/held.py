"""The shards of one generation while somebody can still search them: open at a host, their folders kept on disk."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Any
from weakref import finalize

from engine import storage
from engine.errors import WorkbenchError
from engine.indexes.sharded.hosts import Ask, Host

PREFIX = "shard-"
_USED: Counter[Path] = Counter()  # folders that somebody in this process can still search
_GUARD = RLock()  # reentrant: the end of a generation may come at any moment


class Held:
    """Shards that are open at a host until nobody refers to this object.

    Args:
        host: Opens them.
        path: The sharded index.
        names: Folder of each shard inside it; "" for one that holds nothing.

    Raises:
        CorruptDataError: a file is damaged.
        WorkerError: see `Host`.
    """

    def __init__(self, host: Host, path: Path, names: Sequence[str]) -> None:
        self.host, self._path, self._names = host, path.absolute(), tuple(names)
        folders = [self._path / name for name in names if name]
        host.hold(folders)
        with _GUARD:
            _USED.update(folders)
        finalize(self, _over, host, self._path, folders).atexit = False

    def ask_each(
        self, method: str, asked: Sequence[tuple[int, tuple[Any, ...]]], settings: Mapping[str, Any] | None = None
    ) -> list[Any]:
        """Ask some shards at once.

        Args:
            method: See `Ask`.
            asked: A shard that holds something, and the arguments for it, each.
            settings: See `Ask`.

        Returns:
            One answer a shard, in order.
        """
        return self.host.ask(
            [Ask(self._path / self._names[shard], method, arguments, settings) for shard, arguments in asked]
        )

    def on(self, host: Host) -> Held:
        """The same shards open at another host."""
        return Held(host, self._path, self._names)


def _over(host: Host, path: Path, folders: list[Path]) -> None:
    """The last search of a generation is over: let go of its shards, and remove those that are no longer in force."""
    host.drop(folders)
    with _GUARD:
        _USED.subtract(folders)
    with suppress(WorkbenchError, OSError):
        in_force = storage.read_manifest(path).record.get("folders", ())
        remove(folder for folder in folders if folder.name not in in_force)


def clean(path: Path, in_force: Sequence[str]) -> None:
    """Remove shards that are not in force: of an older generation, or remains of a killed or failed writer."""
    remove(folder for folder in path.absolute().glob(f"{PREFIX}*") if folder.is_dir() and folder.name not in in_force)


def remove(folders: Iterable[Path]) -> None:
    """Remove folders that nobody in this process searches."""
    for folder in folders:
        with _GUARD:
            used = _USED[folder] > 0
        if not used:
            shutil.rmtree(folder, ignore_errors=True)


def give_up(path: Path, in_force: Sequence[str]) -> None:
    """Remove what a change wrote that failed, and the rows that it added to files of the shards in force."""
    clean(path, in_force)
    for name in filter(None, in_force):
        with suppress(WorkbenchError, OSError):
            storage.sweep(path / name)
