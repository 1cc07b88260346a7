"""Fit the embedded model's head on vectors of its frozen backbone, from pairs and from scores of its whole vectors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from engine import TokenEmbeddings, maxsim
from engine.errors import InputError
from engine.late_head import LateHead, prefix
from engine.maxsim.differentiable import Ragged, maxsim_ragged
from engine.pooling.differentiable import link_ragged, pool_ragged
from engine.training.axes import principal_axes

SAMPLE = 20_000  # vectors from which principal axes are found


@dataclass(frozen=True)
class HeadSettings:
    """Settings of `fit_head`.

    Args:
        dim: Of the vectors, marker included.
        nested: Dimensions that are trained at once, the whole one among them.
        pool_factors: Scores of documents pooled by these are trained too, at the whole dimension; 1 is always trained.
        marker: The marker's share of a mean token.
        steps: Optimiser steps; 0 leaves the head as it begins.
        batch: Pairs a step, all from one source.
        near: Pairs of a batch that are alike: so many documents nearest to each of some drawn at random.
        learning_rate: Peak rate of Adam for the projections.
        weights_rate: The same for the weights of tokens and of the mean.
        temperature: Scores are divided by it before the softmax of the contrastive loss.
        contrast: Weight of the contrastive loss beside the distance from the whole vectors' scores.
        stay: Weight of the squared distance of the logarithms of token weights from those of rarity.
        tilt: A nested dimension counts as its share of the whole one to this power.
        pooled: What each pool factor counts beside the whole dimension.
        mild: Added to the rarity of a token: the more, the more alike the weights that the fit begins with.
        mean: What the cosine of the means counts in a score beside the mean cosine of the query's tokens.
        seed: Of batches.
    """

    dim: int = 128
    nested: tuple[int, ...] = (32, 64, 96, 128)
    pool_factors: tuple[int, ...] = (2, 4)
    marker: float = 0.65
    steps: int = 800
    batch: int = 48
    near: int = 6
    learning_rate: float = 5e-4
    weights_rate: float = 1e-3
    temperature: float = 0.5
    contrast: float = 0.1
    stay: float = 0.02
    tilt: float = 2.0
    pooled: float = 2.0
    mild: float = 4.0
    mean: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dim not in self.nested or min(self.nested) < 8 or self.batch < 2 * self.near:
            raise InputError("Expected nested dimensions of 8 or more with the whole one, and a batch of twice near.")
        if not all(factor > 1 for factor in self.pool_factors):
            raise InputError("Expected pool factors above 1: whole documents are always trained on.")


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts from one place, as token ids and as vectors of the backbone.

    Args:
        query_ids: n lists of token ids.
        document_ids: n lists; the i-th document answers the i-th query.
        queries: Vectors of these tokens.
        documents: Vectors of these tokens.
    """

    query_ids: Sequence[Sequence[int]]
    document_ids: Sequence[Sequence[int]]
    queries: TokenEmbeddings
    documents: TokenEmbeddings

    def __len__(self) -> int:
        return len(self.query_ids)

    def select(self, rows: Sequence[int]) -> Pairs:
        """Some of the pairs."""
        query_ids, document_ids = ([side[i] for i in rows] for side in (self.query_ids, self.document_ids))
        return Pairs(query_ids, document_ids, self.queries.select(rows), self.documents.select(rows))


def rarity(sources: Sequence[Pairs], vocabulary: int) -> np.ndarray:
    """Logarithm of the number of documents over the number of those that hold each token, float64 [vocabulary]."""
    counts, n = np.zeros(vocabulary), 0
    for source in sources:
        n += len(source)
        for ids in source.document_ids:
            counts[list(set(ids))] += 1
    return np.log((n + 1) / (counts + 0.5))


def begin_head(sources: Sequence[Pairs], vocabulary: int, settings: HeadSettings) -> LateHead:
    """A head before any step: principal axes of vectors and of means, weights by rarity.

    Args:
        sources: Pairs.
        vocabulary: Number of token ids.
        settings: Of the fit.

    Returns:
        The head, in evaluation mode.
    """
    rare = rarity(sources, vocabulary)
    in_dim = sources[0].documents.dim
    head = LateHead(in_dim, settings.dim, vocabulary, settings.marker, settings.nested)
    generator = np.random.default_rng(settings.seed)
    share = max(SAMPLE // len(sources), 1)
    tokens, means = [], []
    for source in sources:
        values = source.documents.values
        tokens.append(values[np.sort(generator.permutation(len(values))[:share])].astype(np.float32))
        means.append(_means(source.documents, source.document_ids, rare + 2))
    with torch.no_grad():
        head.projection.copy_(torch.from_numpy(principal_axes(np.concatenate(tokens), settings.dim - 1)))
        axes = torch.from_numpy(principal_axes(np.concatenate(means), min(2 * (settings.dim - 1), in_dim)))
        head.mean_projection.zero_()
        head.mean_projection[: len(axes)].copy_(axes)
        used = np.array([token for source in sources for ids in source.query_ids for token in ids[1:-1]])
        typical = float((rare[used] + settings.mild).mean())
        weights = torch.from_numpy((rare + settings.mild) / typical).float()
        special = rare < 0.1  # every text has them
        head.query_weights.copy_(torch.where(torch.from_numpy(special), torch.ones(()), weights))
        head.mean_weights.copy_(torch.from_numpy(rare + 2).float())
        # Two tokens stand for the mean, each with 1 - marker^2 of a cosine that is its own.
        head.query_mean.fill_(settings.mean / (2 * (1 - settings.marker**2)))
    return head.eval()


def _means(vectors: TokenEmbeddings, ids: Sequence[Sequence[int]], weights: np.ndarray) -> np.ndarray:
    """Weighted means of each text's vectors, float32 [n, dim]."""
    weighted = vectors.values.astype(np.float32) * weights[np.concatenate(ids)][:, None].astype(np.float32)
    return np.add.reduceat(weighted, vectors.offsets[:-1], axis=0)


def fit_head(
    head: LateHead,
    sources: Sequence[Pairs],
    settings: HeadSettings,
    on_step: Callable[[int, float, float], None] | None = None,
) -> None:
    """Train a head in place, at all its nested dimensions and pool factors at once.

    Two losses are added: the distance from the scores that the same weights and means give over the backbone's whole
    vectors, and the cross-entropy of each query's own document against those of its batch.

    Args:
        head: From `begin_head`.
        sources: Pairs; each step draws one, more often the larger ones.
        settings: Of the fit.
        on_step: Called with (step, contrastive loss, distance) after each step, averaged over dimensions and factors.

    Source:
        Contrastive loss: van den Oord, Li and Vinyals, 2018. Distillation: Hinton, Vinyals and Dean, 2015. Nested
        dimensions: Kusupati and others, 2022.
    """
    begun = copy.deepcopy(head)
    rates = {"projection": settings.learning_rate, "mean_projection": settings.learning_rate}
    groups = [{"params": [p], "lr": rates.get(name, settings.weights_rate)} for name, p in head.named_parameters()]
    optimizer = torch.optim.Adam(groups)
    peaks: Any = [group["lr"] for group in groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peaks, max(settings.steps, 1), pct_start=0.1)
    for step, pairs in enumerate(batches(sources, settings), start=1):
        expected = torch.from_numpy(whole_scores(begun, pairs, settings.mean))
        shares, losses = zip(*_losses(head, pairs, expected, settings), strict=True)
        contrast, distance = (
            torch.stack([share * loss[part] for share, loss in zip(shares, losses, strict=True)]).sum() / sum(shares)
            for part in (0, 1)
        )
        optimizer.zero_grad()
        (settings.contrast * contrast + distance + settings.stay * _moved(head, begun)).backward()
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(step, contrast.item(), distance.item())


def _losses(
    head: LateHead, pairs: Pairs, expected: torch.Tensor, settings: HeadSettings
) -> Iterator[tuple[float, tuple[torch.Tensor, torch.Tensor]]]:
    """What each dimension and factor counts, its contrastive loss and its distance from the expected scores."""
    queries, documents = encode(head, pairs)
    own = torch.arange(len(pairs))
    linkage = link_ragged(documents.values, documents.offsets, added=len(head.added_tokens))
    asked = [((dim / settings.dim) ** settings.tilt, dim, 1) for dim in settings.nested]
    for share, dim, factor in [*asked, *((settings.pooled, settings.dim, k) for k in settings.pool_factors)]:
        held = Ragged(*pool_ragged(documents.values, documents.offsets, factor, linkage=linkage))
        scores = maxsim_ragged(*(Ragged(prefix(side.values, dim), side.offsets) for side in (queries, held)))
        yield share, (functional.cross_entropy(scores / settings.temperature, own), distance_of(scores, expected))


def _moved(head: LateHead, begun: LateHead) -> torch.Tensor:
    """Squared distance of the logarithms of the tokens' weights from those that the fit began with."""
    return torch.stack(
        [
            ((getattr(head, name).clamp_min(1e-3).log() - getattr(begun, name).detach().log()) ** 2).sum()
            for name in ("query_weights", "mean_weights")
        ]
    ).sum()


def distance_of(scores: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of two [m, n] scores, each query's standardised: 2 - 2 times their correlation."""
    found, aimed = (functional.layer_norm(part, part.shape[1:]) for part in (scores, expected.to(scores)))
    return functional.mse_loss(found, aimed)


def whole_scores(head: LateHead, pairs: Pairs, mean: float) -> np.ndarray:
    """Scores of a head's weights and means over the backbone's whole vectors.

    Args:
        head: Its weights of tokens are used, its projections are not.
        pairs: n pairs.
        mean: What the cosine of the means counts, see `HeadSettings`.

    Returns:
        float32 [n, n].
    """
    weights, of_means = (table.detach().numpy() for table in (head.query_weights, head.mean_weights))
    lengths = weights[np.concatenate(pairs.query_ids)]
    queries = pairs.queries.values.astype(np.float32) * lengths[:, None]
    scores = maxsim(TokenEmbeddings(queries, pairs.queries.offsets), pairs.documents)
    means = _means(pairs.queries, pairs.query_ids, of_means), _means(pairs.documents, pairs.document_ids, of_means)
    sides = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in means]
    total = np.add.reduceat(lengths, pairs.queries.offsets[:-1])
    return scores + mean * total[:, None] * (sides[0] @ sides[1].T)


def encode(head: LateHead, pairs: Pairs) -> tuple[Ragged, Ragged]:
    """A head's vectors of queries and of documents, with their graph."""
    return (
        _run(head, pairs.query_ids, pairs.queries, "query"),
        _run(head, pairs.document_ids, pairs.documents, "document"),
    )


def _run(head: LateHead, ids: Sequence[Sequence[int]], vectors: TokenEmbeddings, task: str) -> Ragged:
    offsets = torch.from_numpy(np.asarray(vectors.offsets))
    values = torch.from_numpy(np.asarray(vectors.values, dtype=np.float32))
    padded, mask = Ragged(values, offsets).padded()
    tokens = torch.zeros(mask.shape, dtype=torch.int64)
    tokens[mask] = torch.from_numpy(np.concatenate([np.asarray(row) for row in ids]))
    features = {"token_embeddings": padded, "attention_mask": mask, "input_ids": tokens}
    features = head(features, task=task)
    kept = features["attention_mask"]
    lengths = torch.cat([torch.zeros(1, dtype=torch.int64), kept.sum(1).cumsum(0)])
    return Ragged(features["token_embeddings"][kept], lengths)


def batches(sources: Sequence[Pairs], settings: HeadSettings) -> Iterator[Pairs]:
    """One source a step, and rows of it that are alike in groups, so that a batch holds hard negatives."""
    generator = np.random.default_rng(settings.seed)
    means = [_means(source.documents, source.document_ids, np.ones(1 << 16)) for source in sources]
    means = [values / np.linalg.norm(values, axis=1, keepdims=True) for values in means]
    chances = np.sqrt([len(source) for source in sources])
    for _ in range(settings.steps):
        i = int(generator.choice(len(sources), p=chances / chances.sum()))
        rows: dict[int, None] = {}
        while len(rows) < min(settings.batch, len(sources[i])):
            first = int(generator.integers(len(means[i])))
            near = np.argsort(-(means[i] @ means[i][first]), kind="stable")[: 3 * settings.near]
            others = generator.choice(near[1:], min(settings.near - 1, len(near) - 1), replace=False)
            rows |= dict.fromkeys([first, *others.tolist()])
        yield sources[i].select(_distinct(sources[i], list(rows)[: settings.batch]))


def _distinct(source: Pairs, rows: list[int]) -> list[int]:
    """Without rows whose query or document is there already: they would be told apart where nothing differs."""
    seen: set[tuple[int, ...]] = set()
    kept = []
    for row in rows:
        texts = {tuple(source.query_ids[row]), tuple(source.document_ids[row])}
        if not texts & seen:
            kept.append(row)
            seen |= texts
    return kept
