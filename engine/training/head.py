"""A linear head that makes token vectors smaller while MaxSim scores stay what they were, with no labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class HeadSettings:
    """Settings of `fit_head`.

    Args:
        dim: Dimensions to keep.
        steps: Optimiser steps.
        near: Documents of a batch that are nearest to a random one, by their mean vector: the hard ones.
        random: Further documents of a batch, at random.
        learning_rate: Peak rate of Adam, falling to zero along a cosine.
        temperature: MaxSim scores are divided by it before the softmax.
        mse: Weight of the squared error of the scores a query token, beside the divergence.
        seed: Seed of the batches.
    """

    dim: int = 96
    steps: int = 600
    near: int = 16
    random: int = 8
    learning_rate: float = 1e-3
    temperature: float = 0.5
    mse: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.dim, self.steps, self.near + self.random - 1) < 1 or min(self.near, self.random) < 0:
            raise InputError("Expected at least one dimension and step, and two documents a batch: raise the settings.")
        if not (self.learning_rate > 0 and self.temperature > 0 and self.mse >= 0):
            raise InputError("Expected a positive learning rate and temperature and mse of 0 or more: correct them.")


def principal_head(documents: TokenEmbeddings, dim: int) -> np.ndarray:
    """The linear map that keeps dot products best in the mean square: leading axes of the second moment.

    Args:
        documents: Token vectors [tokens, d] as they are scored; they are not centred, since MaxSim is not.
        dim: Dimensions to keep.

    Returns:
        float32 [dim, d] with orthonormal rows, each with its largest entry positive.

    Raises:
        InputError: `dim` is more than the vectors have.

    Source:
        Eckart and Young, 1936: the best approximation of a matrix of a given rank.
    """
    if not 1 <= dim <= documents.dim:
        raise InputError(f"Expected 1 to {documents.dim} dimensions, got {dim}: choose fewer than the vectors have.")
    moment = np.zeros((documents.dim, documents.dim))
    for start in range(0, documents.n_tokens, 65536):
        block = documents.values[start : start + 65536].astype(np.float32)
        moment += block.T @ block
    axes = np.linalg.eigh(moment)[1][:, ::-1][:, :dim].T
    signs = np.sign(axes[np.arange(dim), np.abs(axes).argmax(1)])
    return (axes * signs[:, None]).astype(np.float32)


def fit_head(
    documents: TokenEmbeddings,
    settings: HeadSettings | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> np.ndarray:
    """Fit a linear head by distilling MaxSim scores between texts from the full vectors to the smaller ones.

    Each batch holds a document, those near it and some others. A few consecutive token vectors of each stand for a
    query and are scored against all other documents of the batch. The loss is the divergence of the small vectors'
    score distribution from the full vectors', plus the squared error of the scores.

    Args:
        documents: n documents, unit vectors.
        settings: Defaults when None.
        on_step: Called with (step, loss) after each step.

    Returns:
        The weight, float32 [dim, d]: small vector = weight @ vector, then normalised.

    Raises:
        InputError: there are fewer documents than a batch takes.

    Source:
        Distillation by Kullback-Leibler divergence: Hinton, Vinyals and Dean, 2015.
    """
    import torch
    from torch.nn import functional

    settings = settings or HeadSettings()
    if len(documents) < settings.near + settings.random:
        raise InputError(
            f"Expected at least {settings.near + settings.random} documents, got {len(documents)}: add texts or make "
            "the batches smaller."
        )
    weight = torch.nn.Parameter(torch.from_numpy(principal_head(documents, settings.dim)))
    optimizer = torch.optim.Adam([weight], lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    queries = _windows(documents, settings.seed)
    for step, rows in enumerate(_batches(documents, settings), start=1):
        query, query_offsets = _ragged(queries, rows)
        document, document_offsets = _ragged(documents, rows)
        owner = torch.repeat_interleave(torch.arange(len(rows)), query_offsets.diff())
        with torch.no_grad():
            teacher = _sums(_best_tokens(query @ document.T, document_offsets)[0], owner)
        small = [functional.normalize(functional.linear(side, weight), dim=-1) for side in (query, document)]
        with torch.no_grad():
            best = _best_tokens(small[0] @ small[1].T, document_offsets)[1]
        student = _sums((small[1][best] * small[0][:, None]).sum(2), owner)  # only the best pairs get a gradient
        loss = _distance(student, teacher, query_offsets.diff()[:, None], settings)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(step, loss.item())
    return weight.detach().numpy()


def _distance(
    student: torch.Tensor, teacher: torch.Tensor, lengths: torch.Tensor, settings: HeadSettings
) -> torch.Tensor:
    import torch
    from torch.nn import functional

    n = len(teacher)
    others = ~torch.eye(n, dtype=torch.bool)  # a window's own document scores far above all others and would hide them
    student, teacher = student[others].view(n, n - 1), teacher[others].view(n, n - 1)
    divergence = functional.kl_div(
        functional.log_softmax(student / settings.temperature, 1),
        functional.log_softmax(teacher / settings.temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
    return divergence + settings.mse * ((student - teacher) / lengths).square().mean()


def save_head(weight: np.ndarray, folder: str | Path) -> None:
    """Save a weight as a Dense module of sentence-transformers that works on token vectors.

    Args:
        weight: float32 [dim, d].
        folder: Where `config.json` and `model.safetensors` go.
    """
    import torch
    from sentence_transformers.base.modules.dense import Dense

    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    Dense(
        weight.shape[1],
        weight.shape[0],
        bias=False,
        activation_function=torch.nn.Identity(),
        init_weight=torch.from_numpy(np.ascontiguousarray(weight, dtype=np.float32)),
        module_input_name="token_embeddings",
    ).save(str(path))


def _batches(documents: TokenEmbeddings, settings: HeadSettings) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(settings.seed)
    means = np.stack([vectors.astype(np.float32).mean(0) for vectors in documents])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    for _ in range(settings.steps):
        near = np.argsort(-(means @ means[generator.integers(len(means))]), kind="stable")
        others = generator.choice(near[settings.near :], settings.random, replace=False)
        yield np.concatenate([near[: settings.near], others])


def _windows(documents: TokenEmbeddings, seed: int) -> TokenEmbeddings:
    """First token, 6 to 23 consecutive tokens and last token of each document: a stand-in for a question."""
    generator = np.random.default_rng(seed)
    found = []
    for vectors in documents:
        length = min(int(generator.integers(6, 24)), len(vectors))
        start = int(generator.integers(0, len(vectors) - length + 1))
        found.append(np.concatenate([vectors[:1], vectors[start : start + length], vectors[-1:]]))
    return TokenEmbeddings.from_list(found, dim=documents.dim)


def _ragged(embeddings: TokenEmbeddings, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors [tokens, d] float32 and offsets [len(rows) + 1] of some items."""
    import torch

    chosen = embeddings.select(rows)
    return torch.from_numpy(chosen.values.astype(np.float32)), torch.from_numpy(chosen.offsets)


def _best_tokens(similarity: torch.Tensor, offsets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """For each query token the similarity and the row of each document's best token, [query tokens, documents]."""
    import torch

    bounds = offsets.tolist()
    found = [similarity[:, a:b].max(1) for a, b in pairwise(bounds)]
    rows = [best.indices + a for best, a in zip(found, bounds, strict=False)]
    return torch.stack([best.values for best in found], 1), torch.stack(rows, 1)


def _sums(best: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
    """Sum what belongs to the tokens of one query: [query tokens, documents] to [queries, documents]."""
    return best.new_zeros(int(owner[-1]) + 1, best.shape[1]).index_add(0, owner, best)
