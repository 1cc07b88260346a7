"""Fitting the embedded model's adapter and head together, from pairs and from a teacher's scores."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import InputError
from workbench.embedded.teacher import Teacher

if TYPE_CHECKING:
    import torch

QUERY_LENGTH = 48
MINI_BATCH = 2048  # tokens, padding included
LAYERS = r"encoder\..*\.(query|key|value|dense)"  # the pooler is not used


@dataclass(frozen=True)
class AdapterSettings:
    """Settings of `fit_adapter`.

    Args:
        rank: Of the adapter.
        steps: Optimiser steps.
        batch: Pairs a step, all from one source.
        near: Pairs of a batch that are alike: so many documents nearest to each of some drawn at random.
        learning_rate: Peak rate of AdamW, rising over a tenth of the steps, then falling to zero.
        temperature: Scores are divided by it before the softmax of the contrastive loss.
        sharpness: Standardised scores are multiplied by it before the softmax of the divergence.
        document_length: Tokens after which documents are cut while training.
        keep: Weight of the divergence from the teacher's scores, beside the contrastive loss.
        seed: Seed of batches and new weights.
    """

    rank: int = 16
    steps: int = 160
    batch: int = 48
    near: int = 6
    learning_rate: float = 5e-4
    temperature: float = 0.5
    sharpness: float = 2.0
    document_length: int = 128
    keep: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.rank, self.steps, self.near) < 1 or self.batch < 2 * self.near:
            raise InputError("Expected a rank, steps and near of 1 or more and a batch of twice near: raise them.")
        if not (min(self.learning_rate, self.temperature, self.sharpness) > 0 and self.keep >= 0):
            raise InputError(
                "Expected a positive learning rate, temperature and sharpness and keep of 0 or more: correct them."
            )


@dataclass(frozen=True)
class Source:
    """Pairs from one place.

    Args:
        queries: n texts.
        documents: n texts; the i-th answers the i-th query.
        teacher: What scores them.
    """

    queries: Sequence[str]
    documents: Sequence[str]
    teacher: Teacher


def fit_adapter(
    model: Any,
    sources: Sequence[Source],
    settings: AdapterSettings,
    on_step: Callable[[int, float, float], None] | None = None,
) -> None:
    """Train low-rank changes of the backbone and the head in place, so that MaxSim finds each query's document.

    Two losses are added: the cross-entropy of each query's own document against those of its batch, and the divergence
    from the teacher's scores of the others, which says what the pairs do not speak of.

    Args:
        model: The backbone with a head, in float32; in the end a plain model with changed weights.
        sources: Of the pairs; each step draws one, with equal chances.
        settings: Of the fit.
        on_step: Called with (step, contrastive loss, divergence) after each step.

    Source:
        Contrastive loss: van den Oord, Li and Vinyals, 2018. Distillation: Hinton, Vinyals and Dean, 2015. Low-rank
        changes: Hu and others, 2021 (LoRA).
    """
    import torch
    from torch.nn import functional
    from torch.nn.utils import parametrize

    from engine.maxsim.differentiable import Ragged, maxsim_ragged

    torch.manual_seed(settings.seed)
    model.requires_grad_(False)
    backbone = model[0].auto_model
    adapted = add_low_rank(backbone, settings.rank)
    attention = backbone.config._attn_implementation
    backbone.set_attn_implementation("eager")  # on a CPU, the fused one's backward pass in bfloat16 waits for malloc
    model[1].linear.weight.requires_grad_(True)
    model.eval()  # no dropout: the few steps are better spent on what is there
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, settings.steps, pct_start=0.1)
    for step, (source, rows) in enumerate(_batches(sources, settings), start=1):
        with torch.autocast("cpu", torch.bfloat16), parametrize.cached():
            queries = _encode(model, [source.queries[i] for i in rows], "query", QUERY_LENGTH)
            texts = [source.documents[i] for i in rows]
            documents = _encode(model, texts, "document", settings.document_length)
        scores = maxsim_ragged(Ragged(*queries), Ragged(*documents))
        contrast = functional.cross_entropy(scores / settings.temperature, torch.arange(len(rows)))
        divergence = _divergence(scores, torch.from_numpy(source.teacher.scores(rows)), settings.sharpness)
        optimizer.zero_grad()
        (contrast + settings.keep * divergence).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(step, contrast.item(), divergence.item())
    backbone.set_attn_implementation(attention)
    for module in adapted:
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)


def add_low_rank(backbone: Any, rank: int) -> list[Any]:
    """Add a product of two thin matrices to the weights of the backbone's layers, and train only these.

    The sum is computed once a step, not the layer's output twice: on 2 cores a step takes two thirds of the time that
    it takes with adapters beside the layers.

    Args:
        backbone: A BERT; its other weights are as trainable as they were.
        rank: Of the product.

    Returns:
        The layers that have one.
    """
    import torch
    from torch import nn
    from torch.nn.utils import parametrize

    class LowRank(nn.Module):
        def __init__(self, weight: torch.Tensor) -> None:
            super().__init__()
            self.down = nn.Parameter(torch.empty(rank, weight.shape[1]))
            self.up = nn.Parameter(torch.zeros(weight.shape[0], rank))
            nn.init.kaiming_uniform_(self.down, a=5**0.5)

        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", enabled=False):
                return weight + 2.0 * (self.up @ self.down)

    adapted = [module for name, module in backbone.named_modules() if re.fullmatch(LAYERS, name)]
    for module in adapted:
        parametrize.register_parametrization(module, "weight", LowRank(module.weight))
    return adapted


def _divergence(scores: torch.Tensor, expected: torch.Tensor, sharpness: float) -> torch.Tensor:
    """Divergence of two [n, n] scores, each row standardised, without each query's own document.

    The own document stands far out and would be all that a softmax sees; contrast takes care of it.
    """
    import torch
    from torch.nn import functional

    others = ~torch.eye(len(scores), dtype=torch.bool)
    student, teacher = (
        functional.log_softmax(sharpness * (part - part.mean(1, keepdim=True)) / part.std(1, keepdim=True), 1)
        for part in (matrix[others].view(len(scores), -1) for matrix in (scores, expected.to(scores)))
    )
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True)


def _batches(sources: Sequence[Source], settings: AdapterSettings) -> Iterator[tuple[Source, list[int]]]:
    """One source a step, and rows of it that are alike in groups, so that a batch holds hard negatives."""
    generator = np.random.default_rng(settings.seed)
    means = [source.teacher.document_means for source in sources]
    for _ in range(settings.steps):
        i = int(generator.integers(len(sources)))
        rows: dict[int, None] = {}
        while len(rows) < min(settings.batch, len(means[i])):
            first = int(generator.integers(len(means[i])))
            near = np.argsort(-(means[i] @ means[i][first]), kind="stable")[: 3 * settings.near]
            others = generator.choice(near[1:], min(settings.near - 1, len(near) - 1), replace=False)
            rows |= dict.fromkeys([first, *others.tolist()])
        yield sources[i], _distinct(sources[i], list(rows)[: settings.batch])


def _distinct(source: Source, rows: list[int]) -> list[int]:
    """Without rows whose query or document is there already: they would be told apart where nothing differs."""
    queries: set[str] = set()
    documents: set[str] = set()
    kept = []
    for row in rows:
        if source.queries[row] not in queries and source.documents[row] not in documents:
            kept.append(row)
            queries.add(source.queries[row])
            documents.add(source.documents[row])
    return kept


def _encode(model: Any, texts: list[str], task: str, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors float32 [tokens, dim] with their graph and offsets int64 [n + 1]; pieces of like length spare padding."""
    import torch

    from engine.training.batches import cut_mini_batches, encode

    features = {**model.preprocess(texts, task=task, max_length=length), "task": task}
    parts: list[torch.Tensor] = [torch.empty(0)] * len(texts)
    for batch in cut_mini_batches(features, MINI_BATCH):
        vectors, lengths = encode(model, batch)
        for row, part in zip(batch.rows.tolist(), vectors.float().split(lengths.tolist()), strict=True):
            parts[row] = part
    offsets = torch.tensor([0, *np.cumsum([len(part) for part in parts]).tolist()])
    return torch.cat(parts), offsets
