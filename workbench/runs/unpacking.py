"""A zip from somewhere else: unpacked within limits, and its run checked before anything relies on it."""

from __future__ import annotations

import errno
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

from engine.errors import CorruptDataError, WorkbenchError
from workbench.experiments.experiment import Experiment
from workbench.runs.record import RANKINGS, SCORES, Run, read_record
from workbench.runs.schema import check_record

LARGEST = 1_000_000_000  # bytes of one unpacked file: ten thousand queries with a thousand documents each take 200 MB
RATIO, SMALL = 100, 1_000_000  # unpacked bytes per packed byte, of a file above this size: ours have less than 20
MOST_ROWS = 50_000_000  # of a table: what a small file claims to hold can be far larger than the file
BLOCK = 1 << 20
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def unpack(source: Path, folder: Path, files: Sequence[str]) -> None:
    """Unpack some files of a zip, whatever paths it holds them under.

    Args:
        source: The zip.
        folder: Where they go, by their names alone.
        files: Their names; each must be there once, and all in one folder.

    Raises:
        CorruptDataError: no zip, a file is missing, twice, encrypted, too large, or packed in a way that is not read.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            entries = [info for info in archive.infolist() if PurePosixPath(info.filename).name in files]
            names = [PurePosixPath(info.filename).name for info in entries]
            wrong = next((name for name in files if names.count(name) != 1), None)
            if wrong is not None:
                raise CorruptDataError(f"it holds {names.count(wrong)} files {wrong}, not one")
            if len({PurePosixPath(info.filename).parent for info in entries}) != 1:
                raise CorruptDataError("its files lie in several folders")
            for info, name in zip(entries, names, strict=True):
                _check_entry(info, name)
            for info, name in zip(entries, names, strict=True):
                with archive.open(info) as stream, (folder / name).open("wb") as target:
                    _copy(stream, target, info.file_size, name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise CorruptDataError(str(error) or type(error).__name__) from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # that is a seek to where no file has bytes
            raise
        raise CorruptDataError("it names places outside of itself") from None


def _check_entry(info: zipfile.ZipInfo, name: str) -> None:
    if info.flag_bits & 0x1:
        raise CorruptDataError(f"{name} is encrypted, which is not read")
    if info.compress_type not in METHODS:
        raise CorruptDataError(f"{name} is packed by method {info.compress_type}, which is not read")
    if info.file_size > LARGEST:
        raise CorruptDataError(f"{name} has {info.file_size:,} bytes, more than {LARGEST:,}")
    if info.file_size > max(SMALL, RATIO * info.compress_size):
        raise CorruptDataError(f"{name} grows from {info.compress_size:,} to {info.file_size:,} bytes")


def _copy(stream: IO[bytes], target: IO[bytes], size: int, name: str) -> None:
    """Copy no more than was announced and checked."""
    left = size
    while block := stream.read(BLOCK):
        left -= len(block)
        if left < 0:
            break
        target.write(block)
    if left:
        raise CorruptDataError(f"{name} has another size than the zip says")


def check_run(folder: Path) -> None:
    """Check an unpacked run: its record, and that its tables hold what the record names.

    Args:
        folder: Folder of the run, complete.

    Raises:
        CorruptDataError: something does not fit; the sentence says what.
    """
    record = read_record(folder)
    check_record(record, finished=True)
    try:
        Run(record["id"], folder, "complete", record).verify()
    except CorruptDataError:
        raise CorruptDataError("a table differs from its checksum in the record") from None
    try:
        Experiment.from_dict(record["experiment"])
    except WorkbenchError as error:
        raise CorruptDataError(f"its experiment is not understood: {error}") from None
    scores = _table(folder / SCORES, {"metric": "string", "query": "string", "value": "double"})
    found = set(scores["metric"].unique().to_pylist())
    if found != set(record["scores"]):
        raise CorruptDataError(f"{SCORES} has the metrics {sorted(found)}, its record {sorted(record['scores'])}")
    _table(folder / RANKINGS, {"query": "string", "rank": "int32", "document": "string", "score": "float"})


def _table(path: Path, types: dict[str, str]) -> Any:
    """A table of exactly these columns, with no empty cell."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            found = {field.name: str(field.type) for field in file.schema_arrow}
            if found != types:
                raise CorruptDataError(f"{path.name} has the columns {found}, not {types}")
            if file.metadata.num_rows > MOST_ROWS:
                raise CorruptDataError(f"{path.name} has {file.metadata.num_rows:,} rows, more than {MOST_ROWS:,}")
            sizes = [file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)]
            if sum(sizes) > LARGEST:
                raise CorruptDataError(f"{path.name} unpacks to {sum(sizes):,} bytes, more than {LARGEST:,}")
            table = file.read()
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise CorruptDataError(f"{path.name} cannot be read: {(str(error).splitlines() or ['empty'])[0]}") from None
    empty = next((name for name in types if table[name].null_count), None)
    if empty is not None:
        raise CorruptDataError(f"{path.name} has empty cells in its column {empty}")
    return table
