"""A change of one shard: the next generation of it, in a new folder that shares what neither generation will alter."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import storage
from engine.errors import CorruptDataError, NotFoundError, WorkbenchError
from engine.indexes import index_class, open_index


@dataclass(frozen=True, eq=False)
class Job:
    """What becomes of one shard.

    Args:
        kind: Kind of the shards.
        settings: Theirs, as names and values.
        source: Folder of the shard as it is, or None where it holds nothing yet.
        target: A folder that does not exist.
        method: "add", "remove" or "compact".
        arguments: Of that method of `Index`.
    """

    kind: str
    settings: dict[str, Any]
    source: Path | None
    target: Path
    method: str
    arguments: tuple[Any, ...] = ()


def work(job: Job) -> None:
    """Do a job, whole or not at all; the source stays as it is.

    Raises:
        WorkbenchError: what the method of `Index` raises.
    """
    try:
        if job.source is None:
            index = index_class(job.kind, job.settings).create(job.target, dict(job.settings))
        else:
            duplicate(job.source, job.target)
            index = open_index(job.target)
        getattr(index, job.method)(*job.arguments)
    except BaseException:
        shutil.rmtree(job.target, ignore_errors=True)
        if job.source is not None:
            with suppress(OSError, WorkbenchError):
                storage.sweep(job.source)  # rows that were added to a file which both share
        raise


def duplicate(source: Path, target: Path) -> None:
    """Make a second folder of an index, which can be changed while the first one stays as it is.

    Files are linked, not copied: `storage` replaces them under new names or lets them grow beyond what the manifest of
    the first counts. Folders of other libraries are copied.

    Args:
        source: An index.
        target: A folder that does not exist.

    Raises:
        CorruptDataError: a file is missing.
    """
    manifest = read_shard(source)
    with storage.writing(target):
        target.mkdir(parents=True)
        for name in manifest.files:
            path = storage.file_path(source, manifest, name)
            try:
                os.link(path, target / path.name)
            except OSError:  # a disk without links
                shutil.copyfile(path, target / path.name)
        for path in source.iterdir():
            if path.is_dir():
                shutil.copytree(path, target / path.name)
        shutil.copyfile(source / storage.MANIFEST, target / storage.MANIFEST)


def read_shard(folder: Path) -> storage.Manifest:
    """The manifest of a shard, which has to be there.

    Raises:
        CorruptDataError: it is missing or damaged.
    """
    try:
        return storage.read_manifest(folder)
    except NotFoundError:
        raise CorruptDataError(f"{folder} is missing: restore it from a copy or build the index again.") from None
