"""The last module of a late-interaction model: small nested vectors, weights of query tokens, and marked mean tokens.

A backbone that was trained for its mean vector loses most of what it knows about a whole text when its token vectors
are made small. So the mean is kept beside them, as a few tokens of the same dimension which a marker lets meet their
counterparts only: any MaxSim index holds them, and an explanation names them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers.base.modules.module import Module
from torch import Tensor, nn
from torch.nn import functional

MEAN_TOKENS = ("[MEAN 1]", "[MEAN 2]")  # what explanations call them


class LateHead(Module):
    """Token vectors [b, t, in_dim] to [b, t + 2, dim], and the mask of those that count.

    The first coordinate of a vector is the marker: 0 for a token of the text, `marker` and -`marker` for the two halves
    of the mean. Leading coordinates alone are vectors too (nested, or Matryoshka, dimensions): the principal ones come
    first, and `prefix` gives them their old length back. Vectors of documents have length 1; those of a query's tokens
    have the length of their weight, and its mean tokens a share of the sum of these lengths, so that every index and
    scorer honours the weights unchanged and a long question's mean counts as much as a short one's.

    Args:
        in_dim: Dimension of the backbone's vectors.
        dim: Dimension of the vectors, the marker included.
        vocabulary: Number of token ids.
        marker: The share of a mean token that its marker has, above 0 and below 1. From .87 on nothing is nearer to a
            mean token than its counterpart, whatever the texts; real texts, whose means are alike, need less.
        nested: Dimensions that the vectors were trained for, ascending.

    Source:
        Nested dimensions: Kusupati and others, 2022 (Matryoshka). Weights of tokens by rarity: Sparck Jones, 1972; as
        weights of a mean: Arora, Liang and Ma, 2017.
    """

    config_keys: list[str] = ["in_dim", "dim", "vocabulary", "marker", "nested"]  # noqa: RUF012 - the base class has it so
    forward_kwargs: set[str] = {"task"}  # noqa: RUF012
    added_tokens = MEAN_TOKENS  # vectors that stand for no token of the text, behind those that do
    importance_of_ids = True  # see engine.pooling.pieces.model_importance

    def __init__(
        self, in_dim: int, dim: int, vocabulary: int, marker: float = 0.65, nested: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.in_dim, self.dim, self.vocabulary, self.marker = in_dim, dim, vocabulary, marker
        self.nested = list(nested) or [dim]
        self.projection = nn.Parameter(torch.empty(dim - 1, in_dim))
        self.mean_projection = nn.Parameter(torch.empty(2 * (dim - 1), in_dim))  # rows of both halves in turn
        self.query_weights = nn.Parameter(torch.ones(vocabulary))
        self.mean_weights = nn.Parameter(torch.ones(vocabulary))
        self.query_mean = nn.Parameter(torch.ones(()))
        nn.init.orthogonal_(self.projection)
        nn.init.orthogonal_(self.mean_projection)

    def forward(self, features: dict[str, Tensor], task: str | None = None) -> dict[str, Tensor]:
        """Replace `token_embeddings` by the small vectors and the mean tokens behind them; the mask grows with them."""
        vectors = functional.normalize(features["token_embeddings"].to(self.projection.dtype), dim=-1)
        ids = features["input_ids"]
        mask = features["attention_mask"].bool()
        tokens = functional.normalize(vectors @ self.projection.T, dim=-1)
        tokens = functional.pad(tokens, (1, 0))
        means = self._means(vectors, ids, mask)
        if task == "query":
            weights = self.query_weights[ids]
            tokens = tokens * weights.unsqueeze(-1)
            means = means * (self.query_mean * (weights * mask).sum(1)).view(-1, 1, 1)
        features["token_embeddings"] = torch.cat([tokens, means], dim=1)
        features["attention_mask"] = torch.cat([mask, mask.any(1, keepdim=True).expand(-1, means.shape[1])], dim=1)
        return features

    def _means(self, vectors: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """The mean tokens [b, 2, dim] of length 1."""
        mean = torch.einsum("bt,bti->bi", self.mean_weights[ids] * mask, vectors)
        halves = (mean @ self.mean_projection.T).view(-1, self.dim - 1, 2).transpose(1, 2)
        halves = functional.normalize(halves, dim=-1) * (1 - self.marker**2) ** 0.5
        markers = self.marker * torch.tensor([1.0, -1.0], device=halves.device, dtype=halves.dtype)
        # the shape, not the length: an export keeps a length as the number that it was
        return torch.cat([markers.view(1, 2, 1).expand(mean.shape[0], -1, -1), halves], dim=-1)

    def token_importance(self, features: dict[str, Tensor]) -> Tensor:
        """How much each token counts [b, t]: its weight in the mean."""
        return self.mean_weights[features["input_ids"]]

    def get_embedding_dimension(self) -> int:
        """Dimension of a token vector."""
        return self.dim

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write `config.json` and the weights."""
        self.save_config(output_path)
        self.save_torch_weights(output_path, safe_serialization=safe_serialization)

    @classmethod
    def load(cls, model_name_or_path: str, **kwargs: Any) -> LateHead:
        """Read what `save` wrote."""
        names = ("subfolder", "token", "cache_folder", "revision", "local_files_only")
        hub = {name: kwargs[name] for name in names if name in kwargs}
        model = cls(**cls.load_config(model_name_or_path, **hub))
        cls.load_torch_weights(model_name_or_path, model=model, **hub)
        return model


def prefix(vectors: Tensor, dim: int) -> Tensor:
    """The leading coordinates of nested vectors, at the length that the whole vectors have.

    Args:
        vectors: [..., d].
        dim: At most d.

    Returns:
        [..., dim].
    """
    if dim == vectors.shape[-1]:
        return vectors
    short = vectors[..., :dim]
    return functional.normalize(short, dim=-1) * vectors.norm(dim=-1, keepdim=True)


class Prefix(Module):
    """Keep the leading coordinates of nested vectors; the last module of a model.

    Args:
        dim: How many.
    """

    config_keys: list[str] = ["dim"]  # noqa: RUF012
    added_tokens = ()

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Shorten `token_embeddings`."""
        features["token_embeddings"] = prefix(features["token_embeddings"], self.dim)
        return features

    def get_embedding_dimension(self) -> int:
        """Dimension of a token vector."""
        return self.dim

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write `config.json`."""
        self.save_config(output_path)
