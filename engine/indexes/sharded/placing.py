"""Which shard a document goes to: its vectors alone decide, so that equal documents meet the same codec and tie."""

from __future__ import annotations

import zlib

import numpy as np

from engine.embeddings import TokenEmbeddings


def shards_of(documents: TokenEmbeddings, shards: int) -> np.ndarray:
    """The shard of each document: a checksum of its vectors, rounded to float16 whatever they come in.

    Args:
        documents: n documents.
        shards: How many there are.

    Returns:
        int32 [n], 0 to shards - 1; as many documents in each as chance has it.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what float16 cannot hold is refused by who stores it
        marks = [zlib.crc32(np.ascontiguousarray(item, np.dtype("<f2")).data) for item in documents]
    return (np.array(marks, np.int64) % shards).astype(np.int32)
