"""The files of one generation of a PLAID index, opened and checked as far as the compiled loops need it.

A change of a large index touches few of its files. What the generation before had opened is taken over, and of a file
that grew only the new rows are checked: else the removal of one document would read all codes and lists.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine import storage
from engine.errors import CorruptDataError
from engine.indexes import slots
from engine.indexes.plaid import inverted, selftest
from engine.indexes.plaid.codec import TRAINED
from engine.indexes.plaid.codecs import codec_class
from engine.indexes.plaid.inverted import Lists
from engine.indexes.plaid.search import Layout
from engine.indexes.plaid.settings import PlaidSettings

# Codes up to so many bytes are read instead of mapped: a search reads pieces of them from everywhere, and memory in
# large pages spares it the walk to a page for each.
HELD = 1 << 26


class Opened(NamedTuple):
    """A generation that is open, and its manifest."""

    manifest: storage.Manifest
    layout: Layout


def read(
    folder: Path, manifest: storage.Manifest, settings: PlaidSettings, documents: int, before: Opened | None = None
) -> tuple[Layout, np.ndarray]:
    """Open an index that has documents.

    Args:
        folder: The index.
        manifest: The generation.
        settings: Settings of the index.
        documents: How many there are.
        before: An earlier generation of the same folder.

    Returns:
        What a search reads, and the slot of each document, int64 [documents], rising.

    Raises:
        CorruptDataError: an array is missing, or they do not fit together; the kernels index without bounds checks.
    """

    def array(name: str, mmap: bool = True) -> np.ndarray:
        return np.asarray(storage.open_array(folder, manifest, name, mmap))

    def same(*names: str) -> Layout | None:
        """The layout before, if it was read from these very files."""
        kept = before is not None and all(before.manifest.files.get(n) == manifest.files.get(n) for n in names)
        return before.layout if before is not None and kept else None

    if "steps" not in manifest.files:
        raise CorruptDataError(f"{folder} is of an earlier version with another codec: build it again.")
    record, largest = manifest.record, manifest.record.get("largest", np.inf)
    if earlier := same(*TRAINED):
        codec = earlier.codec.reaching(largest)
    else:
        arrays = {name: array(name, False) for name in TRAINED & manifest.files.keys()}
        codec = codec_class(settings.bits).load(arrays, settings, largest)
    earlier = same("ends")
    offsets = earlier.offsets if earlier else np.concatenate([[0], array("ends", False)])
    codes, packed = array("codes", manifest.files.get("codes", {}).get("bytes", 0) > HELD), array("residuals")
    codes.flags.writeable = False  # as mapped ones are: one type for the compiled loops
    earlier = same("list_offsets", "list_documents")
    base = earlier.lists[0] if earlier else Lists(array("list_offsets", False), array("list_documents"))
    known = _rows_before(manifest, before) if earlier and same(*TRAINED) else 0
    if not selftest.fit_together(codec, offsets, codes, packed, base, known):
        raise CorruptDataError(f"{folder} holds arrays that do not fit together: restore it or build it again.")
    listed, lists = record["listed"], (base,)
    if listed < len(offsets) - 1:
        lists = (base, inverted.build(codes, offsets, listed, len(codec.centroids)))
    found = slots.read(folder, manifest, documents, len(offsets) - 1)
    alive = np.zeros(len(offsets) - 1, np.uint8)
    alive[found] = np.diff(offsets)[found] > 0
    return Layout(codec, offsets, codes, packed, lists, alive), found


def _rows_before(manifest: storage.Manifest, before: Opened | None) -> int:
    """How many rows of the codes an earlier generation had, if the file has only grown since."""
    if before is None or before.manifest.files["codes"]["file"] != manifest.files["codes"]["file"]:
        return 0
    return len(before.layout.codes)
