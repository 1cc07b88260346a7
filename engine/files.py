"""Files that a crash, a full disk or another process cannot leave half-written, and errors of the disk as sentences."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from engine.errors import BusyError, InputError, StorageError


def checksum(path: Path, size: int | None = None) -> int:
    """CRC-32 of a file, or of its first `size` bytes, read in blocks of 4 MiB."""
    value, left = 0, path.stat().st_size if size is None else size
    with path.open("rb") as stream:
        while left and (block := stream.read(min(left, 1 << 22))):
            value = zlib.crc32(block, value)
            left -= len(block)
    return value


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system says while something is written into one sentence.

    Args:
        path: What is written, for the sentence.

    Raises:
        StorageError: the disk is full, read-only or gone.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written ({error.strerror or error}): free some room or choose another place; what was "
            "complete there before is kept."
        ) from None


def replace_text(path: Path, text: str) -> None:
    """Write a small text file in UTF-8; see `replace_bytes`."""
    replace_bytes(path, text.encode("utf-8"))


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a small file so that readers see either the old or the new one, and the new one survives a crash.

    Raises:
        StorageError: it cannot be written; the old one is there as before.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            with temporary.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, where the platform lets a folder be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def file_lock(path: Path, timeout: float = -1.0) -> Iterator[None]:
    """Hold a lock file; the operating system lets it go when the process ends.

    Args:
        path: The lock file; its folder is created when absent.
        timeout: Seconds to wait for whoever holds it; negative waits without end.

    Raises:
        BusyError: another process or thread holds it.
        InputError: the file cannot be made.
    """
    make_folder(path.parent)
    try:
        lock = FileLock(path, timeout=timeout)
        lock.acquire()
    except Timeout:
        raise BusyError(
            f"{path.parent} is being written by another process or thread: wait for it to finish, then again."
        ) from None
    except OSError as error:
        raise InputError(f"{path.parent} cannot be written ({error.strerror}): choose a writable folder.") from None
    try:
        yield
    finally:
        lock.release()


def missing_folders(folder: Path) -> list[Path]:
    """The folders on the way to this one, itself among them, that do not exist; the deepest first.

    Raises:
        InputError: the way cannot be looked at.
    """
    try:
        return [path for path in (folder, *folder.parents) if not path.exists()]
    except (OSError, ValueError) as error:  # a name that is too long, links in a circle, NUL
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{folder} cannot be written ({reason}): choose another place.") from None


def require_place(path: Path) -> None:
    """Make sure, before the work, that a file or folder can be made: folders that are missing on its way may be.

    Raises:
        InputError: what is there on its way is no folder, not writable, or cannot be looked at.
    """
    above = missing_folders(path.absolute())
    there = (above[-1] if above else path.absolute()).parent
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(f"{path} cannot be written, since {there} is no folder that can be: choose another place.")


def require_new(folder: Path) -> None:
    """Refuse a folder that holds something, or that cannot be made, before the work.

    Raises:
        InputError: so it is.
    """
    require_place(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty: give a new folder.")


def make_folder(folder: Path) -> list[Path]:
    """Make a folder and those above it.

    Returns:
        The folders that were not there before, the deepest first.

    Raises:
        InputError: it cannot be made.
    """
    new = missing_folders(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{folder} cannot be written ({reason}): choose a writable folder.") from None
    return new


def remove_new(folder: Path, before: set[str]) -> None:
    """Remove everything from a folder but the names that were there before."""
    for name in set(os.listdir(folder)) - before:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, the deepest first, up to the first that is not empty."""
    with suppress(OSError):
        for path in folders:
            path.rmdir()
