"""Scorers beside MaxSim, behind one contract, for experiments and for training.

Each is a torch module: scores [Q, D] float32 from query vectors q [Q, Lq, dim], q_mask [Q, Lq] bool, document vectors
d [D, Ld, dim] and d_mask [D, Ld] bool, differentiable in q, d and its own parameters; a document without tokens scores
minus infinity. s_ij is the dot product of query token i with document token j, n the number of query tokens.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.maxsim.checks import check_pair
from engine.maxsim.differentiable import maxsim_grad

BLOCK_TOKENS = 16384  # document tokens that `score_all` pads and scores together


class Scorer(torch.nn.Module):
    """Base of scorers: `per_token` says what a query token gets from a document, `combine` how they add up."""

    formula = ""
    source = ""

    def forward(self, q: torch.Tensor, q_mask: torch.Tensor, d: torch.Tensor, d_mask: torch.Tensor) -> torch.Tensor:
        """Score every query against every document; see the module."""
        rows = []
        for i in range(len(q)):  # one query at a time bounds the similarities to [D, Lq, Ld]
            similarity = torch.einsum("id,njd->nij", q[i].float(), d.float())
            similarity = similarity.masked_fill(~d_mask[:, None, :], -torch.inf)
            best = self.per_token(similarity, d_mask)
            empty = ~d_mask.any(1)
            best = best.masked_fill(empty[:, None] | ~q_mask[i][None, :], 0.0)
            rows.append(self.combine(best, q[i].float(), q_mask[i]).masked_fill(empty, -torch.inf))
        return torch.stack(rows)

    def per_token(self, similarity: torch.Tensor, d_mask: torch.Tensor) -> torch.Tensor:
        """[D, Lq] from similarities [D, Lq, Ld], minus infinity where there is no document token."""
        return similarity.max(dim=2).values

    def combine(self, best: torch.Tensor, q: torch.Tensor, q_mask: torch.Tensor) -> torch.Tensor:
        """[D] from [D, Lq], zero at padding, the query's vectors [Lq, dim] and its mask."""
        return best.sum(dim=1)


class MaxSim(Scorer):
    """The usual score."""

    formula = "sum_i max_j s_ij"
    source = "Khattab and Zaharia, 2020, arXiv 2004.12832"

    def forward(self, q: torch.Tensor, q_mask: torch.Tensor, d: torch.Tensor, d_mask: torch.Tensor) -> torch.Tensor:
        """Through the kernels that training uses."""
        return maxsim_grad(q, q_mask, d, d_mask)


class MeanMaxSim(Scorer):
    """MaxSim that does not grow with the query: the same ranking, comparable between queries."""

    formula = "1/n sum_i max_j s_ij"
    source = "Lee et al., 2023, arXiv 2304.01982 (without the imputation)"

    def forward(self, q: torch.Tensor, q_mask: torch.Tensor, d: torch.Tensor, d_mask: torch.Tensor) -> torch.Tensor:
        """MaxSim divided by the number of query tokens."""
        return maxsim_grad(q, q_mask, d, d_mask) / q_mask.sum(1).clamp(min=1)[:, None]


class SmoothMaxSim(Scorer):
    """A soft maximum, so that every document token gets a gradient; tends to MaxSim as the temperature falls.

    Args:
        temperature: Above 0, in units of similarity.
    """

    formula = "sum_i t log sum_j exp(s_ij / t)"
    source = "log-sum-exp as a smooth maximum, Boyd and Vandenberghe, 2004, Convex Optimization, section 3.1.5"

    def __init__(self, temperature: float = 0.02) -> None:
        super().__init__()
        if not temperature > 0:
            raise InputError(f"Expected a temperature above 0, got {temperature}: 0.02 is near the maximum.")
        self.temperature = temperature

    def per_token(self, similarity: torch.Tensor, d_mask: torch.Tensor) -> torch.Tensor:
        """The soft maximum over document tokens."""
        filled = similarity.masked_fill(~d_mask.any(1)[:, None, None], 0.0)  # no gradient of NaN from empty documents
        return self.temperature * torch.logsumexp(filled / self.temperature, dim=2)


class TopMeanSim(Scorer):
    """The mean of the m best document tokens of each query token: rewards terms that come more than once.

    Args:
        m: 1 gives MaxSim; documents with fewer tokens use all they have.
    """

    formula = "sum_i 1/m sum of the m largest s_ij"
    source = "k-max pooling, Kalchbrenner et al., 2014, arXiv 1404.2188, section 3.3"

    def __init__(self, m: int = 3) -> None:
        super().__init__()
        if m < 1:
            raise InputError(f"Expected m of 1 or more, got {m}: 1 is MaxSim.")
        self.m = m

    def per_token(self, similarity: torch.Tensor, d_mask: torch.Tensor) -> torch.Tensor:
        """The mean of the largest similarities."""
        best = similarity.topk(min(self.m, similarity.shape[2]), dim=2).values
        present = torch.isfinite(best)
        return best.masked_fill(~present, 0.0).sum(2) / present.sum(2).clamp(min=1)


class XTR(Scorer):
    """Only the k' most similar tokens of the whole collection count; a document without one gets the k'-th similarity.

    Args:
        retrieved: k', document tokens that each query token retrieves, among all documents of a call.
    """

    formula = "1/n sum_i max(max_j s_ij, m_i), m_i the k'-th largest similarity of query token i with any token"
    source = "Lee et al., 2023, arXiv 2304.01982, equations 3 and 4"

    def __init__(self, retrieved: int = 1000) -> None:
        super().__init__()
        if retrieved < 1:
            raise InputError(f"Expected 1 or more retrieved tokens, got {retrieved}: the paper uses 1,000 to 40,000.")
        self.retrieved = retrieved

    def forward(
        self,
        q: torch.Tensor,
        q_mask: torch.Tensor,
        d: torch.Tensor,
        d_mask: torch.Tensor,
        floor: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Score; `floor` [Q, Lq] gives the k'-th similarities where the documents are part of a larger collection."""
        floor = self.floor(q, d[d_mask]) if floor is None else floor
        rows = []
        for i in range(len(q)):
            similarity = torch.einsum("id,njd->nij", q[i].float(), d.float())
            best = similarity.masked_fill(~d_mask[:, None, :], -torch.inf).max(dim=2).values
            counted = torch.maximum(best, floor[i]).masked_fill(~q_mask[i], 0.0)
            score = counted.sum(1) / q_mask[i].sum().clamp(min=1)
            rows.append(score.masked_fill(~d_mask.any(1), -torch.inf))
        return torch.stack(rows)

    def floor(self, q: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """[Q, Lq], the k'-th largest similarity with any of the document tokens [t, dim]."""
        k = min(self.retrieved, len(tokens))
        return (q.float() @ tokens.float().T).topk(k, dim=2).values[:, :, -1]


class WeightedMaxSim(Scorer):
    """Each query token counts by a learned weight; at the start all weights are 1 and the score is MaxSim.

    Args:
        dim: Dimension of the vectors.
    """

    formula = "n sum_i w_i max_j s_ij, w = softmax over the query's tokens of (a . q_i)"
    source = "softmax weights as in attention, Bahdanau et al., 2015, arXiv 1409.0473, on the sum of MaxSim"

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.direction = torch.nn.Parameter(torch.zeros(dim))

    def weights(self, q: torch.Tensor, q_mask: torch.Tensor) -> torch.Tensor:
        """[.., Lq], 1 on average over the tokens of a query: the hook for training, and what a page can show."""
        logits = (q.float() @ self.direction).masked_fill(~q_mask, -torch.inf)
        return torch.softmax(logits, dim=-1).nan_to_num() * q_mask.sum(-1, keepdim=True)

    def combine(self, best: torch.Tensor, q: torch.Tensor, q_mask: torch.Tensor) -> torch.Tensor:
        """The weighted sum."""
        return best @ self.weights(q, q_mask)


def _padded(embeddings: TokenEmbeddings, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
    items = [torch.from_numpy(np.array(embeddings[i], np.float32)) for i in range(start, stop)]
    lengths = torch.tensor([len(item) for item in items])
    values = pad_sequence(items, batch_first=True)
    return values, torch.arange(values.shape[1]) < lengths[:, None]


def _blocks(documents: TokenEmbeddings) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(documents):
        limit = documents.offsets[start] + BLOCK_TOKENS
        stop = max(int(np.searchsorted(documents.offsets, limit, side="right")) - 1, start + 1)
        yield start, stop
        start = stop


def score_all(scorer: Scorer, queries: TokenEmbeddings, documents: TokenEmbeddings) -> np.ndarray:
    """Score every query against every document of a collection, without gradients.

    Args:
        scorer: Any scorer.
        queries: m queries.
        documents: n documents of the same dimension.

    Returns:
        float32 [m, n].

    Raises:
        InputError: the dimensions differ.
    """
    check_pair(queries, documents)
    scores = np.full((len(queries), len(documents)), -np.inf, np.float32)
    if not len(queries) or not documents.n_tokens:
        return scores
    with torch.inference_mode():
        q, q_mask = _padded(queries, 0, len(queries))
        options = {"floor": _floor(scorer, q, documents)} if isinstance(scorer, XTR) else {}
        for start, stop in _blocks(documents):
            scores[:, start:stop] = scorer(q, q_mask, *_padded(documents, start, stop), **options).numpy()
    return scores


def _floor(scorer: XTR, q: torch.Tensor, documents: TokenEmbeddings) -> torch.Tensor:
    """The k'-th similarity of each query token over the whole collection, from block to block."""
    best = torch.full((*q.shape[:2], 0), 0.0)
    for start, stop in _blocks(documents):
        tokens = torch.from_numpy(
            np.array(documents.values[documents.offsets[start] : documents.offsets[stop]], np.float32)
        )
        similarity = q @ tokens.T
        best = torch.cat([best, similarity.topk(min(scorer.retrieved, similarity.shape[2]), dim=2).values], dim=2)
        best = best.topk(min(scorer.retrieved, best.shape[2]), dim=2).values
    return best[:, :, -1]
