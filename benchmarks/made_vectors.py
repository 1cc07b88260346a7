"""Token vectors drawn around real ones, for sizes that nobody can encode in an afternoon.

A document is four runs of twenty neighbouring tokens from random places of three real collections (cranfield, cisi and
med by the embedded model, 96 dimensions). Each vector is moved by NOISE in a direction in which two random real tokens
differ, and brought to length 1: so tokens have near and far neighbours as real ones do, and no two are the same. What
such a collection cannot show is how well answers are found; recall is against exact MaxSim on the same vectors.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks.data import SMALL, trained_collection
from engine import TokenEmbeddings

DIM, RUNS, NOISE = 96, 4, 0.35
BLOCK = 2000  # documents drawn at once, from a seed of their own


def real() -> tuple[np.ndarray, list[np.ndarray]]:
    """Document tokens float16 [n, DIM], and the questions."""
    parts = [trained_collection(name, DIM) for name in SMALL]
    values = np.concatenate([part.documents.values for part in parts])
    return values, [np.asarray(query, np.float32) for part in parts for query in part.queries]


def drawn(base: np.ndarray, documents: int, tokens: int, block: int) -> np.ndarray:
    """The vectors of some documents, float16 [documents * tokens, DIM]; `block` seeds them."""
    rng, length = np.random.default_rng([7, block]), tokens // RUNS
    starts = rng.integers(0, len(base) - length, documents * RUNS)
    values = base[(starts[:, None] + np.arange(length)).reshape(-1)].astype(np.float32)
    ways = base[rng.integers(0, len(base), len(values))].astype(np.float32)
    ways -= base[rng.integers(0, len(base), len(values))]
    ways *= NOISE / np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-6)
    values += ways
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return values.astype(np.float16)


def collection(folder: Path, documents: int, tokens: int) -> TokenEmbeddings:
    """A made collection, memory-mapped; drawn at the first call.

    Args:
        folder: Where it is kept.
        documents: How many.
        tokens: Of each document, a multiple of RUNS.
    """
    path, done = folder / "values.npy", folder / "drawn.json"
    record = {"documents": documents, "tokens": tokens, "noise": NOISE, "runs": RUNS, "dim": DIM}
    if not done.exists() or json.loads(done.read_text()) != record:
        folder.mkdir(parents=True, exist_ok=True)
        base, _ = real()
        shape = (documents * tokens, DIM)
        values = np.lib.format.open_memmap(path, "w+", np.float16, shape)
        for block, first in enumerate(range(0, documents, BLOCK)):
            some = drawn(base, min(BLOCK, documents - first), tokens, block)
            values[first * tokens : first * tokens + len(some)] = some
        values.flush()
        done.write_text(json.dumps(record))
    return TokenEmbeddings(np.load(path, mmap_mode="r"), np.arange(documents + 1, dtype=np.int64) * tokens)
