"""Slots: where documents lie in growing files. A removal only writes which slots are left, so it needs hardly any room.

A slot is a document's place in the files, in the order in which documents came; it never changes until the index is
compacted. The file "slots" maps storage positions to slots, rising.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine import storage
from engine.errors import CorruptDataError


def read(folder: Path, manifest: storage.Manifest, documents: int, slots: int) -> np.ndarray:
    """The slot of each storage position.

    Args:
        folder: The index.
        manifest: The generation.
        documents: How many there are.
        slots: How many places the growing files have.

    Returns:
        int64 [documents], rising.

    Raises:
        CorruptDataError: they fit no document, or do not rise.
    """
    found = storage.open_array(folder, manifest, "slots", mmap=False).astype(np.int64)
    if len(found) != documents or (documents and (found[0] < 0 or found[-1] >= slots)):
        raise CorruptDataError(f"The slots in {folder} fit no document: restore the folder or build it again.")
    if (np.diff(found) <= 0).any():
        raise CorruptDataError(f"The slots in {folder} do not rise: restore the folder or build it again.")
    return found


def write(folder: Path, slots: np.ndarray) -> dict[str, Any]:
    """Write anew which slots are in use, and return the entry of the file."""
    entry = storage.grow_entry("slots", storage.next_generation(folder), "<i4")
    return storage.append_rows(folder, entry, slots.astype(np.int32))


def append(folder: Path, entry: dict[str, Any], first: int, count: int) -> dict[str, Any]:
    """Add `count` slots from `first` on, and return the new entry."""
    return storage.append_rows(folder, entry, np.arange(first, first + count, dtype=np.int32))
