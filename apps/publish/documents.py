"""The documents of a site: texts, which characters each vector stands for, and the vectors as codes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from apps.publish.codec import GradedCodes, differences, pack, usual
from engine import Collection, TokenEmbeddings
from engine.tokens import Token

KINDS = ("text", "special", "prefix", "expansion", "whole", "merged")
LOW = 14  # bits of the lower part of a number that may be large
Files = dict[str, bytes]


@dataclass(frozen=True)
class SiteDocuments:
    """Documents as files.

    Args:
        files: Name -> content.
        about: For the browser: how many there are, and how to read them.
    """

    files: Files
    about: dict[str, Any]


def site_documents(
    collection: Collection, documents: TokenEmbeddings, tokens: Callable[[int], Sequence[Token]], bits: int,
    vocabulary: Sequence[str], progress: Callable[[int, int], None],
) -> SiteDocuments:  # fmt: skip
    """Pack documents, ordered by id, so that equal scores go by the order alone.

    Args:
        collection: n documents.
        documents: Their vectors, in the order of the collection.
        tokens: The tokens behind the vectors of the document at a position.
        bits: See `Codes.of`.
        vocabulary: Names of token ids; a token with another name gets a new id.
        progress: Called with (documents done, n).

    Returns:
        The files.
    """
    names = list(collection.documents)
    order = sorted(range(len(names)), key=lambda position: names[position])
    chosen = documents.select(np.asarray(order, np.int64))
    ids = {name: number for number, name in enumerate(vocabulary)}
    parts, counts, kinds = _parts(collection, names, order, tokens, ids, progress)
    whole = parts[:, -1][np.cumsum(counts) - counts] == KINDS.index("whole")
    codes = GradedCodes.of(chosen.values, bits, whole)
    often, means = usual(codes.values, kinds)
    place = {names[position]: number for number, position in enumerate(order)}
    texts = {
        "ids": [names[position] for position in order],
        "titles": [collection.titles.get(names[position], "") for position in order],
        "texts": [collection.documents[names[position]] for position in order],
        "questions": [
            {"text": text, "grades": {place[name]: grade for name, grade in collection.qrels.get(query, {}).items()
                                      if name in place}}
            for query, text in collection.queries.items()
        ],
        "extra": list(ids)[len(vocabulary) :],
    }  # fmt: skip
    files = {
        "documents/texts.json.gz": gzip.compress(json.dumps(texts, ensure_ascii=False).encode(), 9, mtime=0),
        "documents/lengths.bin.gz": pack(_wide(chosen.lengths)), "documents/counts.bin.gz": pack(_wide(counts)),
        "documents/tokens.bin.gz": pack(parts), "documents/often.bin.gz": pack(_wide(often)),
        "documents/usual.bin.gz": pack(means),
        "documents/vectors.bin.gz": pack(differences(codes.values, kinds, often, means)),
    }  # fmt: skip
    longest = float(np.sqrt((codes.whole.astype(np.float64) ** 2).sum(axis=1)).max(initial=0.0))
    about = {
        "documents": len(order), "tokens": chosen.n_tokens, "parts": len(parts), "often": len(often),
        "dim": chosen.dim, "step": codes.unit, "finer": codes.finer, "bits": bits, "longest": longest,
        "kinds": list(KINDS), "low": LOW,
    }  # fmt: skip
    return SiteDocuments(files, about)


def _parts(
    collection: Collection, names: list[str], order: list[int], tokens: Callable[[int], Sequence[Token]],
    ids: dict[str, int], progress: Callable[[int, int], None],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """int32 [parts, 6] of all tokens, int64 [vectors] the parts of each, int64 [vectors] the id of the first part."""
    rows: list[tuple[int, int, int, int]] = []
    counts: list[int] = []
    kinds: list[int] = []
    for done, position in enumerate(order, start=1):
        units = utf16(collection.documents[names[position]])
        before = 0
        for token in tokens(position):
            single = token.parts or (token,)
            counts.append(len(single))
            kinds.append(ids.setdefault(single[0].text, len(ids)))
            for part in single:
                start, end = (units(part.start), units(part.end)) if part.start >= 0 else (-1, -1)
                number = ids.setdefault(part.text, len(ids))
                rows.append((number, start - before, end - start, KINDS.index(part.kind)))
                before = end
        progress(done, len(order))
    table = np.asarray(rows, np.int64).reshape(-1, 4)
    wide = np.concatenate([_wide(table[:, 0]), _wide(table[:, 1]), table[:, 2:]], axis=1)
    return wide.astype(np.int32), np.asarray(counts, np.int64), np.asarray(kinds, np.int64)


def utf16(text: str) -> Callable[[int], int]:
    """From a position in characters to one in the units of JavaScript's strings."""
    if text.isascii() or max(map(ord, text)) <= 0xFFFF:
        return lambda position: position
    starts = np.cumsum([0] + [1 + (ord(character) > 0xFFFF) for character in text])
    return lambda position: int(starts[position])


def _wide(values: np.ndarray) -> np.ndarray:
    """Numbers of more than 16 bits as two columns: the lower 14 bits and the rest."""
    wide = np.asarray(values, np.int64)
    return np.stack([wide & ((1 << LOW) - 1), wide >> LOW], axis=1).astype(np.int32)
