"""What the embedded model learns from: the untrained model's vectors, scored better than plain MaxSim scores them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.maxsim import maxsim

EVERY_TOKEN = 0.5  # added to the weights of query tokens, whose mean is 1
SINGLE = 0.6  # weight of the single-vector score
SAMPLE = 200  # documents that tell how far a query's scores spread


class Teacher:
    """MaxSim whose query tokens are weighted by their rarity, plus a single-vector score from the same vectors.

    On the five collections that the embedded model is measured on, both together find more than either: rarity tells
    what a query is about, the mean vector what a document is about. Both scores are divided by their spread over a
    sample of documents before they are added.

    Args:
        query_ids: n lists of token ids, special tokens at both ends.
        document_ids: The same of n documents.
        queries: Vectors of these tokens.
        documents: The same of the documents.

    Raises:
        InputError: ids and vectors do not have the same lengths.

    Source:
        Inverse document frequency: Sparck Jones, 1972. As weights of a mean: Arora, Liang and Ma, 2017.
    """

    def __init__(
        self,
        query_ids: Sequence[Sequence[int]],
        document_ids: Sequence[Sequence[int]],
        queries: TokenEmbeddings,
        documents: TokenEmbeddings,
    ) -> None:
        for ids, vectors in ((query_ids, queries), (document_ids, documents)):
            if [len(row) for row in ids] != np.diff(vectors.offsets).tolist():
                raise InputError("Expected one vector for each token id: encode the same texts with the same model.")
        n = len(document_ids)
        counts = Counter(token for row in document_ids for token in set(row))
        rarity = {token: max(np.log((n + 1) / (count + 0.5)), 0.0) for token, count in counts.items()}
        unseen = np.log((n + 1) / 0.5)
        weights = np.concatenate([_query_weights([rarity.get(token, unseen) for token in row]) for row in query_ids])
        of_documents = np.concatenate([[rarity[token] + 2.0 for token in row] for row in document_ids])
        self.documents = documents
        self.queries = TokenEmbeddings(queries.values * weights[:, None].astype(np.float32), queries.offsets)
        self.query_means = means(self.queries, np.ones(len(weights)))
        self.document_means = means(documents, of_documents)
        sample = np.random.default_rng(0).permutation(n)[:SAMPLE]
        self._late_spread = maxsim(self.queries, documents.select(sample)).std(1)
        self._single_spread = (self.query_means @ self.document_means[sample].T).std(1)

    def scores(self, rows: Sequence[int] | None = None) -> np.ndarray:
        """Score queries with documents.

        Args:
            rows: m positions of queries, and of documents; all of both when left out.

        Returns:
            float32 [m, m], or [queries, documents].
        """
        queries, documents = (
            np.arange(len(side)) if rows is None else np.asarray(rows) for side in (self.queries, self.documents)
        )
        late = maxsim(self.queries.select(queries), self.documents.select(documents))
        single = self.query_means[queries] @ self.document_means[documents].T
        spread = SINGLE / self._single_spread[queries, None]
        return (late / self._late_spread[queries, None] + spread * single).astype(np.float32)


def _query_weights(rarity: list[float]) -> np.ndarray:
    """Weights of one query's tokens with a mean near 1; special tokens, which every text has, weigh as much."""
    inner = np.array(rarity[1:-1] or [1.0])
    mean = max(float(inner.mean()), 1e-6)
    return np.array([1.0, *(np.array(rarity[1:-1]) / mean), 1.0]) + EVERY_TOKEN


def means(vectors: TokenEmbeddings, weights: np.ndarray) -> np.ndarray:
    """Weighted means of each text's vectors, at length 1.

    Args:
        vectors: n texts, each with a token.
        weights: [tokens].

    Returns:
        float32 [n, dim].
    """
    weighted = vectors.values.astype(np.float32) * weights[:, None].astype(np.float32)
    means = np.add.reduceat(weighted, vectors.offsets[:-1], axis=0)
    return means / np.linalg.norm(means, axis=1, keepdims=True)
