"""Runs for others: a zip that another machine imports, TREC files, ranx objects."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import CorruptDataError, InputError, NotFoundError
from engine.reading.trec import write_run
from workbench.runs.record import RANKINGS, RECORD, SCORES, Run, read_record
from workbench.runs.store import find, runs_folder
from workbench.runs.unpacking import check_run, unpack

if TYPE_CHECKING:
    import ranx

FILES = (RECORD, SCORES, RANKINGS)


def export(run: Run | str, path: str | Path) -> Path:
    """Pack a finished run into a zip.

    Args:
        run: The run or its name.
        path: The zip to write.

    Returns:
        The path.

    Raises:
        InputError: the run is not finished, or the place cannot be written.
    """
    chosen = _finished(run)
    target = Path(path)
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in FILES:
                archive.write(chosen.path / name, f"{chosen.id}/{name}")
        temporary.replace(target)
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}): choose another place.") from None
    return target


def import_zip(path: str | Path) -> Run:
    """Unpack a run that `export` packed, on any machine; nothing of it is seen before all of it was checked.

    Args:
        path: The zip.

    Returns:
        The run; `reused` says that it is here already, and stays as it is.

    Raises:
        NotFoundError: no such file.
        CorruptDataError: no zip of a run, damaged, larger than a run can be, or of another version.
        InputError: another run of the same name is here.
    """
    source = Path(path)
    if not source.is_file():
        raise NotFoundError(f"There is no file {source}: give a zip that `runs.export` wrote.")
    root = runs_folder()
    try:
        with tempfile.TemporaryDirectory(dir=root, prefix=".import-") as name:
            folder = Path(name) / "run"
            folder.mkdir()
            unpack(source, folder, FILES)
            check_run(folder)
            return _keep(folder, root)
    except CorruptDataError as error:
        raise CorruptDataError(f"{source} is no complete zip of a run ({error}): export it again.") from None
    except OSError as error:
        raise InputError(
            f"{source} cannot be imported ({error.strerror}): make room in {root}, or see to it."
        ) from None


def _keep(folder: Path, root: Path) -> Run:
    """Give a checked folder its name, unless the same run is there."""
    run_id = read_record(folder)["id"]
    if not (root / run_id).exists():
        folder.rename(root / run_id)
        return find(run_id)
    here = find(run_id)
    if any((here.path / file).read_bytes() != (folder / file).read_bytes() for file in FILES):
        raise InputError(f"Another run {run_id} is here: `workbench runs delete {run_id}` makes room for this one.")
    return replace(here, reused=True)


def to_trec(run: Run | str, path: str | Path) -> Path:
    """Write the rankings as a TREC run file: query, Q0, document, rank, score, run.

    Args:
        run: The run or its name.
        path: The file to write.

    Returns:
        The path.

    Raises:
        InputError: the run is not finished, or an id has a space, which the format cannot hold.
    """
    chosen = _finished(run)
    return write_run(chosen.rankings(), path, chosen.id)


def to_ranx(run: Run | str) -> ranx.Run:
    """The rankings as a ranx Run, for fusion and whatever else ranx does.

    Raises:
        InputError: the run is not finished.
    """
    import ranx

    chosen = _finished(run)
    found = {
        query: {document: float(score) for document, score in zip(ranking.ids, ranking.scores, strict=True)}
        for query, ranking in chosen.rankings().items()
    }
    return ranx.Run(found, name=chosen.id)


def _finished(run: Run | str) -> Run:
    chosen = find(run) if isinstance(run, str) else run
    if chosen.status != "complete":
        raise InputError(f"Run {chosen.id} is {chosen.status}: run it to the end first.")
    return chosen
