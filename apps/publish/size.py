"""How large a site would be, whether a browser can take it, and what would make it fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine import Encoder
from engine.errors import InputError
from engine.pooling.settings import KEEP_ALL, PoolSettings

MOST_MEMORY = 1 << 30  # bytes of codes, which a browser holds in one piece
MOST_BYTES = 250_000_000  # of a site's vectors, which every reader fetches
SAMPLE = 200  # documents that the number of tokens is estimated from
FACTORS, COARSER = (2, 4, 8, 16), (6, 4, 3, 2)
ENTROPY = 1.1  # bits that a coordinate takes less than the grid has: measured on the embedded collection


def estimate_tokens(encoder: Encoder, texts: Sequence[str], pooling: PoolSettings = KEEP_ALL) -> int | None:
    """About how many vectors documents will have, from some of them, evenly spread; None where only pooling tells."""
    if pooling.once or pooling.distance is not None:
        return None
    chosen = np.unique(np.linspace(0, len(texts) - 1, min(SAMPLE, len(texts))).astype(int)).tolist() if texts else []
    some = [str(texts[i]) for i in chosen]
    share, most = (pooling.importance or 1) / pooling.factor, pooling.tokens or math.inf
    found = [min(len(encoder.tokens(text, "document")) * share, most) for text in some if text.strip()]
    return round(len(texts) * (sum(found) / len(found))) if found else 0


def fetched(tokens: float, dim: int, bits: int) -> float:
    """Bytes of packed vectors, about."""
    return tokens * dim * max(bits - ENTROPY, 0.7) / 8


def check_size(tokens: int, dim: int, bits: int, dims: Sequence[int], pooling: PoolSettings = KEEP_ALL) -> None:
    """Refuse a collection that no browser can take.

    Args:
        tokens: Vectors, after pooling.
        dim: Their dimension.
        bits: Of a coordinate.
        dims: Dimensions that the model was trained for.
        pooling: Of these vectors.

    Raises:
        InputError: too large; the sentence says how large, and what would fit.
    """

    def fits(tokens: float, dim: int, bits: int) -> bool:
        return fetched(tokens, dim, bits) <= MOST_BYTES and 2 * tokens * dim <= MOST_MEMORY

    if fits(tokens, dim, bits):
        return
    further = () if pooling.distance is not None else FACTORS  # which a distance would hold back
    fewer = {f: f"--pool {replace(pooling, factor=pooling.factor * f)}" for f in further}
    ways = [way for f, way in fewer.items() if fits(tokens / f, dim, bits)][:1]
    ways += [f"--dim {d}" for d in sorted(dims, reverse=True) if d < dim and fits(tokens, d, bits)][:1]
    ways += [f"--bits {b}" for b in COARSER if b < bits and fits(tokens, dim, b)][:1]
    if not ways:
        smallest = min([d for d in dims if d < dim] or [dim])
        joint = next((way for f, way in fewer.items() if fits(tokens / f, smallest, min(bits, 4))), None)
        if joint:
            ways = [f"{joint} --dim {smallest} --bits {min(bits, 4)} together"]
    most = math.floor(MOST_BYTES / max(fetched(1, dim, bits), 1e-9) / 1000) * 1000
    help_ = f"{' or '.join(ways)} would fit." if ways else f"publish fewer documents, at most {most:,} vectors."
    raise InputError(
        f"This site would hold {fetched(tokens, dim, bits) / 1e6:,.0f} MB of vectors ({tokens:,} of {dim} dimensions "
        f"in {bits} bits), {2 * tokens * dim / 1e6:,.0f} MB in a browser's memory, more than the "
        f"{MOST_BYTES / 1e6:,.0f} MB and {MOST_MEMORY / 1e6:,.0f} MB that a browser takes: {help_}"
    )
