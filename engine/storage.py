"""Folders of arrays that are never half-written: checksummed files, a manifest written last, one writer at a time.

A folder holds `manifest.json` and the files that it names. A writer puts new files beside the old ones under a new
generation number, then replaces the manifest by rename, then deletes what the new manifest does not name. A process
killed at any point leaves the last complete generation; the next writer removes the remains. Readers that had the old
generation open keep it: their memory maps stay valid after the files are unlinked (POSIX semantics).

Large arrays that only get longer are written as growing files: raw rows with no header, whose valid length is what the
manifest says. Rows beyond it belong to nobody: a killed writer left them, and the next append overwrites them. CRC-32
continues from its last value, so an append neither rewrites nor rereads what is there, and damage in it stays visible.
Whoever copies a file into a new one checks it first (`verify` with its name), so that no copy makes damage look sound.

A change that fails, on a full disk or by a mistake, removes what it wrote and leaves the last complete generation.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np

from engine.errors import CorruptDataError, InputError, NotFoundError, WorkbenchError
from engine.files import checksum, file_lock, make_folder, remove_empty, remove_new, replace_text, writing

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
LOCK = "writer.lock"
REMAINS = re.compile(r"\w+\.\d{6}\.\w+|\..+\.\d+\.\w+")  # how our files are named: those of others are never touched

_one_header = Lock()  # numpy reads a header by `ast`, where Python 3.11 fails now and then if two threads are in it


@dataclass(frozen=True)
class Manifest:
    """What a folder holds: its kind, its generation, the caller's record, and every file with size and checksum."""

    kind: str
    generation: int
    record: dict[str, Any]
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Bytes of all files named here."""
        return sum(entry["bytes"] for entry in self.files.values())


@contextmanager
def writer_lock(folder: Path, timeout: float = 0.0) -> Iterator[None]:
    """Hold the folder's writer lock; when the block fails, what it wrote is removed and the last generation stays.

    Args:
        folder: The folder to write to; created when absent.
        timeout: Seconds to wait for another writer.

    Raises:
        BusyError: another process or thread is writing.
        InputError: the folder cannot be written.
        StorageError: the disk is full, read-only or gone.
    """
    new = make_folder(folder)
    try:
        with file_lock(folder / LOCK, timeout):
            before = set(os.listdir(folder)) - ({LOCK} if new else set())
            try:
                with writing(folder):
                    yield
            except BaseException:
                with suppress(OSError, WorkbenchError):
                    sweep(folder) if (folder / MANIFEST).exists() else remove_new(folder, before)
                raise
    except BaseException:
        remove_empty(new)
        raise


def read_manifest(folder: Path, kind: str | None = None) -> Manifest:
    """Read and check a folder's manifest.

    Args:
        folder: A folder written by `commit`.
        kind: The kind that is expected, or None for any.

    Returns:
        The manifest.

    Raises:
        NotFoundError: there is no manifest.
        CorruptDataError: it cannot be parsed, its checksum is wrong, or its format version is unknown.
    """
    path = folder / MANIFEST
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        body = raw["body"]
        if zlib.crc32(json.dumps(body, sort_keys=True).encode()) != raw["crc32"]:
            raise ValueError("its checksum does not match")
        version = body["format"]
        manifest = Manifest(body["kind"], body["generation"], body["record"], body["files"])
    except FileNotFoundError:
        raise NotFoundError(f"{folder} holds no {MANIFEST}: give a folder that this project wrote.") from None
    except (NotADirectoryError, PermissionError) as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): give a folder that this project wrote.") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise CorruptDataError(f"{path} is damaged ({error}): restore it from a copy or build it again.") from None
    if version != FORMAT_VERSION:
        raise CorruptDataError(
            f"{path} has format {version}, this version reads {FORMAT_VERSION}: build it again or use the version of "
            "the project that wrote it."
        )
    if kind is not None and manifest.kind != kind:
        raise InputError(f"{folder} holds a {manifest.kind!r}, expected a {kind!r}: give the right folder.")
    return manifest


def _little(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))


def _write_rows(stream: IO[bytes], array: np.ndarray, crc: int) -> int:
    """Write the bytes of an array and return the continued CRC-32."""
    data = array.reshape(-1).view(np.uint8).data if array.size else b""
    for start in range(0, len(data), 1 << 24):
        crc = zlib.crc32(data[start : start + (1 << 24)], crc)
        stream.write(data[start : start + (1 << 24)])
    stream.flush()
    os.fsync(stream.fileno())
    return crc


def write_array(path: Path, array: np.ndarray) -> dict[str, Any]:
    """Write one `.npy` file and return its manifest entry; the checksum is taken on the way."""
    little = _little(array)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(little))
    with path.open("wb") as stream:
        stream.write(header.getvalue())
        crc = _write_rows(stream, little, zlib.crc32(header.getvalue()))
    return {"file": path.name, "bytes": header.tell() + little.nbytes, "crc32": crc}


def append_rows(folder: Path, entry: Mapping[str, Any], rows: np.ndarray) -> dict[str, Any]:
    """Add rows at the end of a growing file.

    Args:
        folder: The folder.
        entry: The file's entry so far, from `grow_entry` or the manifest in force.
        rows: [n, ...] of the entry's dtype and row shape.

    Returns:
        The entry with the new length and checksum; nothing counts until a manifest names it.
    """
    rows = _little(rows)
    assert (rows.dtype, list(rows.shape[1:])) == (np.dtype(entry["dtype"]), entry["row"])
    path = folder / entry["file"]
    if entry["bytes"]:
        _check_size(path, entry)  # a file that was cut must not be filled up with zeros
    with path.open("r+b" if entry["bytes"] else "w+b") as stream:
        stream.seek(entry["bytes"])
        stream.truncate()
        crc = _write_rows(stream, rows, entry["crc32"])
    return {**entry, "bytes": entry["bytes"] + rows.nbytes, "crc32": crc}


def open_rows(folder: Path, entry: Mapping[str, Any]) -> np.ndarray:
    """Map the valid rows of a growing file by its entry, before a manifest names it."""
    return _open_rows(folder / entry["file"], entry, True)


def grow_entry(name: str, generation: int, dtype: str | np.dtype, row: Sequence[int] = ()) -> dict[str, Any]:
    """The entry of a growing file that has no rows yet."""
    little = np.dtype(dtype).newbyteorder("<")
    return {"file": f"{name}.{generation:06d}.bin", "bytes": 0, "crc32": 0, "dtype": little.str, "row": list(row)}


def next_generation(folder: Path) -> int:
    """The generation that the next `commit` will write."""
    return (read_manifest(folder).generation if (folder / MANIFEST).exists() else 0) + 1


def commit(
    folder: Path,
    kind: str,
    record: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    keep: Mapping[str, dict[str, Any]] | None = None,
    adopt: Mapping[str, Path] | None = None,
) -> Manifest:
    """Write a new generation of a folder; call it with the writer lock held.

    Args:
        folder: The folder.
        kind: What it holds, such as "token-embeddings" or "index/plaid".
        record: JSON values of the caller: settings, counts, fingerprints.
        arrays: Name -> array, written as little-endian `.npy` files.
        keep: Name -> file entry, for arrays that did not change (entries of the previous manifest) or that grew
            (entries from `append_rows`).
        adopt: Name -> finished file inside `folder` (written by a stream or by another library), renamed into place.

    Returns:
        The manifest that is now in force.
    """
    generation = next_generation(folder)
    files: dict[str, dict[str, Any]] = dict(keep or {})
    for name, array in arrays.items():
        files[name] = write_array(folder / f"{name}.{generation:06d}.npy", array)
    for name, source in (adopt or {}).items():
        path = folder / f"{name}.{generation:06d}{source.suffix}"
        with source.open("rb+") as stream:
            os.fsync(stream.fileno())
        source.replace(path)
        files[name] = {"file": path.name, "bytes": path.stat().st_size, "crc32": checksum(path)}
    body = {"format": FORMAT_VERSION, "kind": kind, "generation": generation, "record": dict(record), "files": files}
    crc = zlib.crc32(json.dumps(body, sort_keys=True).encode())
    replace_text(folder / MANIFEST, json.dumps({"crc32": crc, "body": body}, indent=1, sort_keys=True))
    sweep(folder)
    return read_manifest(folder)


def sweep(folder: Path) -> list[str]:
    """Delete what the manifest in force does not count: remains of a killed or failed writer, or of an old generation.

    Args:
        folder: The folder; call with the writer lock held.

    Returns:
        Names of the deleted files.
    """
    entries = read_manifest(folder).files.values()
    named = {entry["file"] for entry in entries}
    removed = [path for path in folder.iterdir() if REMAINS.fullmatch(path.name) and path.name not in named]
    for path in removed:
        path.unlink(missing_ok=True)
    for entry in entries:
        path = folder / entry["file"]
        if "row" in entry and path.exists() and path.stat().st_size > entry["bytes"]:
            os.truncate(path, entry["bytes"])
    return sorted(path.name for path in removed)


def open_array(folder: Path, manifest: Manifest, name: str, mmap: bool = True) -> np.ndarray:
    """Open one array of a folder.

    Args:
        folder: The folder.
        manifest: Its manifest.
        name: The array's name.
        mmap: Map the file (read-only) instead of reading it.

    Returns:
        The array, little-endian.

    Raises:
        CorruptDataError: the file is missing, truncated or has another size than the manifest says.
    """
    path = file_path(folder, manifest, name)
    entry = manifest.files[name]
    try:
        if "row" in entry:
            return _open_rows(path, entry, mmap)
        with _one_header:
            return np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except Exception as error:  # a damaged header makes numpy raise nearly anything, even the errors of a tokenizer
        raise CorruptDataError(f"{path} cannot be read ({error}): restore it or build it again.") from None


def _open_rows(path: Path, entry: Mapping[str, Any], mmap: bool) -> np.ndarray:
    """The valid rows of a growing file."""
    dtype, row = np.dtype(entry["dtype"]), entry["row"]
    count = entry["bytes"] // (dtype.itemsize * math.prod(row)) if math.prod(row) else 0
    if count == 0:
        empty = np.empty((0, *row), dtype)
        empty.flags.writeable = not mmap  # as mapped ones are: one type for the compiled loops
        return empty
    if mmap:
        return np.memmap(path, dtype, "r", shape=(count, *row))
    return np.fromfile(path, dtype, count * math.prod(row)).reshape(count, *row)


def file_path(folder: Path, manifest: Manifest, name: str) -> Path:
    """Path of a named file, after a check of its existence and size."""
    entry = manifest.files.get(name)
    if entry is None:
        raise CorruptDataError(f"{folder / MANIFEST} names no {name!r}: restore the folder or build it again.")
    path = folder / entry["file"]
    _check_size(path, entry)
    return path


def _check_size(path: Path, entry: Mapping[str, Any]) -> None:
    try:
        size = path.stat().st_size
    except FileNotFoundError:  # asked once: a writer may remove it at any moment
        size = None
    longer = "row" in entry and size is not None and size > entry["bytes"]  # rows that no manifest counts (yet)
    if size != entry["bytes"] and not longer:
        found = "is missing" if size is None else f"has {size} bytes"
        raise CorruptDataError(f"{path} {found}, expected {entry['bytes']} bytes: restore it or build it again.")


def verify(folder: Path, manifest: Manifest, names: Iterable[str] | None = None) -> None:
    """Compare files with their checksums.

    Args:
        folder: The folder.
        manifest: Its manifest.
        names: Of the files, such as those that a writer is about to copy; None compares all.

    Raises:
        CorruptDataError: a file differs from what was written.
    """
    for name in manifest.files if names is None else names:
        path, entry = file_path(folder, manifest, name), manifest.files[name]
        try:
            found = checksum(path, entry["bytes"])
        except OSError as error:
            raise CorruptDataError(f"{path} cannot be read ({error.strerror}): restore it or build it again.") from None
        if found != entry["crc32"]:
            raise CorruptDataError(f"{path} differs from what was written: restore it or build it again.")
