"""What an index must show to be searched, and a document to be found: sound arrays, lists, and its own score."""

from __future__ import annotations

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.indexes.plaid.codec import Codec
from engine.indexes.plaid.inverted import Lists
from engine.indexes.plaid.search import Layout, Stages
from engine.maxsim import maxsim

TOKENS = 32  # vectors of a document that ask for it


def fit_together(
    codec: Codec, offsets: np.ndarray, codes: np.ndarray, packed: np.ndarray, lists: Lists, known: int = 0
) -> bool:
    """Whether the arrays of an index fit together: the kernels index without bounds checks.

    With `known` rows of the codes before, codec and lists are those that were checked with them.
    """
    return bool(
        len(codes) == len(packed) == offsets[-1]
        and packed.shape[1:] == (codec.row_size,)
        and (np.diff(offsets) >= 0).all()
        and codes[known:].max(initial=0) < len(codec.centroids)
        and (known > 0 or (codec.sound() and _sound(codec, lists, len(offsets) - 1)))
    )


def _sound(codec: Codec, lists: Lists, slots: int) -> bool:
    """Whether lists name centroids and slots that exist."""
    return bool(
        len(lists.offsets) <= len(codec.centroids) + 1
        and (np.diff(lists.offsets) >= 0).all()
        and lists.offsets[0] == 0
        and lists.offsets[-1] == len(lists.documents)
        and (len(lists.documents) == 0 or 0 <= lists.documents.min() <= lists.documents.max() < slots)
    )


def question(vectors: TokenEmbeddings) -> TokenEmbeddings:
    """The first vectors of one stored document, as a query."""
    return TokenEmbeddings.from_list([vectors[0][:TOKENS]])


def listed(layout: Layout, slot: int) -> bool:
    """Whether the lists of all centroids of a document name it."""
    codes = np.unique(layout.codes[layout.offsets[slot] : layout.offsets[slot + 1]])
    return all(any(lists.has(int(code), slot) for lists in layout.lists) for code in codes)


def found(left: Stages, slot: int, query: TokenEmbeddings, vectors: TokenEmbeddings) -> bool:
    """Whether a search found the document, with the score that an independent computation gives it."""
    try:
        truth = float(maxsim(query, vectors)[0, 0])
    except InputError:  # beyond the range of float32: no vectors that came in, but damage
        return False
    return left.survivors.tolist() == [slot] and abs(float(left.scores[0]) - truth) <= 1e-3 * max(1.0, abs(truth))
