"""The columns of a source beside ids, texts and titles: named when it is read, read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.fields import Fields
from engine.letters import clean
from engine.reading.rows import Table
from engine.reading.texts import ids_of, roles


def of_tables(
    tables: Sequence[Table], asked: Mapping[str, str | None], read: Callable[[], Iterable[Table]]
) -> Fields | None:
    """The other columns of tables.

    Args:
        tables: As they were read; nothing of them is kept.
        asked: Role -> the column that a person named for it.
        read: Reads them again.

    Returns:
        The columns, or None where there are no others.
    """
    names: dict[str, None] = {}
    for table in tables:
        taken = set(roles(table, asked).values())
        names.update(dict.fromkeys(name for name in table.columns if name not in taken))
    if not names:
        return None

    def rows() -> dict[str, Mapping[str, Any]]:
        return {
            clean(key): row
            for table in read()
            for key, row in zip(ids_of(table, asked), table.rows, strict=True)
            if key is not None
        }

    return Fields(tuple(names), rows)


def of_files(folder: Path, names: Iterable[str]) -> Fields:
    """What a file system knows of documents that are files.

    Args:
        folder: Where they lie.
        names: Their ids: paths below it.

    Returns:
        Columns "path", "suffix", "bytes" and "modified" (a moment of UTC).
    """
    kept = list(names)

    def rows() -> dict[str, Mapping[str, Any]]:
        from datetime import datetime, timezone

        found: dict[str, Mapping[str, Any]] = {}
        for name in kept:
            path = folder / name
            try:
                status = path.stat()
            except OSError:
                continue  # it is gone: its text is here, what it was is not known
            modified = datetime.fromtimestamp(int(status.st_mtime), timezone.utc).replace(tzinfo=None)
            found[clean(name)] = {
                "path": clean(name), "suffix": path.suffix.lower(), "bytes": status.st_size, "modified": modified,
            }  # fmt: skip
        return found

    return Fields(("path", "suffix", "bytes", "modified"), rows)


def unchanged(paths: Iterable[Path], read: Callable[[], Iterable[Table]]) -> Callable[[], Iterable[Table]]:
    """A reading that refuses files that are not what they were now.

    Args:
        paths: The files.
        read: Reads them.

    Returns:
        The reading, which raises InputError where one has changed.
    """
    seen = {path: _stamp(path) for path in paths}

    def again() -> Iterable[Table]:
        changed = next((path for path, stamp in seen.items() if _stamp(path) != stamp), None)
        if changed is not None:
            raise InputError(f"{changed} has changed since it was read: load the collection again.")
        return read()

    return again


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
