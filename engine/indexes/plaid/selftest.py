"""What an index must show to be searched, and a document to be found: sound arrays, lists, and its own score."""

from __future__ import annotations

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.indexes.plaid.codec import Codec
from engine.indexes.plaid.inverted import Lists
from engine.indexes.plaid.search import Layout, Stages
from engine.maxsim import maxsim

TOKENS = 32  # vectors of a document that ask for it


def fit_together(codec: Codec, offsets: np.ndarray, codes: np.ndarray, packed: np.ndarray, lists: Lists) -> bool:
    """Whether the arrays of an index fit together: the kernels index without bounds checks."""
    return bool(
        len(codes) == len(packed) == offsets[-1]
        and packed.shape[1:] == (codec.row_size,)
        and (np.diff(offsets) >= 0).all()
        and (len(codes) == 0 or codes.max() < len(codec.centroids))
        and codec.sound()
        and len(lists.offsets) <= len(codec.centroids) + 1
        and (np.diff(lists.offsets) >= 0).all()
        and lists.offsets[0] == 0
        and lists.offsets[-1] == len(lists.documents)
        and (len(lists.documents) == 0 or 0 <= lists.documents.min() <= lists.documents.max() < len(offsets) - 1)
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
    truth = float(maxsim(query, vectors)[0, 0])
    return left.survivors.tolist() == [slot] and abs(float(left.scores[0]) - truth) <= 1e-3 * max(1.0, abs(truth))
