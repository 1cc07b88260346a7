"""Scorers with weights of their own, which training finds and which lie in the folder of the model."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from engine.maxsim.differentiable import Ragged
from engine.maxsim.largest import largest_ragged
from engine.maxsim.scorer_kinds import BLOCK_VALUES, BaseScorer, owners, sum_by_query, token_counts, whole


class WeightedMaxSim(BaseScorer):
    """Each query token counts by a learned weight; at the start all weights are 1 and the score is MaxSim.

    Fewer leading coordinates (nested dimensions) take the leading ones of what was learned.

    Args:
        dim: Dimension of the vectors.
    """

    about = "each query token counts by a weight that was learned with the model"
    formula = "n sum_i w_i max_j s_ij, w = softmax over the query's tokens of (a . q_i)"
    source = "softmax weights as in attention, Bahdanau et al., 2015, arXiv 1409.0473, on the sum of MaxSim"
    learned = True

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.direction = torch.nn.Parameter(torch.zeros(dim))

    def weights(self, queries: Ragged) -> Tensor:
        """How much each query token counts, [query tokens], 1 on average over its query: what a page can show."""
        own, n = owners(queries), len(queries)
        logits = queries.values @ self.direction[: queries.values.shape[1]].to(queries.values)
        highest = logits.detach().new_full((n,), -torch.inf).scatter_reduce(0, own, logits.detach(), "amax")
        powers = torch.exp(logits - highest[own])
        total = powers.new_zeros(n).index_add(0, own, powers)
        return powers / total[own] * token_counts(queries)[own, 0]

    def combine(self, best: Tensor, queries: Ragged) -> Tensor:
        """The weighted sum."""
        return sum_by_query(best * self.weights(queries), queries)


class Lite(BaseScorer):
    """MaxSim and what a small network adds that sees more of the similarities than each token's best one.

    The network works on rows, then on columns: the largest similarities of a query token become some features, and each
    feature of all query tokens again some; their weighted sum is added to MaxSim. The paper's rows are in the order of
    the document; here they are sorted, so that pooling and the length of the document change little. At the start the
    sum is 0 and the score is MaxSim.

    Args:
        dim: Dimension of the vectors.
        m: Similarities of a query token that the network sees, the largest; of shorter documents all.
        width: Features of rows and of columns.
        tokens: First tokens of a query that the network sees; MaxSim takes all.
    """

    about = "MaxSim and what a small network adds that looks at more than the best matches, learned with the model"
    formula = "sum_i max_j s_ij + w . relu(C relu(R s_i + b) + c), s_i the m largest s_ij, R for rows, C for columns"
    source = "Ji et al., 2024, arXiv 2406.17968 (LITE, separable), with sorted rows and added to MaxSim"
    learned = True

    def __init__(self, dim: int, m: int = 16, width: int = 16, tokens: int = 32) -> None:
        super().__init__()
        self.dim = dim
        self.m, self.width = whole("m", m, "16 is usual"), whole("width", width, "16 is usual")
        self.tokens = whole("tokens", tokens, "the length of most questions")
        self.rows, self.columns = torch.nn.Linear(m, width), torch.nn.Linear(tokens, width)
        self.out = torch.nn.Parameter(torch.zeros(width * width))

    def seen(self, queries: Ragged, documents: Ragged) -> Tensor:
        """The largest similarities."""
        return largest_ragged(queries, documents, self.m)

    def judge(self, seen: Tensor, queries: Ragged, floor: Tensor | None, training: bool) -> Tensor:
        """MaxSim and the network's sum, for some queries after the other."""
        some = max(BLOCK_VALUES // (len(seen) * self.m * self.tokens), 1)
        rows, added = functional.pad(seen, (0, 1)).permute(2, 0, 1).contiguous(), []
        for places in self.places(queries).split(some):
            if torch.is_grad_enabled():  # features are computed again for the gradient instead of being kept
                added.append(checkpoint(self.network, rows, places, use_reentrant=False))
            else:
                added.append(self.network(rows, places))
        nothing = (queries.lengths == 0).to(seen.device)[:, None]
        return sum_by_query(seen[:, 0], queries) + torch.cat(added).masked_fill(nothing, 0.0)

    def places(self, queries: Ragged) -> Tensor:
        """Where the first tokens of each query are, int64 [queries, tokens]; behind the last where there is none."""
        number = torch.arange(self.tokens)
        at = (queries.offsets[:-1, None] + number).masked_fill(number >= queries.lengths[:, None], len(queries.values))
        return at.to(queries.values.device)

    def network(self, seen: Tensor, places: Tensor) -> Tensor:
        """What is added to MaxSim, [some queries, D].

        Args:
            seen: [query tokens + 1, D, m], zeros in the last one.
            places: int64 [some queries, tokens], of query tokens.
        """
        rows = seen.index_select(0, places.reshape(-1)).unflatten(0, places.shape).transpose(1, 2)
        rows = rows.masked_fill(rows == -torch.inf, 0.0)  # NaN stays, to be seen
        features = functional.relu(_linear(self.rows, rows))
        there = (places < len(seen) - 1).to(rows)[:, None, :, None]
        features = functional.relu(_linear(self.columns, (features * there).transpose(2, 3))).flatten(2)
        return features @ self.out.to(features)

    def work(self, query_tokens: int) -> int:
        """Multiplications for one document beside those of MaxSim."""
        rows = min(query_tokens, self.tokens) * self.m * self.width
        return rows + self.width * self.tokens * self.width + self.width**2


def _linear(layer: torch.nn.Linear, values: Tensor) -> Tensor:
    return functional.linear(values, layer.weight.to(values), layer.bias.to(values))
