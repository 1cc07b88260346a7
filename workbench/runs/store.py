"""The folder of all runs: begin, finish, list, find, delete; safe with several writers.

A run in progress is a folder ".ID.PID.partial" that names its process; a finished one is renamed to ID as a whole, so
that a reader sees either all of it or nothing.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from engine import storage
from engine.errors import BusyError, CorruptDataError, InputError, NotFoundError, StorageError
from engine.retrieval import Ranking
from workbench.paths import data_folder
from workbench.runs.record import FORMAT, RANKINGS, RECORD, SCORES, Run, read_record, write_record

PARTIAL = ".partial"


def runs_folder() -> Path:
    """Where the runs are."""
    return data_folder("runs")


def begin(run_id: str, record: dict[str, Any]) -> Path:
    """Make the folder of a run in progress; remains of the same run from a dead process are removed.

    Args:
        run_id: The run's name.
        record: What is known so far: experiment, collection, model.

    Returns:
        The folder, to be handed to `finish`.
    """
    root = runs_folder()
    for old in root.glob(f".{run_id}.*{PARTIAL}"):
        if not _alive(old):
            shutil.rmtree(old, ignore_errors=True)
    folder = root / f".{run_id}.{os.getpid()}-{uuid4().hex[:8]}{PARTIAL}"  # two threads may run the same
    draft = folder.with_suffix(".new")  # seen by nobody until it says whose it is
    with storage.writing(draft):
        draft.mkdir()
    process = {"pid": os.getpid(), "started": psutil.Process().create_time(), "host": socket.gethostname()}
    storage.replace_text(draft / RECORD, json.dumps({"format": FORMAT, "id": run_id, "process": process, **record}))
    draft.rename(folder)
    return folder


def finish(
    folder: Path, record: dict[str, Any], scores: dict[str, dict[str, float]], rankings: dict[str, Ranking]
) -> Run:
    """Write the results into the folder of `begin` and rename it.

    Args:
        folder: From `begin`.
        record: Everything for run.json.
        scores: Metric -> {query: value}.
        rankings: Query -> ranking.

    Returns:
        The finished run; if another process finished the same one first, that one.
    """
    run_id = read_record(folder)["id"]
    try:
        with storage.writing(folder):
            _write_tables(folder, scores, rankings)
        files = {name: storage.checksum(folder / name) for name in (SCORES, RANKINGS)}
        empty = [query for query, ranking in rankings.items() if not len(ranking)]
        write_record(folder, {"format": FORMAT, "id": run_id, **record, "empty": empty, "files": files})
    except BaseException:
        for name in (SCORES, RANKINGS):
            (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(StorageError):
            abandon(folder)
        raise
    target = folder.parent / run_id
    try:
        folder.rename(target)
    except OSError:  # the same experiment was finished meanwhile: its files are the same
        shutil.rmtree(folder)
    return find(run_id)


def _write_tables(folder: Path, scores: dict[str, dict[str, float]], rankings: dict[str, Ranking]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    rows = [(metric, query, value) for metric, values in scores.items() for query, value in values.items()]
    columns = builtins.list(zip(*rows, strict=True)) or [(), (), ()]
    table = {"metric": pa.array(columns[0], pa.string()), "query": pa.array(columns[1], pa.string())}
    parquet.write_table(pa.table({**table, "value": pa.array(columns[2], pa.float64())}), folder / SCORES)
    found = [
        (query, rank, document, float(score))
        for query, ranking in rankings.items()
        for rank, (document, score) in enumerate(zip(ranking.ids, ranking.scores, strict=True), start=1)
    ]
    parts = builtins.list(zip(*found, strict=True)) or [(), (), (), ()]
    types = {"query": pa.string(), "rank": pa.int32(), "document": pa.string(), "score": pa.float32()}
    named = {name: pa.array(part, kind) for (name, kind), part in zip(types.items(), parts, strict=True)}
    parquet.write_table(pa.table(named), folder / RANKINGS)


def abandon(folder: Path) -> Run:
    """Leave a run in progress as interrupted."""
    record = read_record(folder)
    record["process"] = None
    storage.replace_text(folder / RECORD, json.dumps(record))
    return _open(folder)


def list_runs(collection: str | None = None, status: str | None = None) -> builtins.list[Run]:
    """All runs, the newest first.

    Args:
        collection: Only those of this collection's name.
        status: Only "complete", "running", "interrupted" or "unreadable" ones.

    Returns:
        The runs; a folder that cannot be read is one of them, with the reason.
    """
    found = [_open(folder) for folder in _folders()]
    if collection is not None:
        found = [run for run in found if run.record.get("collection", {}).get("name") == collection]
    if status is not None:
        found = [run for run in found if run.status == status]
    return sorted(found, key=lambda run: (run.created, run.id), reverse=True)


def find(run_id: str) -> Run:
    """A run by its name, or by the beginning of its name when only one begins so.

    Raises:
        NotFoundError: none, or several.
        CorruptDataError: its record is damaged or of another version.
    """
    root = runs_folder()
    folders = [root / run_id] if run_id and Path(run_id).name == run_id and (root / run_id).is_dir() else []
    if not folders and run_id:
        folders = [path for path in _folders() if _id_of(path).startswith(run_id)]
    if len(folders) != 1:
        number = "no run" if not folders else f"{len(folders)} runs"
        raise NotFoundError(f"{number.capitalize()} with a name that begins with {run_id!r}: see `workbench runs`.")
    run = _open(folders[0])
    if run.status == "unreadable":
        raise CorruptDataError(run.problem)
    return run


def delete(run_id: str) -> None:
    """Remove a run, finished, interrupted or unreadable.

    Raises:
        NotFoundError: there is none of that name.
        BusyError: it is running.
    """
    folders = [path for path in _folders() if _id_of(path) == run_id]
    if not folders:
        raise NotFoundError(f"No run {run_id!r}: see `workbench runs`.")
    if any(path.name.endswith(PARTIAL) and _alive(path) for path in folders):
        raise BusyError(f"Run {run_id!r} is running: stop it first.")
    for path in folders:
        try:
            shutil.rmtree(path)
        except OSError as error:
            raise InputError(f"{path} cannot be removed ({error.strerror}): change its permissions.") from None


def _folders() -> builtins.list[Path]:
    """Folders of runs, finished and in progress; other hidden folders are an import's."""
    with os.scandir(runs_folder()) as entries:
        return [
            Path(entry.path)
            for entry in entries
            if entry.is_dir() and (entry.name.endswith(PARTIAL) or not entry.name.startswith("."))
        ]


def _id_of(path: Path) -> str:
    return path.name[1:].rsplit(".", 2)[0] if path.name.endswith(PARTIAL) else path.name


def _open(folder: Path) -> Run:
    try:
        record = read_record(folder)
    except (NotFoundError, CorruptDataError) as error:
        return Run(_id_of(folder), folder, "unreadable", {}, str(error))
    if record["id"] != _id_of(folder):
        problem = f"{folder} holds the record of run {record['id']}: give it that name again, or delete it."
        return Run(_id_of(folder), folder, "unreadable", {}, problem)
    if not folder.name.endswith(PARTIAL):
        return Run(record["id"], folder, "complete", record)
    return Run(record["id"], folder, "running" if _alive(folder, record) else "interrupted", record)


def _alive(folder: Path, record: dict[str, Any] | None = None) -> bool:
    """Whether the process that writes a partial run still lives; on another host it is taken to."""
    try:
        process = (record or read_record(folder)).get("process")
    except (NotFoundError, CorruptDataError):
        return False
    if not process:
        return False
    if process["host"] != socket.gethostname():
        return True
    try:
        return abs(psutil.Process(process["pid"]).create_time() - process["started"]) < 1
    except psutil.Error:
        return False
