"""Proof that caching changes nothing: the gradients of the cached and the plain loss on one batch, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.training.batches import Features
from engine.training.losses import ALL_TOKENS, LateInteractionLoss

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Proof:
    """How far two ways to the same gradient are apart.

    Args:
        cached_loss: Loss with every mini-batch encoded twice.
        plain_loss: Loss with every graph kept.
        largest_difference: Of any entry of the gradient.
        largest_gradient: Largest entry of the plain gradient.
    """

    cached_loss: float
    plain_loss: float
    largest_difference: float
    largest_gradient: float

    @property
    def agrees(self) -> bool:
        """Whether both agree to 1e-5 of the largest entry, or of 1 where that is smaller."""
        bound = TOLERANCE * max(self.largest_gradient, 1.0)
        return self.largest_difference <= bound and abs(self.cached_loss - self.plain_loss) <= TOLERANCE


def check_gradients(loss: LateInteractionLoss, columns: list[Features], labels: Tensor | None = None) -> Proof:
    """Compute both gradients from the same random state.

    Args:
        loss: Of a run; its settings and the gradients of its model are put back.
        columns: A small batch.
        labels: Teacher scores, for the losses that have them.

    Returns:
        The comparison.
    """
    kept, watch, state = loss.graph_tokens, loss.watch, torch.get_rng_state()
    parameters: list[Any] = [parameter for parameter in loss.model.parameters() if parameter.requires_grad]
    before = [parameter.grad for parameter in parameters]
    loss.watch = None
    found = []
    try:
        for graph_tokens in (0, ALL_TOKENS):
            loss.graph_tokens = graph_tokens
            torch.set_rng_state(state)
            for parameter in parameters:
                parameter.grad = None
            value = loss([dict(column) for column in columns], labels)
            value.backward()
            gradient = torch.cat([p.grad.flatten().float() for p in parameters if p.grad is not None])
            found.append((value.item(), gradient))
    finally:
        loss.graph_tokens, loss.watch = kept, watch
        for parameter, gradient in zip(parameters, before, strict=True):
            parameter.grad = gradient
        torch.set_rng_state(state)
    (cached, own), (plain, other) = found
    return Proof(cached, plain, float((own - other).abs().max()), float(other.abs().max()))
