"""Scorers with weights of their own, which training finds and which lie in the folder of the model."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engine.maxsim.scorer_kinds import BaseScorer, whole


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

    def weights(self, query: Tensor) -> Tensor:
        """How much each token of a query [q, dim] counts, [q], 1 on average: what a page can show."""
        return torch.softmax(query @ self.direction[: query.shape[1]].to(query), dim=0) * len(query)

    def combine(self, best: Tensor, query: Tensor) -> Tensor:
        """The weighted sum."""
        return best @ self.weights(query)


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

    def judge(self, similarity: Tensor, mask: Tensor, query: Tensor, floor: Tensor | None, training: bool) -> Tensor:
        """MaxSim and the network's sum."""
        best = similarity.topk(min(self.m, similarity.shape[2]), dim=2).values
        best = best.masked_fill(best == -torch.inf, 0.0)  # NaN stays, to be seen
        seen = functional.pad(best[:, : self.tokens], (0, self.m - best.shape[2]))
        features = functional.relu(_linear(self.rows, seen)).transpose(1, 2)
        features = functional.pad(features, (0, self.tokens - features.shape[2]))
        features = functional.relu(_linear(self.columns, features)).flatten(1)
        return best[:, :, 0].sum(dim=1) + features @ self.out.to(features)

    def work(self, query_tokens: int) -> int:
        """Multiplications for one document beside those of MaxSim."""
        rows = min(query_tokens, self.tokens) * self.m * self.width
        return rows + self.width * self.tokens * self.width + self.width**2


def _linear(layer: torch.nn.Linear, values: Tensor) -> Tensor:
    return functional.linear(values, layer.weight.to(values), layer.bias.to(values))
