"""Token pooling: fewer vectors per document, by merging similar ones (Clavié et al., 2024, arXiv 2409.14683)."""

from __future__ import annotations

from typing import cast

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.pooling.linkage import Linkage, ward_linkage
from engine.pooling.pieces import Pieces, kept_rows, only, pooled_tokens, token_pieces
from engine.pooling.settings import IMPORTANCES, KEEP_ALL, METHODS, Method, PoolSettings, parse_pool, pool_values

__all__ = [
    "IMPORTANCES", "KEEP_ALL", "METHODS", "Linkage", "Method", "Pieces", "PoolSettings", "groups_by", "link",
    "parse_pool", "pool", "pool_by", "pool_groups", "pool_values", "pooled_tokens", "prune", "token_pieces",
]  # fmt: skip


def link(documents: TokenEmbeddings, method: Method = "hierarchical", protected: int = 1) -> Linkage:
    """Find out once which tokens merge in which order; every factor and every budget is then a cut.

    Args:
        documents: n documents.
        method: "hierarchical" (Ward linkage on cosine distance) or "sequential" (runs of neighbours).
        protected: How many first tokens of a document ([CLS], prefix) stay as they are; so do those that the model
            added behind its tokens.

    Returns:
        The linkage, with `.pool(factor)` and `.groups(factor)`, which take `tokens` and `distance` too.

    Raises:
        InputError: an unknown method, a negative `protected`, or a vector that holds NaN or infinity.
    """
    if method not in METHODS:
        raise InputError(f"Unknown pooling method {method!r}: choose among {', '.join(METHODS)}.")
    if protected < 0:
        raise InputError(f"Expected 0 or more protected tokens, got {protected}: 1 protects the first.")
    return ward_linkage(documents, protected) if method == "hierarchical" else Linkage(documents, protected)


def pool(
    documents: TokenEmbeddings,
    factor: float | None = None,
    method: Method = "hierarchical",
    protected: int = 1,
    normalize: bool = True,
    *,
    tokens: int | None = None,
    distance: float | None = None,
    importance: float | None = None,
    once: bool = False,
    pieces: Pieces | None = None,
) -> TokenEmbeddings:
    """Keep fewer vectors: about 1 / factor of them, or what a budget allows.

    Args:
        documents: n documents.
        factor: Tokens per remaining token, 1 or more, fractions allowed; 1 keeps all; infinity merges all into one.
            None is 2 where no budget is given, and 1 beside one.
        method: "hierarchical" (Ward linkage on cosine distance; in documents of more than 4,096 tokens within runs of
            up to as many, see `engine.pooling.linkage.ward_linkage`) or "sequential" (runs of neighbours).
        protected: How many first tokens of a document ([CLS], prefix) stay as they are; so do those that the model
            added behind its tokens.
        normalize: Scale the merged vectors to length 1; False leaves the plain means.
        tokens: Vectors of a document at most; see `PoolSettings`.
        distance: How far apart clusters may be that merge; see `PoolSettings`.
        importance: Share of the tokens that stay, the most important first; see `PoolSettings`.
        once: Whether each word piece of a document stays once.
        pieces: Of all tokens, from `token_pieces`; an importance, or `once`, needs them.

    Returns:
        n documents; by a factor alone each with `protected + max((tokens - protected) // factor, 1)` tokens or fewer.

    Raises:
        InputError: a factor below 1, a budget that cannot be, an unknown method, a negative `protected`, missing
            pieces, or a vector that is not finite.
    """
    if factor is None:
        factor = 2.0 if tokens is None and distance is None and importance is None and not once else 1.0
    settings = PoolSettings(factor, tokens, distance, importance, once=once, method=method, protected=protected)
    return pool_by(documents, settings, pieces, normalize)


def pool_by(
    documents: TokenEmbeddings, settings: PoolSettings, pieces: Pieces | None = None, normalize: bool = True
) -> TokenEmbeddings:
    """Keep fewer vectors, as settings say.

    Args:
        documents: n documents.
        settings: What to keep.
        pieces: See `pool`.
        normalize: See `pool`.

    Returns:
        n documents.

    Raises:
        InputError: missing pieces, no room for the vectors that the model adds, or a vector that is not finite.
    """
    left = prune(documents, settings, pieces)[0]
    return _linked(left, settings).pool(settings.factor, normalize, settings.tokens, settings.distance)


def pool_groups(
    documents: TokenEmbeddings, factor: float, method: Method = "hierarchical", protected: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Which tokens are merged with which at a factor.

    Args:
        documents: n documents.
        factor: See `pool`.
        method: See `pool`.
        protected: See `pool`.

    Returns:
        See `groups_by`.

    Raises:
        InputError: a factor below 1, an unknown method, a negative `protected`, or a vector that is not finite.
    """
    return groups_by(documents, PoolSettings(factor, method=method, protected=protected))


def groups_by(
    documents: TokenEmbeddings, settings: PoolSettings, pieces: Pieces | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Which tokens are merged with which, and which are dropped.

    Args:
        documents: n documents.
        settings: What to keep.
        pieces: See `pool`.

    Returns:
        int64 [total tokens], the row of the pooled embeddings that each token went into (rows in the order of their
        first token), -1 for one that was dropped; and int64 [n + 1], the offsets of the pooled embeddings.

    Raises:
        InputError: see `pool_by`.
    """
    left, rows = prune(documents, settings, pieces)
    groups, offsets = _linked(left, settings).groups(settings.factor, settings.tokens, settings.distance)
    whole = np.full(documents.n_tokens, -1, np.int64)
    whole[rows] = groups
    return whole, offsets


def prune(
    documents: TokenEmbeddings, settings: PoolSettings, pieces: Pieces | None = None
) -> tuple[TokenEmbeddings, np.ndarray]:
    """Drop the tokens that settings drop, before anything merges.

    Args:
        documents: n documents.
        settings: What to keep.
        pieces: See `pool`.

    Returns:
        The documents with what is left, and int64, the rows of theirs that stayed.

    Raises:
        InputError: missing pieces, or those of other tokens.
    """
    settings.check_added(documents.added)
    if not settings.drops:
        return documents, np.arange(documents.n_tokens)
    if pieces is None:
        raise InputError(f"Expected the pieces of all tokens to pool by {settings}, got none: take `token_pieces`.")
    rows = kept_rows(documents, settings, pieces)
    return only(documents, rows), rows


def _linked(documents: TokenEmbeddings, settings: PoolSettings) -> Linkage:
    """The linkage that settings need: none where nothing merges."""
    method = settings.method if settings.merges else "sequential"
    return link(documents, cast(Method, method), settings.protected)
