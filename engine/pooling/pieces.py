"""Which word piece each vector of a document stands for, how much it matters, and which are dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError, UnsupportedError
from engine.pooling.linkage import free_tokens
from engine.pooling.settings import IMPORTANCES, PoolSettings
from engine.tokens import Token, merged

if TYPE_CHECKING:
    from engine.encoder import Encoder

HOOK = "token_importance"  # method of a module of a model; see `model_importance`


@dataclass(frozen=True, eq=False)
class Pieces:
    """What pooling has to know of the tokens to drop some, beside their vectors.

    Args:
        names: int64 [total tokens], equal for equal word pieces.
        importance: float32 [total tokens], the highest stay first.
    """

    names: np.ndarray
    importance: np.ndarray


def token_pieces(
    encoder: Encoder, texts: Sequence[str], by: str = "rarity", progress: Callable[[int, int], None] | None = None
) -> Pieces:
    """Find the word pieces of documents and how much each matters.

    Args:
        encoder: The model that encodes them.
        texts: n texts.
        by: "rarity" among these texts, or "model": what a module of the model says, see `model_importance`.
        progress: Called with (texts done, n).

    Returns:
        One row a vector of `encoder.encode_document(texts)`.

    Raises:
        InputError: an unknown `by`.
        UnsupportedError: the model says nothing of importance.
    """
    if by not in IMPORTANCES:
        raise InputError(f"Unknown importance {by!r}: choose among {', '.join(IMPORTANCES)}.")
    if by == "model":
        module_of_importance(encoder)
    numbers: dict[tuple[str, str], int] = {}
    found, lengths, told = [], [], []
    for done, text in enumerate(texts, start=1):
        tokens = encoder.tokens(text, "document")
        found += [numbers.setdefault((token.kind, token.text), len(numbers)) for token in tokens]
        lengths.append(len(tokens))
        if by == "model":
            told.append(model_importance(encoder, text))
        if progress is not None and (done % 64 == 0 or done == len(texts)):
            progress(done, len(texts))
    names, offsets = np.array(found, np.int64), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    if by == "rarity":
        return Pieces(names, rarity(names, offsets))
    return Pieces(names, np.concatenate([*told, np.empty(0, np.float32)]))


def rarity(names: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """How rare each piece is among the documents: its inverse document frequency (Robertson and Sparck Jones, 1976).

    Args:
        names: int64 [total tokens], equal for equal pieces.
        offsets: int64 [n + 1], of the documents.

    Returns:
        float32 [total tokens], above 0.
    """
    n = len(offsets) - 1
    owner = np.repeat(np.arange(n), np.diff(offsets))
    known, place = np.unique(names, return_inverse=True)
    pairs = np.unique(place * max(n, 1) + owner)  # each piece of each document once
    documents = np.bincount(pairs // max(n, 1), minlength=len(known))
    return np.log1p((n - documents + 0.5) / (documents + 0.5)).astype(np.float32)[place]


def module_of_importance(encoder: Encoder) -> Any:
    """The module of a model that gives importances of tokens.

    Raises:
        UnsupportedError: there is none.
    """
    model = getattr(encoder, "model", None)
    found = next((module for module in model.children() if hasattr(module, HOOK)), None) if model is not None else None
    if found is None:
        raise UnsupportedError(f"The model {encoder.name!r} says nothing of the importance of tokens: use by=rarity.")
    return found


def model_importance(encoder: Encoder, text: str) -> np.ndarray:
    """What a model says of the importance of a document's tokens.

    A module of the model says it: `token_importance(features)` takes what reaches the module (features of
    sentence-transformers for one text) and returns a tensor [1, positions]; where the module has a true
    `importance_of_ids`, the ids of the tokens are enough, and the modules before it do not run. What the model merged
    counts as its most important part. ColBERTer and token pruning learn such a number with the model (Hofstätter et
    al., 2022, arXiv 2203.13088).

    Args:
        encoder: The model.
        text: The document.

    Returns:
        float32 [vectors]; infinity for vectors that stand for no token of the text.

    Raises:
        UnsupportedError: the model says nothing of importance.
        InputError: a number is not finite.
    """
    import torch

    from engine.merging import run_modules, vector_groups
    from engine.naming import reader

    says, read = module_of_importance(encoder), reader(encoder, "document")
    groups = vector_groups(encoder.model, encoder.preprocess([text], "document"), "document", read)
    features, behind = encoder.preprocess([text], "document"), list(encoder.model.children()).index(says)
    with torch.inference_mode():
        if getattr(says, "importance_of_ids", False):
            features = run_modules(encoder.model, features, "document", last=0)
        elif read is not None:
            features = run_modules(encoder.model, read(features), "document", first=1, last=behind)
        else:
            features = run_modules(encoder.model, features, "document", last=behind)
        values = says.token_importance(features)[0].float().cpu().numpy()
    if not np.isfinite(values).all():
        raise InputError(f"Expected finite importances of tokens, got others from {type(says).__name__}: mend it.")
    return np.array([max(values[group], default=np.inf) for group in groups], np.float32)


def kept_rows(documents: TokenEmbeddings, settings: PoolSettings, pieces: Pieces) -> np.ndarray:
    """The rows that stay where pool settings drop some; protected and added ones always do.

    Args:
        documents: n documents.
        settings: With `once`, or an importance.
        pieces: Of all their tokens.

    Returns:
        int64, rising rows of the documents' values; at least one of each text that has free tokens.

    Raises:
        InputError: the pieces are of other tokens.
    """
    if len(pieces.names) != documents.n_tokens or len(pieces.importance) != documents.n_tokens:
        raise InputError(
            f"Expected the pieces of {documents.n_tokens} tokens, got those of {len(pieces.names)}: take "
            "`token_pieces` of the same texts and the same model."
        )
    if not np.isfinite(np.minimum(pieces.importance, 0)).all() or np.isnan(pieces.importance).any():
        raise InputError("Expected importances that are numbers, got NaN or minus infinity: mend them.")
    owner = np.repeat(np.arange(len(documents)), documents.lengths)
    place = np.arange(documents.n_tokens) - documents.offsets[:-1][owner]
    alone, size = free_tokens(documents, settings.protected)
    free = (place >= alone[owner]) & (place < (alone + size)[owner])
    rows = np.flatnonzero(free)
    if settings.once:
        known, place = np.unique(pieces.names[rows], return_inverse=True)
        rows = rows[np.sort(np.unique(owner[rows] * max(len(known), 1) + place, return_index=True)[1])]
    if settings.importance is not None:
        counts = np.bincount(owner[rows], minlength=len(documents))
        wanted = np.maximum(np.ceil(np.round(settings.importance * counts, 6)), 1)  # .1 of 30 is 3, not a bit more
        order = rows[np.lexsort((rows, -pieces.importance[rows], owner[rows]))]
        rank = np.arange(len(order)) - (np.cumsum(counts) - counts)[owner[order]]
        rows = order[rank < wanted[owner[order]]]
    return np.sort(np.concatenate([np.flatnonzero(~free), rows]))


def only(documents: TokenEmbeddings, rows: np.ndarray) -> TokenEmbeddings:
    """The documents with some of their vectors only.

    Args:
        documents: n documents.
        rows: int64, rising rows of their values.

    Returns:
        n documents.
    """
    offsets = np.searchsorted(rows, documents.offsets).astype(np.int64)
    return replace(documents, values=documents.values[rows], offsets=offsets)


def pooled_tokens(tokens: Sequence[Token], groups: Iterable[int]) -> list[Token]:
    """The tokens behind pooled vectors, for explanations.

    Args:
        tokens: Of one document before pooling, one a vector.
        groups: For each, the vector that it went into, from 0 on; -1 where it was dropped.

    Returns:
        One token a pooled vector: merged where several went into it.
    """
    parts: dict[int, list[Token]] = {}
    for token, group in zip(tokens, groups, strict=True):
        if group >= 0:
            parts.setdefault(int(group), []).append(token)
    apart = {group: [part for token in behind for part in token.parts or (token,)] for group, behind in parts.items()}
    return [merged(apart[group]) for group in sorted(apart)]
