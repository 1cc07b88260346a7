"""What an index will keep of documents, as the loss sees it: pooled, of fewer dimensions, in a few bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor

from engine.embeddings import TokenEmbeddings
from engine.late_head import prefix
from engine.maxsim.differentiable import Ragged, concatenate
from engine.pooling.differentiable import link_ragged, pool_ragged

SAMPLE = 256  # documents that the size of the codec's error is measured on
Loss = Callable[[Ragged, list[Ragged]], Tensor]


@dataclass(frozen=True)
class Targets:
    """The ways in which the vectors of a batch are shortened before the loss.

    Args:
        factors: Pool factors, each 1 or more.
        weights: One a factor, above 0: its share of the loss; all alike when empty.
        dimensions: Leading coordinates that are vectors of their own, each at most the model's; empty for the whole.
        noise: Length of the Gaussian noise that is added to each document vector while the model trains, as a share of
            the vector's length: what a codec of few bits would do to it.
        added: How many last vectors of each document stand for no token of its text: pooling leaves them be.

    Source:
        Nested dimensions: Kusupati and others, 2022 (Matryoshka). Noise in place of rounding: Baskin and others, 2018,
        arXiv 1804.10969.
    """

    factors: tuple[float, ...] = (1.0,)
    weights: tuple[float, ...] = ()
    dimensions: tuple[int, ...] = ()
    noise: float = 0.0
    added: int = 0

    def mixed(self, loss: Loss, queries: Ragged, documents: list[Ragged], training: bool = True) -> Tensor:
        """The loss averaged over all ways, by weight.

        Args:
            loss: Of queries and document columns.
            queries: Whole vectors.
            documents: Whole vectors, one a column.
            training: Add the noise.

        Returns:
            A scalar; with one factor of 1, no dimensions and no noise what `loss` says of the vectors as they are.
        """
        terms: list[tuple[float, Tensor]] = []
        sizes = self.dimensions or (queries.values.shape[1],)
        weights = self.weights or (1.0,) * len(self.factors)
        for dim in sizes:
            asked = _shortened(queries, dim)
            whole = [_shortened(column, dim) for column in documents]
            for weight, columns in zip(weights, _pooled(whole, self.factors, self.added), strict=True):
                kept = [self._noisy(column) for column in columns] if training and self.noise else columns
                terms.append((weight, loss(asked, kept)))
        if len(terms) == 1:
            return terms[0][1]
        total = sum(weight for weight, _ in terms)
        return torch.stack([weight / total * term for weight, term in terms]).sum()

    def _noisy(self, documents: Ragged) -> Ragged:
        """With noise of another direction for each vector, drawn from torch's generator."""
        values = documents.values
        noise = torch.randn_like(values) * (self.noise / values.shape[1] ** 0.5)
        return Ragged(values + noise * values.detach().norm(dim=1, keepdim=True), documents.offsets)


def _shortened(vectors: Ragged, dim: int) -> Ragged:
    return vectors if dim == vectors.values.shape[1] else Ragged(prefix(vectors.values, dim), vectors.offsets)


def _pooled(columns: list[Ragged], factors: Sequence[float], added: int) -> list[list[Ragged]]:
    """The columns at each factor; which tokens merge is found out once for all factors."""
    if all(factor == 1 for factor in factors):
        return [columns for _ in factors]
    documents, found = concatenate(columns), []
    linkage = link_ragged(documents.values, documents.offsets, added=added)
    for factor in factors:
        pooled = Ragged(*pool_ragged(documents.values, documents.offsets, factor, linkage=linkage))
        starts = [0, *accumulate(map(len, columns))]
        found.append(columns if factor == 1 else [pooled.slice(*span) for span in pairwise(starts)])
    return found


def sampled_noise(encode: Callable[[list[str]], TokenEmbeddings], texts: Sequence[str], bits: int) -> float:
    """`codec_noise` of the first texts; 0 for 0 bits."""
    return codec_noise(encode(list(texts[:SAMPLE])), bits) if bits else 0.0


def codec_noise(documents: TokenEmbeddings, bits: int) -> float:
    """How far PLAID's codec moves some vectors, to draw noise of that size.

    Args:
        documents: A sample; an index of many more tokens has fewer centroids a token and moves them a little further.
        bits: Of a residual value: 1, 2, 4 or 8.

    Returns:
        The root of the mean square of the vectors' errors, as a share of that of their lengths.
    """
    from engine.indexes.plaid import PlaidSettings, kmeans
    from engine.indexes.plaid.assign import nearest
    from engine.indexes.plaid.codecs import codec_class
    from engine.indexes.plaid.settings import wanted_centroids

    settings, vectors = PlaidSettings(bits=bits), documents.values.astype(np.float32)
    centroids = kmeans.train(vectors, wanted_centroids(settings, len(vectors)), settings.iterations, settings.seed)
    codes, _ = nearest(vectors, centroids)
    codec = codec_class(bits).fit(vectors, codes, centroids, settings)
    error = codec.decode(codes, codec.encode(vectors, codes)) - vectors
    return float(np.sqrt(np.square(error, dtype=np.float64).sum() / np.square(vectors, dtype=np.float64).sum()))
