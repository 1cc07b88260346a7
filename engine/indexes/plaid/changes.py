"""Changes of a PLAID index: each writes what is new and commits a generation; nothing that is there is touched.

Documents live in slots, in the order in which they came. Arrays over slots and tokens are growing files, so an add
costs what is added, and a removal only writes which slots are left. While an index is small, the vectors as they came
are kept beside it, and centroids and quantiser are trained anew each time that it has doubled; later, documents that
lie far from all centroids bring new ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine import storage
from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.indexes import slots
from engine.indexes.plaid import budget, inverted, kmeans, parts
from engine.indexes.plaid.budget import Meter, Plan
from engine.indexes.plaid.codec import TRAINED, Codec
from engine.indexes.plaid.codecs import codec_class
from engine.indexes.plaid.groups import Groups
from engine.indexes.plaid.search import Layout
from engine.indexes.plaid.settings import TOKENS_PER_CENTROID, PlaidSettings, wanted_centroids

ORIGINALS_LIMIT = 1 << 16  # tokens up to which the vectors are kept as they came
RANGE_BLOCK = 1 << 16  # tokens whose values are checked at once
SAMPLE_BLOCK = 4096  # tokens of the sample read at once
FAR = 2.0  # times the mean squared distance of the training sample: beyond it, a token asks for a new centroid
RELIST = 0.25  # share of the tokens that may be outside the stored inverted lists,
RELIST_AT = 1 << 23  # and how many: lists of those are made whenever the index is opened or changed, 13 ns a token
# Files that a change leaves alone, appends to, or checks when it copies them; ids and slots are written anew each time.
KEPT = frozenset({"codes", "residuals", "ends", "originals", "list_offsets", "list_documents"} | TRAINED)
LARGEST = 60_000.0  # centroids are stored in float16


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
    blocks = (values[start : start + RANGE_BLOCK] for start in range(0, len(values), RANGE_BLOCK))
    if any(_reach(block) > LARGEST for block in blocks):
        raise InputError(f"Expected values within {LARGEST:.0f} of 0, got larger ones: normalise the vectors.")


def _reach(values: np.ndarray) -> float:
    """The largest size of a value."""
    if values.dtype == np.float16:  # without the sign their bits are ordered as they are, and compare ten times faster
        return float((np.ascontiguousarray(values).view(np.uint16) & 0x7FFF).max(initial=0).view(np.float16))
    return max(float(values.max(initial=0)), -float(values.min(initial=0)))


def train(documents: TokenEmbeddings, made: Plan, settings: PlaidSettings, meter: Meter) -> tuple[Codec, float]:
    """Train centroids and quantiser on a seeded sample of tokens.

    Returns:
        The codec, and the mean squared distance of the sample to its centroids.
    """
    if documents.n_tokens == 0:  # the codec is trained when documents with vectors come
        documents = TokenEmbeddings(np.zeros((1, documents.dim), np.float32), np.array([0, 1]))
    chosen = budget.sample_positions(made.tokens, made.sample, settings.seed)
    sample = np.empty((len(chosen), documents.dim), np.float32)
    for start in range(0, len(chosen), SAMPLE_BLOCK):
        sample[start : start + SAMPLE_BLOCK] = documents.values[chosen[start : start + SAMPLE_BLOCK]]

    def step(done: int, total: int) -> None:
        meter.step("k-means", done, total)

    centroids = kmeans.train(sample, made.centroids, settings.iterations, settings.seed, step)
    groups = Groups(centroids, kmeans.group(centroids))
    codes, distances = groups.nearest(sample)
    codec = replace(codec_class(settings.bits).fit(sample, codes, centroids, settings), group=groups.group)
    return codec, float(distances.mean(dtype=np.float64))


def build(
    folder: Path, documents: TokenEmbeddings, made: Plan, settings: PlaidSettings, meter: Meter, processes: int = 1
) -> Written:
    """Write all files of an index anew, from the vectors as they came: one pass over them after the training.

    With several processes each encodes a part; what is written is the same.
    """
    generation = storage.next_generation(folder)
    codec, spread = train(documents, made, settings, meter)
    entries = {
        "codes": storage.grow_entry("codes", generation, codec.code_dtype),
        "residuals": storage.grow_entry("residuals", generation, "u1", (codec.row_size,)),
        "ends": storage.grow_entry("ends", generation, "<i8"),
        "slots": storage.grow_entry("slots", generation, "<i4"),
    }
    if documents.n_tokens < ORIGINALS_LIMIT:
        entries["originals"] = storage.grow_entry("originals", generation, "<f2", (documents.dim,))
    encoded = None
    if processes > 1:
        encoded = parts.encode_in_processes(folder, entries, documents, codec, settings, made.chunk, processes)
        meter.step("encode", documents.n_tokens, documents.n_tokens)
    files, largest = _append(folder, entries, documents, codec, 0, 0, made.chunk, meter, encoded=encoded)
    offsets, files["list_documents"] = _write_lists(folder, files["codes"], documents.offsets, codec, made, meter)
    record = {"listed": len(documents), "trained": documents.n_tokens, "spread": spread, "largest": largest}
    return Written(files, {**codec.arrays(), "list_offsets": offsets}, record)


def extend(
    folder: Path,
    manifest: storage.Manifest,
    layout: Layout,
    documents: TokenEmbeddings,
    made: Plan,
    settings: PlaidSettings,
    meter: Meter,
) -> Written:
    """Append documents to an index that has some."""
    record, arrays = manifest.record, {}
    codec, codes = _assigned(layout.codec, documents, record, made, settings)
    if codec is not layout.codec:
        storage.verify(folder, manifest, TRAINED & manifest.files.keys())
        arrays = codec.arrays()
    growing = ("codes", "residuals", "ends", "slots", "originals")
    entries = {name: manifest.files[name] for name in growing if name in manifest.files}
    if np.dtype(entries["codes"]["dtype"]) != codec.code_dtype:  # more centroids than 16 bits can number
        storage.verify(folder, manifest, ("codes",))
        entry = storage.grow_entry("codes", storage.next_generation(folder), codec.code_dtype)
        entries["codes"] = storage.append_rows(folder, entry, layout.codes.astype(codec.code_dtype))
    first, start = len(layout.alive), int(layout.offsets[-1])
    files, largest = _append(folder, entries, documents, codec, first, start, made.chunk, meter, codes)
    listed, ends = record["listed"], np.concatenate([layout.offsets, start + documents.offsets[1:]])
    if ends[-1] - ends[listed] > min(RELIST * ends[-1], RELIST_AT):
        arrays["list_offsets"], files["list_documents"] = _write_lists(folder, files["codes"], ends, codec, made, meter)
        listed = len(ends) - 1
    return Written(files, arrays, {"listed": listed, "largest": max(largest, codec.farthest)})


def compacted(folder: Path, layout: Layout, alive: np.ndarray, originals: np.ndarray | None) -> Written:
    """Write the documents in the slots `alive` anew, without the room of others; `originals` are those of `layout`."""
    generation, codec = storage.next_generation(folder), layout.codec
    lengths = layout.offsets[alive + 1] - layout.offsets[alive]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    codes = np.empty(offsets[-1], codec.code_dtype)
    entry = storage.grow_entry("residuals", generation, "u1", (codec.row_size,))
    files: dict[str, dict[str, Any]] = {}
    if originals is not None:
        files["originals"] = storage.grow_entry("originals", generation, "<f2", (codec.dim,))
    step = max(1, budget.CHUNK_TOKENS * len(alive) // max(int(offsets[-1]), 1))
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
    entry = storage.grow_entry("list_documents", generation, "<i4")
    files["list_documents"] = storage.append_rows(folder, entry, lists.documents)
    return Written(files, {"list_offsets": lists.offsets}, {"listed": len(alive)})


def _write_lists(
    folder: Path, codes: Mapping[str, Any], offsets: np.ndarray, codec: Codec, made: Plan, meter: Meter
) -> tuple[np.ndarray, dict[str, Any]]:
    """Write the inverted lists of all documents piece by piece; returns their offsets and the entry of the file."""
    entry = storage.grow_entry("list_documents", storage.next_generation(folder), "<i4")
    mapped = storage.open_rows(folder, codes)
    starts = inverted.list_offsets(mapped, offsets, 0, len(codec.centroids))
    done, total = 0, int(starts[-1])
    for piece in inverted.pieces(mapped, offsets, 0, starts, made.list_entries):
        entry, done = storage.append_rows(folder, entry, piece), done + len(piece)
        meter.step("inverted lists", done, total)
    return starts, entry


def _append(
    folder: Path,
    entries: Mapping[str, dict[str, Any]],
    documents: TokenEmbeddings,
    codec: Codec,
    first_slot: int,
    first_token: int,
    chunk: int,
    meter: Meter,
    known: np.ndarray | None = None,
    encoded: tuple[dict[str, dict[str, Any]], float] | None = None,
) -> tuple[dict[str, dict[str, Any]], float]:
    """Encode documents chunk by chunk into growing files.

    `known` are the codes, when they are; `encoded` is what this returns, when all is written but documents and slots.

    Returns:
        The entries, and the largest distance of the codes of a token from their middle.
    """
    n = documents.n_tokens
    files, largest = encoded or (dict(entries), 0.0)
    for start in range(0, 0 if encoded else max(n, 1), chunk):
        values = documents.values[start : start + chunk]
        codes = codec.groups.nearest(values)[0] if known is None else known[start : start + chunk]
        files, distance = parts.appended(folder, files, values, codec, codes)
        largest = max(largest, distance)
        meter.step("encode", start + len(values), n)
    files["ends"] = storage.append_rows(folder, files["ends"], first_token + documents.offsets[1:])
    files["slots"] = slots.append(folder, files["slots"], first_slot, len(documents))
    return files, largest


def _assigned(
    codec: Codec, documents: TokenEmbeddings, record: Mapping[str, Any], made: Plan, settings: PlaidSettings
) -> tuple[Codec, np.ndarray]:
    """The codec, with new centroids for tokens that lie far from those it has, and the codes of all tokens, uint32."""
    n = documents.n_tokens
    codes, distances = np.empty(n, np.uint32), np.empty(n, np.float32)
    for start in range(0, n, made.chunk):
        rows = slice(start, start + made.chunk)
        codes[rows], distances[rows] = codec.groups.nearest(documents.values[rows])
    far = np.flatnonzero(distances > FAR * record["spread"])
    share = max(TOKENS_PER_CENTROID, record["trained"] // len(codec.centroids))  # as many as the others stand for
    n_new = min(len(far) // share, wanted_centroids(settings, len(far)))
    if n_new == 0:
        return codec, codes
    most = max(n_new, min(len(far), budget.SAMPLE_PER_CENTROID * n_new, made.sample))
    tokens = documents.values[far[budget.sample_positions(len(far), most, settings.seed)]].astype(np.float32)
    new = kmeans.train(tokens, n_new, settings.iterations, settings.seed)
    groups = Groups(new, kmeans.group(new))
    for start in range(0, n, made.chunk):
        rows = slice(start, start + made.chunk)
        found, nearer = groups.nearest(documents.values[rows])
        codes[rows] = np.where(nearer < distances[rows], found + len(codec.centroids), codes[rows])
    return codec.with_centroids(new), codes
