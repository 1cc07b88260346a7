"""The scorers: what a query token gets from a document, and how that adds up, differentiably; see `scorers.py`."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.maxsim import exact
from engine.maxsim.checks import check_pair, check_scores
from engine.maxsim.differentiable import Ragged, concatenate, maxsim_ragged

BLOCK_TOKENS = 16384  # document tokens that `score` pads and scores together
ROUNDING = 1e-6  # by how much two products of the same vectors may differ
BLOCK_VALUES = 1 << 24  # similarities held at once where those with all tokens are looked at


class BaseScorer(torch.nn.Module):
    """Base of scorers: `floor`, `per_token` and `combine` are what one of them changes; see `scorers.Scorer`."""

    about = ""
    formula = ""
    source = ""
    learned = False
    mean = False  # over the query's tokens instead of their sum: such scores lie much closer together

    def __init__(self) -> None:
        super().__init__()

    def floor(self, queries: Tensor, blocks: Iterable[Tensor], training: bool) -> Tensor | None:
        """A similarity for each query token that all document tokens decide together, [query tokens], or None.

        Args:
            queries: Query tokens [query tokens, dim].
            blocks: All document tokens, in parts [tokens, dim].
            training: Whether they are those of a batch in training, rather than those of a collection.
        """
        return None

    def per_token(self, similarity: Tensor, mask: Tensor) -> Tensor:
        """What each query token gets from each document, [D, q].

        Args:
            similarity: [D, q, longest], negative infinity where there is no token.
            mask: bool [D, longest], True where there is one.
        """
        return similarity.max(dim=2).values

    def combine(self, best: Tensor, query: Tensor) -> Tensor:
        """The scores [D] of a query's vectors [q, dim] from what its tokens get, [D, q]."""
        return best.sum(dim=1)

    def judge(self, similarity: Tensor, mask: Tensor, query: Tensor, floor: Tensor | None, training: bool) -> Tensor:
        """The scores [D] of one query; what they say of a document without tokens does not count.

        Args:
            similarity: [D, q, longest], negative infinity where there is no token.
            mask: bool [D, longest], True where there is one.
            query: [q, dim].
            floor: Its part of `floor`, [q].
            training: See `floor`.
        """
        return self.combine(self.per_token(similarity, mask).masked_fill(~mask.any(1)[:, None], 0.0), query)

    def anneal(self, share: float) -> None:
        """Training has come this far, 0 to 1: for scorers that change on the way."""

    def forward(self, queries: Ragged, documents: Ragged) -> Tensor:
        """Every query against every document; a query's similarities are computed again for the gradient, not kept."""
        padded = documents.padded()
        floors = self._floors(queries, documents)
        rows = []
        for i, query in enumerate(queries.values.split(queries.lengths.tolist())):
            if torch.is_grad_enabled():
                rows.append(checkpoint(self._row, query, *padded, floors[i], use_reentrant=False))
            else:
                rows.append(self._row(query, *padded, floors[i]))
        return torch.stack(rows) if rows else documents.values.new_empty(0, len(documents))

    def matched(self, queries: Ragged, columns: Sequence[Ragged]) -> Tensor:
        """Each query against its own documents."""
        floors, rows = self._floors(queries, concatenate(columns)), []
        for i, query in enumerate(queries.values.split(queries.lengths.tolist())):
            own = concatenate([column.slice(i, i + 1) for column in columns])
            rows.append(self._row(query, *own.padded(), floors[i]))
        return torch.stack(rows)

    def score(
        self, queries: TokenEmbeddings, documents: TokenEmbeddings, within: TokenEmbeddings | None = None
    ) -> np.ndarray:
        """Without gradients, in blocks of documents."""
        check_pair(queries, documents)
        scores = np.full((len(queries), len(documents)), -np.inf, np.float32)
        if not len(queries) or not documents.n_tokens:
            return scores
        with torch.inference_mode():
            asked = _tensors(queries, 0, len(queries))
            whole = within or documents
            floor = self.floor(asked.values, (_tensors(whole, *block).values for block in _blocks(whole)), False)
            floors = [None] * len(queries) if floor is None else floor.split(asked.lengths.tolist())
            for start, stop in _blocks(documents):
                padded = _tensors(documents, start, stop).padded()
                for i, query in enumerate(asked.values.split(asked.lengths.tolist())):
                    scores[i, start:stop] = self._row(query, *padded, floors[i], training=False).numpy()
        check_scores(scores, queries, documents)
        return scores

    def describe(self) -> dict[str, Any]:
        """Settings and a hash of the weights."""
        found = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters if name != "dim"}
        if self.learned:
            digest = hashlib.blake2b(digest_size=8)
            for value in self.state_dict().values():
                digest.update(value.detach().cpu().contiguous().numpy().tobytes())
            found["weights"] = digest.hexdigest()
        return found

    def _floors(self, queries: Ragged, documents: Ragged) -> Sequence[Tensor | None]:
        with torch.no_grad():
            blocks = documents.values.split(BLOCK_TOKENS)
            floor = self.floor(queries.values, blocks, True) if len(documents.values) else None
        return [None] * len(queries) if floor is None else floor.split(queries.lengths.tolist())

    def _row(self, query: Tensor, values: Tensor, mask: Tensor, floor: Tensor | None, training: bool = True) -> Tensor:
        """Scores [D] of one query [q, dim] with documents [D, longest, dim] and their mask."""
        empty = ~mask.any(1)
        if not values.shape[1] or not len(query):
            return values.new_zeros(len(values)).masked_fill(empty, -torch.inf)
        similarity = torch.einsum("id,njd->nij", query, values).masked_fill(~mask[:, None, :], -torch.inf)
        return self.judge(similarity, mask, query, floor, training).masked_fill(empty, -torch.inf)


class MaxSim(BaseScorer):
    """The usual score."""

    about = "each query token adds its best match in the document"
    formula = "sum_i max_j s_ij"
    source = "Khattab and Zaharia, 2020, arXiv 2004.12832"

    def forward(self, queries: Ragged, documents: Ragged) -> Tensor:
        """Through the kernels of training."""
        return maxsim_ragged(queries, documents)

    def score(
        self, queries: TokenEmbeddings, documents: TokenEmbeddings, within: TokenEmbeddings | None = None
    ) -> np.ndarray:
        """Through the kernels of search."""
        return exact.maxsim(queries, documents)


class MeanMaxSim(MaxSim):
    """MaxSim that does not grow with the query: the same ranking, comparable between queries."""

    about = "the mean instead of the sum over query tokens: the same order, comparable between questions"
    formula = "1/n sum_i max_j s_ij"
    source = "Lee et al., 2023, arXiv 2304.01982 (without the imputation)"
    mean = True

    def combine(self, best: Tensor, query: Tensor) -> Tensor:
        """The mean."""
        return best.mean(dim=1)

    def forward(self, queries: Ragged, documents: Ragged) -> Tensor:
        """MaxSim divided by the number of query tokens."""
        return super().forward(queries, documents) / queries.lengths.clamp(min=1).to(queries.values.device)[:, None]

    def score(
        self, queries: TokenEmbeddings, documents: TokenEmbeddings, within: TokenEmbeddings | None = None
    ) -> np.ndarray:
        """MaxSim divided by the number of query tokens."""
        return super().score(queries, documents) / np.maximum(queries.lengths, 1)[:, None].astype(np.float32)


class SmoothMaxSim(BaseScorer):
    """A soft maximum, so that every document token gets a gradient; tends to MaxSim as the temperature falls.

    Args:
        temperature: Above 0, in units of similarity.
        final: What it falls to while a model trains, geometrically from the first step to the last, and what searches
            use; 0 for no fall.
    """

    about = "a soft maximum: near matches of a query token count a little beside its best one"
    formula = "sum_i t log sum_j exp(s_ij / t)"
    source = "log-sum-exp as a smooth maximum, Boyd and Vandenberghe, 2004, Convex Optimization, section 3.1.5"

    def __init__(self, temperature: float = 0.02, final: float = 0.0) -> None:
        super().__init__()
        if not temperature > 0 or not 0 <= final <= temperature:
            raise InputError(
                f"Expected a temperature above 0 and a final one from 0 to it, got {temperature} and {final}: 0.02 is "
                "near the maximum."
            )
        self.temperature, self.final = temperature, final
        self.current = final or temperature

    def anneal(self, share: float) -> None:
        """Let the temperature fall."""
        self.current = self.temperature * ((self.final or self.temperature) / self.temperature) ** share

    def per_token(self, similarity: Tensor, mask: Tensor) -> Tensor:
        """The soft maximum over document tokens."""
        filled = similarity.masked_fill(~mask.any(1)[:, None, None], 0.0)  # no gradient of NaN from empty documents
        return self.current * torch.logsumexp(filled / self.current, dim=2)


class TopMeanSim(BaseScorer):
    """The mean of the m best document tokens of each query token: rewards terms that come more than once.

    Args:
        m: 1 gives MaxSim; documents with fewer tokens use all they have.
    """

    about = "the mean of the three best matches of each query token: rewards what comes more than once"
    formula = "sum_i 1/m sum of the m largest s_ij"
    source = "k-max pooling, Kalchbrenner et al., 2014, arXiv 1404.2188, section 3.3"

    def __init__(self, m: int = 3) -> None:
        super().__init__()
        self.m = whole("m", m, "1 is MaxSim")

    def per_token(self, similarity: Tensor, mask: Tensor) -> Tensor:
        """The mean of the largest similarities."""
        best = similarity.topk(min(self.m, similarity.shape[2]), dim=2).values
        present = best != -torch.inf  # NaN stays, to be seen
        return best.masked_fill(~present, 0.0).sum(2) / present.sum(2).clamp(min=1)


class XTR(BaseScorer):
    """Only the k' most similar tokens of the whole collection count; a document without one gets the k'-th similarity.

    In training nothing stands in for what is missing: of the tokens of the batch, those that are not among the nearest
    `in_batch` of a query token count nothing, and the sum is divided by the number of query tokens that found one.

    Args:
        retrieved: k', document tokens that each query token retrieves, among all documents of a call or of the
            collection that they are a part of.
        in_batch: The same while a model trains, among the documents of the batch.
    """

    about = "only the most similar tokens of the whole collection count, a document without one gets the last of them"
    formula = "1/n sum_i max(max_j s_ij, m_i), m_i the k'-th largest similarity of query token i with any token"
    source = "Lee et al., 2023, arXiv 2304.01982, equations 3 and 4; in training equation 2"
    mean = True

    def __init__(self, retrieved: int = 1000, in_batch: int = 128) -> None:
        super().__init__()
        self.retrieved = whole("retrieved", retrieved, "the paper uses 1,000 to 40,000")
        self.in_batch = whole("in_batch", in_batch, "the paper uses 32 to 320")

    def floor(self, queries: Tensor, blocks: Iterable[Tensor], training: bool) -> Tensor | None:
        """The k'-th largest similarity of each query token with any document token."""
        count = self.in_batch if training else self.retrieved
        best = queries.new_empty(len(queries), 0)
        for block in blocks:
            for tokens in block.split(max(BLOCK_VALUES // max(len(queries), 1), 1)):
                best = torch.cat([best, queries @ tokens.T], 1)
                best = best.topk(min(count, best.shape[1]), dim=1).values
        return best[:, -1]

    def judge(self, similarity: Tensor, mask: Tensor, query: Tensor, floor: Tensor | None, training: bool) -> Tensor:
        """The mean over query tokens; in training over those that found a token of the document."""
        assert floor is not None  # there are document tokens
        best = self.per_token(similarity, mask)
        if not training:
            return torch.maximum(best, floor).mean(dim=1)
        found = (best.detach() >= floor - ROUNDING) & mask.any(1)[:, None]
        return best.masked_fill(~found, 0.0).sum(dim=1) / found.sum(dim=1).clamp(min=1)


def whole(name: str, value: object, usual: str) -> int:
    """A setting that is a whole number of 1 or more, or InputError; `usual` says what to choose."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"Expected {name} as a whole number of 1 or more, got {value!r}: {usual}.")
    return value


def _tensors(embeddings: TokenEmbeddings, start: int, stop: int) -> Ragged:
    offsets = embeddings.offsets[start : stop + 1]
    values = np.array(embeddings.values[offsets[0] : offsets[-1]], np.float32)
    return Ragged(torch.from_numpy(values), torch.from_numpy(np.array(offsets - offsets[0])))


def _blocks(documents: TokenEmbeddings) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(documents):
        limit = documents.offsets[start] + BLOCK_TOKENS
        stop = max(int(np.searchsorted(documents.offsets, limit, side="right")) - 1, start + 1)
        yield start, stop
        start = stop
