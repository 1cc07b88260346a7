"""A build that several processes share: each encodes a run of tokens, and the runs are joined to the same bytes.

The codec is trained first, by one process. What a token becomes then depends on the codec and on nothing else, so the
runs can be cut anywhere and encoded in any order, here or on another machine that sees the same folder. Files of parts
have names that no manifest counts: those of a killed build are swept by the next writer, like everything it left.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from engine import storage
from engine.embeddings import TokenEmbeddings
from engine.errors import StorageError
from engine.indexes.plaid.codec import Codec
from engine.indexes.plaid.codecs import codec_class
from engine.indexes.plaid.settings import PlaidSettings
from engine.simd.threads import thread_count

JOINED = 1 << 20  # rows copied at once


def appended(
    folder: Path, files: Mapping[str, dict[str, Any]], values: np.ndarray, codec: Codec, codes: np.ndarray
) -> tuple[dict[str, dict[str, Any]], float]:
    """Append the rows of some tokens to growing files.

    Args:
        folder: Of the files.
        files: Entries of "codes" and "residuals", and of "originals" where the vectors are kept as they came.
        values: [n, dim].
        codec: The codec.
        codes: int [n], the centroid of each.

    Returns:
        The entries, and the largest distance of the codes of a token from their middle.
    """
    rows = {"codes": codes.astype(codec.code_dtype), "residuals": codec.encode(values, codes)}
    if "originals" in files:
        rows["originals"] = values.astype(np.float16)
    new = {name: storage.append_rows(folder, files[name], some) for name, some in rows.items()}
    return {**files, **new}, codec.distance(rows["residuals"])


def encode_in_processes(
    folder: Path,
    entries: Mapping[str, dict[str, Any]],
    documents: TokenEmbeddings,
    codec: Codec,
    settings: PlaidSettings,
    chunk: int,
    processes: int,
) -> tuple[dict[str, dict[str, Any]], float]:
    """Encode documents by several processes at once, each with its share of the threads and chunks of its own.

    Args:
        folder: The index; the writer's lock is held.
        entries: See `appended`; others stay as they are.
        documents: What is encoded; vectors that are mapped from a file are read from there.
        codec: The codec.
        settings: Of the index.
        chunk: Tokens that a process encodes at once.
        processes: How many.

    Returns:
        As `appended`.

    Raises:
        StorageError: a process ended early.
    """
    generation = storage.next_generation(folder)
    plan = folder / f"plan.{generation:06d}.json"
    arrays = folder / f"codec.{generation:06d}.npz"
    np.savez(arrays, **codec.arrays())  # type: ignore[arg-type]
    bounds = np.arange(processes + 1, dtype=np.int64) * documents.n_tokens // processes
    text = {
        "vectors": _on_disk(folder, documents.values, generation),
        "codec": arrays.name,
        "settings": asdict(settings),
        "largest": codec.farthest,
        "entries": {name: entries[name] for name in ("codes", "residuals", "originals") if name in entries},
        "bounds": bounds.tolist(),
        "chunk": chunk,
    }
    plan.write_text(json.dumps(text))
    package = Path(__file__).resolve().parents[3]
    paths = os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    threads = str(max(1, thread_count() // processes))
    environment = {**os.environ, "PYTHONPATH": paths, "WORKBENCH_THREADS": threads}
    command = [sys.executable, "-m", "engine.indexes.plaid.parts", str(plan)]
    running = [subprocess.Popen([*command, str(number)], env=environment) for number in range(processes)]
    try:
        codes = [process.wait() for process in running]
    finally:
        for process in running:
            process.kill()
    if any(codes):
        raise StorageError(
            f"Expected {processes} processes to encode their parts, got exit codes {codes}: see above why, and build "
            "with fewer if memory was short."
        )
    return join(folder, entries, plan, processes)


def _on_disk(folder: Path, values: np.ndarray, generation: int) -> dict[str, Any]:
    """Where another process finds these vectors: in the file that they are mapped from, or in one written for it."""
    mapped = values
    while isinstance(mapped.base, np.ndarray):
        mapped = mapped.base
    if not (isinstance(mapped, np.memmap) and mapped.filename and values.flags.c_contiguous):
        path = folder / f"vectors.{generation:06d}.npy"
        mapped = np.lib.format.open_memmap(path, "w+", values.dtype, values.shape)
        mapped[:] = values
        mapped.flush()
        values = mapped
    start = values.ctypes.data - mapped.ctypes.data + mapped.offset
    return {"file": str(mapped.filename), "offset": start, "shape": list(values.shape), "dtype": values.dtype.str}


def encode_part(plan: Path, number: int) -> None:
    """Encode one part of a plan that `encode_in_processes` wrote.

    Args:
        plan: Its file.
        number: Which part.
    """
    folder, text = plan.parent, json.loads(plan.read_text())
    settings, where = PlaidSettings(**text["settings"]), text["vectors"]
    with np.load(folder / text["codec"]) as arrays:
        codec = codec_class(settings.bits).load(dict(arrays), settings, text["largest"])
    shape, first, last = tuple(where["shape"]), *text["bounds"][number : number + 2]
    values = np.memmap(where["file"], where["dtype"], "r", where["offset"], shape)[first:last]
    entries = {name: {**entry, "file": _part(entry["file"], number)} for name, entry in text["entries"].items()}
    files, largest = dict(entries), 0.0
    for start in range(0, len(values), text["chunk"]):
        some = np.asarray(values[start : start + text["chunk"]])
        files, distance = appended(folder, files, some, codec, codec.groups.nearest(some)[0])
        largest = max(largest, distance)
    done = plan.with_suffix(f".{number}")
    done.write_text(json.dumps({"files": files, "largest": largest}))


def join(
    folder: Path, entries: Mapping[str, dict[str, Any]], plan: Path, parts: int
) -> tuple[dict[str, dict[str, Any]], float]:
    """Append the files of all parts in order, and delete them."""
    files, largest = dict(entries), 0.0
    for number in range(parts):
        done = plan.with_suffix(f".{number}")
        made = json.loads(done.read_text())
        largest = max(largest, made["largest"])
        for name, entry in made["files"].items():
            rows = storage.open_rows(folder, entry)
            for start in range(0, max(len(rows), 1), JOINED):
                files[name] = storage.append_rows(folder, files[name], rows[start : start + JOINED])
            (folder / entry["file"]).unlink()
        done.unlink()
    return files, largest


def _part(file: str, number: int) -> str:
    """The name of a part of a growing file."""
    name, rest = file.split(".", 1)
    return f"{name}_part{number}.{rest}"


if __name__ == "__main__":
    encode_part(Path(sys.argv[1]), int(sys.argv[2]))
