"""What a document must show to be found: its place in the inverted lists, and the score of its own vectors."""

from __future__ import annotations

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.indexes.plaid.search import Layout, Stages
from engine.maxsim import maxsim

TOKENS = 32  # vectors of a document that ask for it


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
