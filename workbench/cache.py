"""Embeddings and indexes kept for next time, under the hash of everything that they depend on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine import Encoder, TokenEmbeddings
from engine.encoder import Progress, Task
from engine.errors import BusyError, CorruptDataError, NotFoundError
from engine.indexes import Index, create_index, index_class, open_index
from workbench.paths import data_folder


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
    encode = encoder.encode_query if task == "query" else encoder.encode_document
    embeddings = encode(texts, progress=progress).astype(dtype)
    try:
        embeddings.save(folder)
    except BusyError:
        return embeddings  # another process is keeping the same embeddings right now
    return TokenEmbeddings.open(folder)


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
