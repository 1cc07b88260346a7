"""The scorers: what a query token gets from a document, and how that adds up, differentiably; see `scorers.py`."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.maxsim import exact
from engine.maxsim.checks import check_pair, check_scores
from engine.maxsim.differentiable import Ragged, concatenate, maxsim_ragged
from engine.maxsim.largest import kth_largest, largest_ragged
from engine.maxsim.soft import soft_maximum_ragged

BLOCK_TOKENS, QUERY_TOKENS = 16384, 4096  # of documents and of queries that `score` scores together
ROUNDING = 1e-6  # by how much two products of the same vectors may differ
BLOCK_VALUES = 1 << 24  # similarities held at once where those with all tokens are looked at


class BaseScorer(torch.nn.Module):
    """Base of scorers: `seen`, `judge` and `combine` are what one of them changes; see `scorers.Scorer`."""

    about = ""
    formula = ""
    source = ""
    learned = False
    mean = False  # over the query's tokens instead of their sum: such scores lie much closer together

    def __init__(self) -> None:
        super().__init__()

    def seen(self, queries: Ragged, documents: Ragged) -> Tensor:
        """What the score is made of, [D, values, query tokens]: of each query token with each document its best match.

        What it gives for a document without tokens does not count.
        """
        return largest_ragged(queries, documents)

    def judge(self, seen: Tensor, queries: Ragged, floor: Tensor | None, training: bool) -> Tensor:
        """The scores [queries, D]; what they say of a document without tokens does not count.

        Args:
            seen: [D, values, query tokens], from `seen`.
            queries: As there.
            floor: See `floor`.
            training: Whether the floor is that of a batch in training, rather than that of a collection.
        """
        return self.combine(seen[:, 0], queries)

    def combine(self, best: Tensor, queries: Ragged) -> Tensor:
        """The scores [queries, D] from what query tokens get, [D, query tokens]."""
        return sum_by_query(best, queries)

    def floor(self, queries: Tensor, blocks: Iterable[Tensor]) -> Tensor | None:
        """A similarity for each query token that all tokens of a collection decide together, [query tokens], or None.

        Args:
            queries: Query tokens [query tokens, dim].
            blocks: All document tokens, in parts [tokens, dim].
        """
        return None

    def batch_floor(self, queries: Tensor, documents: Tensor) -> Tensor | None:
        """The same while a model trains, from all document tokens of a batch [tokens, dim], one or more."""
        return None

    def anneal(self, share: float) -> None:
        """Training has come this far, 0 to 1: for scorers that change on the way."""

    def forward(self, queries: Ragged, documents: Ragged) -> Tensor:
        """Every query against every document; no similarity is kept but what `seen` gives."""
        return self._scores(queries, documents, self._batch_floor(queries, documents))

    def matched(self, queries: Ragged, columns: Sequence[Ragged]) -> Tensor:
        """Each query against its own documents."""
        floor, rows = self._batch_floor(queries, concatenate(columns)), []
        for i in range(len(queries)):
            own = concatenate([column.slice(i, i + 1) for column in columns])
            rows.append(self._scores(queries.slice(i, i + 1), own, _slice(floor, queries, i, i + 1))[0])
        return torch.stack(rows)

    def score(
        self, queries: TokenEmbeddings, documents: TokenEmbeddings, within: TokenEmbeddings | None = None
    ) -> np.ndarray:
        """Without gradients, in blocks of documents and of queries."""
        check_pair(queries, documents)
        scores = np.full((len(queries), len(documents)), -np.inf, np.float32)
        if not len(queries) or not documents.n_tokens:
            return scores
        with torch.inference_mode():
            asked = _tensors(queries, 0, len(queries))
            whole = within or documents
            floor = self.floor(
                asked.values, (_tensors(whole, *block).values for block in _blocks(whole.offsets, BLOCK_TOKENS))
            )
            for start, stop in _blocks(documents.offsets, BLOCK_TOKENS):
                block = _tensors(documents, start, stop)
                for first, last in _blocks(queries.offsets, QUERY_TOKENS):
                    own = asked.slice(first, last), block, _slice(floor, asked, first, last)
                    scores[first:last, start:stop] = self._scores(*own, training=False).numpy()
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

    def _batch_floor(self, queries: Ragged, documents: Ragged) -> Tensor | None:
        with torch.no_grad():
            return self.batch_floor(queries.values, documents.values) if len(documents.values) else None

    def _scores(self, queries: Ragged, documents: Ragged, floor: Tensor | None, training: bool = True) -> Tensor:
        """The scores of every query with every document, [queries, documents]."""
        empty = (documents.lengths == 0).to(documents.values.device)
        if not len(queries.values) or not len(documents.values):
            return documents.values.new_zeros(len(queries), len(documents)).masked_fill(empty, -torch.inf)
        seen = self.seen(queries, documents).masked_fill(empty[:, None, None], 0.0)
        return self.judge(seen, queries, floor, training).masked_fill(empty, -torch.inf)


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

    def combine(self, best: Tensor, queries: Ragged) -> Tensor:
        """The mean."""
        return sum_by_query(best, queries) / token_counts(queries)

    def forward(self, queries: Ragged, documents: Ragged) -> Tensor:
        """MaxSim divided by the number of query tokens."""
        return super().forward(queries, documents) / token_counts(queries)

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

    def seen(self, queries: Ragged, documents: Ragged) -> Tensor:
        """The soft maximum over document tokens."""
        return soft_maximum_ragged(queries, documents, self.current)[:, None]


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

    def seen(self, queries: Ragged, documents: Ragged) -> Tensor:
        """The mean of the largest similarities."""
        best = largest_ragged(queries, documents, self.m)
        present = best != -torch.inf  # NaN stays, to be seen
        return best.masked_fill(~present, 0.0).sum(1, keepdim=True) / present.sum(1, keepdim=True).clamp(min=1)


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

    def floor(self, queries: Tensor, blocks: Iterable[Tensor]) -> Tensor | None:
        """The k'-th largest similarity of each query token with any document token."""
        best = queries.new_empty(len(queries), 0)
        for block in blocks:
            for tokens in block.split(max(BLOCK_VALUES // max(len(queries), 1), 1)):
                best = torch.cat([best, queries @ tokens.T], 1)
                best = best.topk(min(self.retrieved, best.shape[1]), dim=1).values
        return best[:, -1]

    def batch_floor(self, queries: Tensor, documents: Tensor) -> Tensor | None:
        """The same in a batch."""
        return kth_largest(queries, documents, self.in_batch)

    def judge(self, seen: Tensor, queries: Ragged, floor: Tensor | None, training: bool) -> Tensor:
        """The mean over query tokens; in training over those that found a token of the document."""
        assert floor is not None  # there are document tokens
        best = seen[:, 0]
        if not training:
            return sum_by_query(torch.maximum(best, floor), queries) / token_counts(queries)
        found = best.detach() >= floor - ROUNDING
        counts = sum_by_query(found.to(best), queries)
        return sum_by_query(best.masked_fill(~found, 0.0), queries) / counts.clamp(min=1)


def owners(queries: Ragged) -> Tensor:
    """The query of each query token, int64 [query tokens]."""
    lengths, total = queries.lengths.to(queries.values.device), len(queries.values)
    return torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths, output_size=total)


def sum_by_query(values: Tensor, queries: Ragged) -> Tensor:
    """The sums [queries, D] of what query tokens get, [D, query tokens]."""
    return values.new_zeros(len(queries), len(values)).index_add(0, owners(queries), values.T)


def token_counts(queries: Ragged) -> Tensor:
    """The tokens of each query, [queries, 1]; 1 for none, to divide by."""
    return queries.lengths.clamp(min=1).to(queries.values.device)[:, None]


def whole(name: str, value: object, usual: str) -> int:
    """A setting that is a whole number of 1 or more, or InputError; `usual` says what to choose."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"Expected {name} as a whole number of 1 or more, got {value!r}: {usual}.")
    return value


def _slice(floor: Tensor | None, queries: Ragged, first: int, last: int) -> Tensor | None:
    """The floor of queries first to last - 1."""
    return None if floor is None else floor[int(queries.offsets[first]) : int(queries.offsets[last])]


def _tensors(embeddings: TokenEmbeddings, start: int, stop: int) -> Ragged:
    offsets = embeddings.offsets[start : stop + 1]
    values = np.array(embeddings.values[offsets[0] : offsets[-1]], np.float32)
    return Ragged(torch.from_numpy(values), torch.from_numpy(np.array(offsets - offsets[0])))


def _blocks(offsets: np.ndarray, tokens: int) -> Iterator[tuple[int, int]]:
    """Runs of texts with so many tokens at most, or of one text that has more."""
    start = 0
    while start < len(offsets) - 1:
        limit = offsets[start] + tokens
        stop = max(int(np.searchsorted(offsets, limit, side="right")) - 1, start + 1)
        yield start, stop
        start = stop
