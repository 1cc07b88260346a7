"""The files of one generation of a PLAID index, opened and checked as far as the compiled loops need it."""

from __future__ import annotations

from pathlib import Path

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


def read(
    folder: Path, manifest: storage.Manifest, settings: PlaidSettings, documents: int
) -> tuple[Layout, np.ndarray]:
    """Open an index that has documents.

    Args:
        folder: The index.
        manifest: The generation.
        settings: Settings of the index.
        documents: How many there are.

    Returns:
        What a search reads, and the slot of each document, int64 [documents], rising.

    Raises:
        CorruptDataError: an array is missing, or they do not fit together; the kernels index without bounds checks.
    """

    def array(name: str, mmap: bool = True) -> np.ndarray:
        return np.asarray(storage.open_array(folder, manifest, name, mmap))

    if "steps" not in manifest.files:
        raise CorruptDataError(f"{folder} is of an earlier version with another codec: build it again.")
    record = manifest.record
    arrays = {name: array(name, False) for name in TRAINED & manifest.files.keys()}
    codec = codec_class(settings.bits).load(arrays, settings, record.get("largest", np.inf))
    offsets = np.concatenate([[0], array("ends", False)])
    codes, packed = array("codes"), array("residuals")
    base = Lists(array("list_offsets", False), array("list_documents"))
    if not selftest.fit_together(codec, offsets, codes, packed, base):
        raise CorruptDataError(f"{folder} holds arrays that do not fit together: restore it or build it again.")
    listed, lists = record["listed"], (base,)
    if listed < len(offsets) - 1:
        lists = (base, inverted.build(codes, offsets, listed, len(codec.centroids)))
    found = slots.read(folder, manifest, documents, len(offsets) - 1)
    alive = np.zeros(len(offsets) - 1, np.uint8)
    alive[found] = np.diff(offsets)[found] > 0
    return Layout(codec, offsets, codes, packed, lists, alive), found
