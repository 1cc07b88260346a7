"""Changes of a PLAID index: each writes what is new and commits a generation; nothing that is there is touched.

Documents live in slots, in the order in which they came. Arrays over slots and tokens are growing files, so an add
costs what is added, and a removal only writes which slots are left. While an index is small, the vectors as they came
are kept beside it, and centroids and quantiser are trained anew each time that it has doubled; later, documents that
lie far from all centroids bring new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine import storage
from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.indexes.plaid import inverted, kmeans
from engine.indexes.plaid.assign import nearest
from engine.indexes.plaid.codec import Codec, fit
from engine.indexes.plaid.search import Layout
from engine.indexes.plaid.settings import TOKENS_PER_CENTROID, PlaidSettings, wanted_centroids

ORIGINALS_LIMIT = 1 << 16  # tokens up to which the vectors are kept as they came
CHUNK_TOKENS = 1 << 16  # tokens that a build holds at once, without a memory limit
FAR = 2.0  # times the mean squared distance of the training sample: beyond it, a token asks for a new centroid
RELIST = 0.25  # share of the tokens that may be outside the stored inverted lists
LARGEST = 60_000.0  # centroids are stored in float16

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Written:
    """The files and the part of the record that a change replaces.

    Args:
        files: Name -> entry of a growing file.
        arrays: Name -> array to write anew.
        record: Values for the record.
    """

    files: dict[str, dict[str, Any]]
    arrays: dict[str, np.ndarray]
    record: dict[str, Any]


def check_range(values: np.ndarray) -> None:
    """Raise InputError for vectors that float16 centroids cannot stand for."""
    if len(values) and max(float(values.max()), -float(values.min())) > LARGEST:
        raise InputError(f"Expected values within {LARGEST:.0f} of 0, got larger ones: normalise the vectors.")


def train(documents: TokenEmbeddings, settings: PlaidSettings) -> tuple[Codec, float]:
    """Train centroids and quantiser on a seeded sample of tokens.

    Returns:
        The codec, and the mean squared distance of the sample to its centroids.
    """
    n_centroids = wanted_centroids(settings, documents.n_tokens)
    n_sample = min(documents.n_tokens, kmeans.SAMPLE_PER_CENTROID * n_centroids)
    rng = np.random.default_rng(settings.seed)
    chosen = np.sort(rng.choice(documents.n_tokens, n_sample, replace=False))
    sample = documents.values[chosen].astype(np.float32)
    centroids = kmeans.train(sample, n_centroids, settings.iterations, settings.seed)
    codes, distances = nearest(sample, centroids)
    return fit(sample, codes, centroids, settings.bits), float(distances.mean(dtype=np.float64))


def build(
    folder: Path, documents: TokenEmbeddings, settings: PlaidSettings, progress: Progress | None = None
) -> Written:
    """Write all files of an index anew, from the vectors as they came."""
    generation = storage.next_generation(folder)
    codec, spread = train(documents, settings)
    entries = {
        "codes": storage.grow_entry("codes", generation, codec.code_dtype),
        "residuals": storage.grow_entry("residuals", generation, "u1", (codec.row_bytes,)),
        "ends": storage.grow_entry("ends", generation, "<i8"),
        "slots": storage.grow_entry("slots", generation, "<i4"),
    }
    if documents.n_tokens < ORIGINALS_LIMIT:
        entries["originals"] = storage.grow_entry("originals", generation, "<f2", (documents.dim,))
    files, codes = _append(folder, entries, documents, codec, 0, 0, settings, progress)
    lists = inverted.build(codes, documents.offsets, 0, len(codec.centroids))
    arrays = {**_codec_arrays(codec), "list_offsets": lists.offsets, "list_documents": lists.documents}
    record = {"listed": len(documents), "trained": documents.n_tokens, "spread": spread}
    return Written(files, arrays, record)


def extend(
    folder: Path,
    manifest: storage.Manifest,
    layout: Layout,
    documents: TokenEmbeddings,
    settings: PlaidSettings,
    progress: Progress | None = None,
) -> Written:
    """Append documents to an index that has some."""
    record = manifest.record
    codec = _with_new_centroids(layout.codec, documents, record, settings)
    arrays = _codec_arrays(codec) if codec is not layout.codec else {}
    growing = ("codes", "residuals", "ends", "slots", "originals")
    entries = {name: manifest.files[name] for name in growing if name in manifest.files}
    if np.dtype(entries["codes"]["dtype"]) != codec.code_dtype:  # more centroids than 16 bits can number
        entry = storage.grow_entry("codes", storage.next_generation(folder), codec.code_dtype)
        entries["codes"] = storage.append_rows(folder, entry, layout.codes.astype(codec.code_dtype))
    first, start = len(layout.alive), int(layout.offsets[-1])
    files, codes = _append(folder, entries, documents, codec, first, start, settings, progress)
    listed, ends = record["listed"], np.concatenate([layout.offsets, start + documents.offsets[1:]])
    if ends[-1] - ends[listed] > RELIST * ends[-1]:
        every = np.concatenate([layout.codes.astype(codec.code_dtype), codes])
        lists = inverted.build(every, ends, 0, len(codec.centroids))
        arrays |= {"list_offsets": lists.offsets, "list_documents": lists.documents}
        listed = len(ends) - 1
    return Written(files, arrays, {"listed": listed})


def compacted(folder: Path, layout: Layout, originals: np.ndarray | None) -> Written:
    """Write the living documents anew, without the room of those removed; `originals` are those of `layout`."""
    generation, codec = storage.next_generation(folder), layout.codec
    alive = np.flatnonzero(layout.alive)
    lengths = layout.offsets[alive + 1] - layout.offsets[alive]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    codes = np.empty(offsets[-1], codec.code_dtype)
    entry = storage.grow_entry("residuals", generation, "u1", (codec.row_bytes,))
    files: dict[str, dict[str, Any]] = {}
    if originals is not None:
        files["originals"] = storage.grow_entry("originals", generation, "<f2", (codec.dim,))
    step = max(1, CHUNK_TOKENS * len(alive) // max(int(offsets[-1]), 1))
    for first in range(0, len(alive), step):
        last = min(len(alive), first + step)
        shift = np.repeat(layout.offsets[alive[first:last]] - offsets[first:last], lengths[first:last])
        rows = shift + np.arange(offsets[first], offsets[last])
        codes[offsets[first] : offsets[last]] = layout.codes[rows]
        entry = storage.append_rows(folder, entry, layout.packed[rows])
        if originals is not None:
            files["originals"] = storage.append_rows(folder, files["originals"], originals[rows])
    files["residuals"] = entry
    for name, array in (("codes", codes), ("ends", offsets[1:]), ("slots", np.arange(len(alive), dtype=np.int32))):
        files[name] = storage.append_rows(folder, storage.grow_entry(name, generation, array.dtype), array)
    lists = inverted.build(codes, offsets, 0, len(codec.centroids))
    arrays = {"list_offsets": lists.offsets, "list_documents": lists.documents}
    return Written(files, arrays, {"listed": len(alive)})


def remaining(folder: Path, slots: np.ndarray) -> dict[str, Any]:
    """Write which slots are left, and return the entry of the file."""
    entry = storage.grow_entry("slots", storage.next_generation(folder), "<i4")
    return storage.append_rows(folder, entry, slots.astype(np.int32))


def _codec_arrays(codec: Codec) -> dict[str, np.ndarray]:
    return {"centroids": codec.centroids.astype(np.float16), "quantiser": np.stack([codec.lower, codec.step])}


def _append(
    folder: Path,
    entries: Mapping[str, dict[str, Any]],
    documents: TokenEmbeddings,
    codec: Codec,
    first_slot: int,
    first_token: int,
    settings: PlaidSettings,
    progress: Progress | None,
) -> tuple[dict[str, dict[str, Any]], np.ndarray]:
    """Encode documents chunk by chunk into growing files; returns their entries and the codes of all tokens."""
    files, n = dict(entries), documents.n_tokens
    codes = np.empty(n, codec.code_dtype)
    per_token = 4 * (3 * documents.dim + 8)
    chunk = CHUNK_TOKENS
    if settings.memory_limit:
        chunk = min(chunk, max(1024, settings.memory_limit // (4 * per_token)))
    for start in range(0, n, chunk):
        values = documents.values[start : start + chunk]
        rows = slice(start, start + len(values))
        codes[rows] = nearest(values, codec.centroids)[0]
        files["residuals"] = storage.append_rows(folder, files["residuals"], codec.encode(values, codes[rows]))
        if "originals" in files:
            files["originals"] = storage.append_rows(folder, files["originals"], values.astype(np.float16))
        if progress is not None:
            progress("encode", rows.stop, n)
    files["codes"] = storage.append_rows(folder, files["codes"], codes)
    files["ends"] = storage.append_rows(folder, files["ends"], first_token + documents.offsets[1:])
    slots = np.arange(first_slot, first_slot + len(documents), dtype=np.int32)
    files["slots"] = storage.append_rows(folder, files["slots"], slots)
    return files, codes


def _with_new_centroids(
    codec: Codec, documents: TokenEmbeddings, record: Mapping[str, Any], settings: PlaidSettings
) -> Codec:
    """The codec with centroids for the tokens that lie far from those it has, or the codec itself."""
    far = []
    for start in range(0, documents.n_tokens, CHUNK_TOKENS):
        values = documents.values[start : start + CHUNK_TOKENS]
        far.append(values[nearest(values, codec.centroids)[1] > FAR * record["spread"]])
    tokens = np.concatenate(far).astype(np.float32)
    share = max(TOKENS_PER_CENTROID, record["trained"] // len(codec.centroids))  # as many as the others stand for
    n_new = min(len(tokens) // share, wanted_centroids(settings, len(tokens)))
    if n_new == 0:
        return codec
    new = kmeans.train(tokens, n_new, settings.iterations, settings.seed)
    return Codec(codec.bits, np.concatenate([codec.centroids, new]), codec.lower, codec.step)
