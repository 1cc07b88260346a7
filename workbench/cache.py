"""Embeddings and indexes kept for next time, under the hash of everything that they depend on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from filelock import FileLock

from engine import Encoder, TokenEmbeddings, pool
from engine.encoder import Progress, Task
from engine.errors import BusyError, CorruptDataError, NotFoundError
from engine.indexes import Index, create_index, index_class, open_index
from engine.pooling import Method
from workbench.paths import data_folder

BLOCK_TEXTS = 2048


def content_key(*parts: object) -> str:
    """Hash of JSON values and strings, 20 hex digits."""
    digest = hashlib.blake2b(digest_size=10)
    for part in parts:
        text = part if isinstance(part, str) else json.dumps(part, sort_keys=True, default=str)
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def embeddings_folder(encoder: Encoder, texts: Sequence[str], task: Task, dtype: str) -> Path:
    """Where the embeddings of these texts are kept."""
    key = content_key(encoder.fingerprint, encoder.dtype, task, dtype, *texts)
    return data_folder("cache", "embeddings") / key


def cached_embeddings(
    encoder: Encoder, texts: Sequence[str], task: Task, progress: Progress | None = None, dtype: str = "float16"
) -> TokenEmbeddings:
    """Encode texts, or open what was kept from the last time.

    Args:
        encoder: The model.
        texts: n texts, none empty.
        task: "query" or "document".
        progress: Called with (texts done, n); not called when nothing is encoded.
        dtype: How vectors are kept, "float16" or "float32".

    Returns:
        n embeddings in `dtype`, memory-mapped.
    """
    folder = embeddings_folder(encoder, texts, task, dtype)
    try:
        return TokenEmbeddings.open(folder)
    except NotFoundError:
        pass
    except CorruptDataError:
        shutil.rmtree(folder)  # a cache: what is damaged is made again
    embeddings = _encode_in_blocks(encoder, texts, task, progress, dtype, folder)
    try:
        embeddings.save(folder)
    except BusyError:
        return embeddings  # another process is keeping the same embeddings right now
    shutil.rmtree(_blocks_folder(folder), ignore_errors=True)
    return TokenEmbeddings.open(folder)


def _blocks_folder(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.blocks")


def _encode_in_blocks(
    encoder: Encoder, texts: Sequence[str], task: Task, progress: Progress | None, dtype: str, folder: Path
) -> TokenEmbeddings:
    """Encode, keeping each finished block, so that an interrupted encoding goes on where it stopped."""
    encode = encoder.encode_query if task == "query" else encoder.encode_document
    blocks = []
    for start in range(0, len(texts), BLOCK_TEXTS):
        kept = _blocks_folder(folder) / f"{start:08d}"
        try:
            blocks.append(TokenEmbeddings.open(kept))
            continue
        except NotFoundError:
            pass
        except CorruptDataError:
            shutil.rmtree(kept)

        def report(done: int, total: int, start: int = start) -> None:
            if progress is not None:
                progress(start + done, len(texts))

        block = encode(texts[start : start + BLOCK_TEXTS], progress=report).astype(dtype)
        if len(texts) > BLOCK_TEXTS:
            with contextlib.suppress(BusyError):
                block.save(kept)
        blocks.append(block)
    if len(blocks) == 1:
        return blocks[0]
    joined = TokenEmbeddings.from_list([array for block in blocks for array in block], encoder.fingerprint, encoder.dim)
    truncated = sum(block.truncated for block in blocks)
    return TokenEmbeddings(joined.values, joined.offsets, encoder.fingerprint, truncated).astype(dtype)


def cached_pooled(
    documents: TokenEmbeddings, source: str, factor: float, method: str = "hierarchical", protected: int = 1
) -> tuple[TokenEmbeddings, bool]:
    """Pool documents, or open what was kept from the last time.

    Args:
        documents: n documents.
        source: Key of their embeddings: the name of their `embeddings_folder`.
        factor: See `pool`.
        method: See `pool`.
        protected: See `pool`.

    Returns:
        The pooled documents, and whether they were opened rather than computed; factor 1 returns the documents.
    """
    if factor == 1:
        return documents, False
    folder = data_folder("cache", "pooled") / content_key(source, method, f"{float(factor)!r}", protected)
    try:
        return TokenEmbeddings.open(folder), True
    except NotFoundError:
        pass
    except CorruptDataError:
        shutil.rmtree(folder)
    pooled = pool(documents, factor, method=cast(Method, method), protected=protected)
    try:
        pooled.save(folder)
    except BusyError:
        return pooled, False
    return TokenEmbeddings.open(folder), False


def cached_index(kind: str, ids: Sequence[str], documents: TokenEmbeddings, **settings: Any) -> tuple[Index, bool]:
    """Build an index, or open the one kept from the last time.

    Args:
        kind: A kind of index.
        ids: n ids.
        documents: n documents.
        settings: Settings of the kind.

    Returns:
        The index, and whether it was opened rather than built.
    """
    parsed = index_class(kind).parse_settings(settings)
    values = hashlib.blake2b(np.ascontiguousarray(documents.values).data, digest_size=10).hexdigest()
    key = content_key(kind, str(parsed), documents.fingerprint or "", documents.lengths.tolist(), values, *ids)
    folder = data_folder("cache", "indexes") / f"{kind}-{key}"
    with FileLock(f"{folder}.lock"):  # a second process waits for the first one's index instead of building its own
        try:
            index = open_index(folder)
            if len(index) == len(ids):
                return index, True
        except (NotFoundError, CorruptDataError):
            pass
        if folder.exists():
            shutil.rmtree(folder)  # an interrupted build
        index = create_index(kind, folder, **settings)
        index.add(list(ids), documents)
    return index, False
