"""Fit the embedded model's head on vectors of its frozen backbone, from pairs and from the untrained model's scores."""

from __future__ import annotations

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

SAMPLE = 20_000  # vectors from which principal axes are found


@dataclass(frozen=True)
class HeadSettings:
    """Settings of `fit_head`.

    Args:
        dim: Of the vectors, marker included.
        nested: Dimensions that are trained at once, the whole one among them.
        marker: The marker's share of a mean token.
        steps: Optimiser steps.
        batch: Pairs a step, all from one source.
        near: Pairs of a batch that are alike: so many documents nearest to each of some drawn at random.
        learning_rate: Peak rate of Adam for the projections.
        weights_rate: The same for the weights of tokens and of the mean.
        temperature: Scores are divided by it before the softmax of the contrastive loss.
        sharpness: Standardised scores are multiplied by it before the softmax of the divergence.
        keep: Weight of the divergence from the untrained model's scores.
        stay: Weight of the squared distance of the logarithms of token weights from those of rarity.
        mild: Added to the rarity of a token: the more, the more alike the weights that the fit begins with.
        mean: Length of a query's mean tokens in the beginning.
        seed: Of batches.
    """

    dim: int = 128
    nested: tuple[int, ...] = (32, 64, 96, 128)
    marker: float = 0.65
    steps: int = 600
    batch: int = 48
    near: int = 6
    learning_rate: float = 3e-3
    weights_rate: float = 1e-2
    temperature: float = 0.5
    sharpness: float = 2.0
    keep: float = 1.0
    stay: float = 0.02
    mild: float = 4.0
    mean: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dim not in self.nested or min(self.nested) < 8 or self.batch < 2 * self.near:
            raise InputError("Expected nested dimensions of 8 or more with the whole one, and a batch of twice near.")


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
        head.projection.copy_(_axes(np.concatenate(tokens), settings.dim - 1))
        axes = _axes(np.concatenate(means), min(2 * (settings.dim - 1), in_dim))
        head.mean_projection.zero_()
        head.mean_projection[: len(axes)].copy_(axes)
        used = np.array([token for source in sources for ids in source.query_ids for token in ids[1:-1]])
        typical = float((rare[used] + settings.mild).mean())
        weights = torch.from_numpy((rare + settings.mild) / typical).float()
        special = rare < 0.1  # every text has them
        head.query_weights.copy_(torch.where(torch.from_numpy(special), torch.ones(()), weights))
        head.mean_weights.copy_(torch.from_numpy(rare + 2).float())
        head.query_mean.fill_(settings.mean)
    return head.eval()


def _axes(vectors: np.ndarray, count: int) -> torch.Tensor:
    """The directions in which vectors lie most, uncentred, largest first: float32 [count, dim]."""
    values = vectors.astype(np.float64)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    _, directions = np.linalg.eigh(values.T @ values)
    return torch.from_numpy(directions[:, ::-1][:, :count].T.copy()).float()


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
    """Train a head in place, at all its nested dimensions at once.

    Two losses are added: the cross-entropy of each query's own document against those of its batch, and the divergence
    from the scores of the untrained model, which says what the pairs do not speak of.

    Args:
        head: From `begin_head`.
        sources: Pairs; each step draws one, more often the larger ones.
        settings: Of the fit.
        on_step: Called with (step, contrastive loss, divergence) after each step, averaged over the dimensions.

    Source:
        Contrastive loss: van den Oord, Li and Vinyals, 2018. Distillation: Hinton, Vinyals and Dean, 2015. Nested
        dimensions: Kusupati and others, 2022.
    """
    begun = {name: getattr(head, name).detach().clone().log() for name in ("query_weights", "mean_weights")}
    rates = {"projection": settings.learning_rate, "mean_projection": settings.learning_rate}
    groups = [{"params": [p], "lr": rates.get(name, settings.weights_rate)} for name, p in head.named_parameters()]
    optimizer = torch.optim.Adam(groups)
    peaks: Any = [group["lr"] for group in groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peaks, settings.steps, pct_start=0.1)
    own = torch.arange(settings.batch)
    for step, pairs in enumerate(batches(sources, settings), start=1):
        queries, documents = encode(head, pairs)
        teacher = torch.from_numpy(maxsim(pairs.queries, pairs.documents))
        contrast = divergence = torch.zeros(())
        for dim in settings.nested:
            scores = maxsim_ragged(*(Ragged(prefix(side.values, dim), side.offsets) for side in (queries, documents)))
            contrast = contrast + functional.cross_entropy(scores / settings.temperature, own[: len(scores)])
            divergence = divergence + divergence_of(scores, teacher, settings.sharpness)
        moved = sum(((getattr(head, name).clamp_min(1e-3).log() - start) ** 2).sum() for name, start in begun.items())
        optimizer.zero_grad()
        ((contrast + settings.keep * divergence) / len(settings.nested) + settings.stay * moved).backward()
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(step, contrast.item() / len(settings.nested), divergence.item() / len(settings.nested))


def divergence_of(scores: torch.Tensor, expected: torch.Tensor, sharpness: float) -> torch.Tensor:
    """Divergence of two [n, n] scores, each row standardised, without each query's own document.

    The own document stands far out and would be all that a softmax sees; contrast takes care of it.
    """
    others = ~torch.eye(len(scores), dtype=torch.bool)
    student, teacher = (
        functional.log_softmax(sharpness * functional.layer_norm(part, part.shape[1:]), 1)
        for part in (matrix[others].view(len(scores), -1) for matrix in (scores, expected.to(scores)))
    )
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True)


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
