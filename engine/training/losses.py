"""Losses over MaxSim whose memory depends neither on the batch's activations nor on its similarity tensor.

Every loss here runs in three passes (GradCache: Gao, Zhang, Han and Callan, 2021): encode in mini-batches of similar
length, keeping graphs only as far as they fit; compute the loss on the vectors and its gradient there; encode again
what had no graph and carry the gradient into the weights. With room for every graph it is the plain loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from engine.errors import InputError
from engine.training import scoring
from engine.training.batches import Features, Ragged, encode_columns, join, replay

ALL_TOKENS = 1 << 62  # room for every graph: nothing is encoded twice


class LateInteractionLoss(nn.Module):
    """Base: columns in, a loss whose backward pass fills the gradients of the model.

    Args:
        model: A MultiVectorEncoder; the trainer puts the wrapped model in its place.
        mini_batch_tokens: Tokens encoded together, padding included.
        graph_tokens: Tokens whose graph may stay alive through the loss; None keeps all.
    """

    uses_gradient_cache = True  # the trainer then leaves static graphs and the like alone

    def __init__(self, model: Any, mini_batch_tokens: int = 1024, graph_tokens: int | None = 1024) -> None:
        super().__init__()
        if mini_batch_tokens < 1 or (graph_tokens is not None and graph_tokens < 0):
            raise InputError("Expected mini-batches of one token or more: raise mini_batch_tokens.")
        self.model = model
        self.mini_batch_tokens = mini_batch_tokens
        self.graph_tokens = ALL_TOKENS if graph_tokens is None else graph_tokens
        self.watch: Callable[[list[Features], float], None] | None = None

    def use_mini_batches(self, tokens: int) -> None:
        """Change the mini-batches, and with them what is kept of the graph unless all of it is."""
        self.mini_batch_tokens = tokens
        if self.graph_tokens != ALL_TOKENS:
            self.graph_tokens = tokens

    def on_vectors(self, queries: Ragged, documents: list[Ragged], labels: Tensor | None) -> Tensor:
        """The loss on vectors that are leaves; its graph must end there.

        Args:
            queries: The batch's queries.
            documents: One a document column, positives first.
            labels: Teacher scores float [batch, columns], for the losses that have them.

        Returns:
            A scalar, averaged over the batch.
        """
        raise NotImplementedError

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        """The trainer's entry; see the module."""
        columns = [
            {**features, "task": features.get("task", "document" if i else "query")}
            for i, features in enumerate(sentence_features)
        ]
        device = columns[0]["input_ids"].device
        # Wrapped for data parallel, the model would wait for the other processes in every forward pass, and they cut
        # other numbers of mini-batches: the gradients are averaged once, at the end.
        inner = self.model.module if isinstance(self.model, DistributedDataParallel) else self.model
        encoded = encode_columns(inner, columns, self.mini_batch_tokens, self.graph_tokens, device)
        joined = [join(encoded, i) for i in range(len(columns))]
        vectors = [column for column, _ in joined]
        with torch.autocast(device.type, enabled=False):  # scores are sums of many products: 8 bits would not do
            loss = self.on_vectors(vectors[0], vectors[1:], labels)
        if not torch.is_grad_enabled():
            return loss
        if self.watch is not None:
            self.watch(columns, float(loss.detach()))
        loss.backward()
        places = [place for _, column in joined for place in column]
        gradients = [_gradient(vectors[entry.column].values) for entry, _ in places]
        # The backward pass comes after the caller has left its autocast: what is encoded again must be as it was.
        enabled, dtype = torch.is_autocast_enabled(device.type), torch.get_autocast_dtype(device.type)

        def carry(scale: Tensor) -> None:
            with torch.autocast(device.type, dtype, enabled=enabled):
                replay(inner, places, gradients, scale)
            if inner is not self.model:
                average_gradients(inner)

        result = loss.detach().requires_grad_()
        result.register_hook(carry)
        return result

    def get_config_dict(self) -> dict[str, Any]:
        """For the model card."""
        return {"mini_batch_tokens": self.mini_batch_tokens}


class ContrastiveLoss(LateInteractionLoss):
    """Cross-entropy of each query's positive against all documents of the batch.

    Args:
        model: See the base.
        temperature: Scores are divided by it.
        false_negative_threshold: Negatives that score more than this share of the positive's score are left out.
        gather: Take the documents of all processes.
        mini_batch_tokens: See the base.
        graph_tokens: See the base.

    Source:
        InfoNCE: van den Oord, Li and Vinyals, 2018.
    """

    def __init__(
        self,
        model: Any,
        temperature: float = 1.0,
        false_negative_threshold: float | None = None,
        gather: bool = False,
        mini_batch_tokens: int = 1024,
        graph_tokens: int | None = 1024,
    ) -> None:
        super().__init__(model, mini_batch_tokens, graph_tokens)
        self.temperature = temperature
        self.false_negative_threshold = false_negative_threshold
        self.gather = gather

    def on_vectors(self, queries: Ragged, documents: list[Ragged], labels: Tensor | None = None) -> Tensor:
        """See the base."""
        batch, first = len(queries), 0
        candidates = concatenate(documents)
        if self.gather and torch.distributed.is_initialized():
            candidates, first = gather_documents(candidates)
        targets = torch.arange(batch, device=queries.values.device) + first
        scores = scoring.all_pairs(queries, candidates)
        if self.false_negative_threshold is not None:
            scores = mask_false_negatives(scores, targets, self.false_negative_threshold)
        return functional.cross_entropy(scores / self.temperature, targets)

    def get_config_dict(self) -> dict[str, Any]:
        """For the model card."""
        return {
            "temperature": self.temperature,
            "false_negative_threshold": self.false_negative_threshold,
            "gather": self.gather,
            **super().get_config_dict(),
        }


class DistillationLoss(LateInteractionLoss):
    """Divergence of the model's scores over a query's documents from a teacher's.

    Args:
        model: See the base.
        temperature: Both sides' scores are divided by it, and the loss multiplied by its square.
        mini_batch_tokens: See the base.
        graph_tokens: See the base.

    Source:
        Hinton, Vinyals and Dean, 2015; for late interaction Santhanam and others, 2022 (ColBERTv2).
    """

    def __init__(
        self, model: Any, temperature: float = 1.0, mini_batch_tokens: int = 1024, graph_tokens: int | None = 1024
    ) -> None:
        super().__init__(model, mini_batch_tokens, graph_tokens)
        self.temperature = temperature

    def on_vectors(self, queries: Ragged, documents: list[Ragged], labels: Tensor | None) -> Tensor:
        """See the base."""
        teacher = check_teacher(labels, len(queries), len(documents))
        student = torch.stack([scoring.matched_pairs(queries, column) for column in documents], 1)
        divergence = functional.kl_div(
            functional.log_softmax(student / self.temperature, 1),
            functional.log_softmax(teacher.to(student) / self.temperature, 1),
            reduction="batchmean",
            log_target=True,
        )
        return divergence * self.temperature**2


class MarginMSELoss(LateInteractionLoss):
    """Squared difference between the model's and a teacher's margins of the positive over each negative.

    Source:
        Hofstätter and others, 2020.
    """

    def on_vectors(self, queries: Ragged, documents: list[Ragged], labels: Tensor | None) -> Tensor:
        """See the base."""
        teacher = check_teacher(labels, len(queries), len(documents)).to(queries.values)
        student = torch.stack([scoring.matched_pairs(queries, column) for column in documents], 1)
        return functional.mse_loss(student[:, :1] - student[:, 1:], teacher[:, :1] - teacher[:, 1:])


def check_teacher(labels: Tensor | None, batch: int, columns: int) -> Tensor:
    """Teacher scores, or InputError unless they are [batch, columns] with two columns or more."""
    if labels is None or tuple(labels.shape) != (batch, columns) or columns < 2:
        got = None if labels is None else list(labels.shape)
        raise InputError(
            f"Expected teacher scores [{batch}, {columns}] for at least two documents a query, got {got}: give each "
            "row one score a document."
        )
    return labels.detach()


def mask_false_negatives(scores: Tensor, targets: Tensor, threshold: float) -> Tensor:
    """Leave out negatives that the model itself finds about as good as the positive.

    Args:
        scores: [batch, documents].
        targets: int64 [batch], column of each positive.
        threshold: Share of the positive's score above which a negative is left out.

    Returns:
        The scores with negative infinity there.

    Source:
        Positive-aware filtering: de Souza and others, 2024 (NV-Retriever).
    """
    positive = scores.gather(1, targets[:, None])
    wrong = scores.detach() > threshold * positive.detach()
    wrong = wrong.scatter(1, targets[:, None], False)
    return scores.masked_fill(wrong, float("-inf"))


def concatenate(columns: Sequence[Ragged]) -> Ragged:
    """Several columns as one, all of the first, then all of the second."""
    if len(columns) == 1:
        return columns[0]
    offsets, total = [columns[0].offsets[:1]], 0
    for column in columns:
        offsets.append(column.offsets[1:] + total)
        total += int(column.offsets[-1])
    return Ragged(torch.cat([column.values for column in columns]), torch.cat(offsets))


class _Gather(torch.autograd.Function):
    """Vectors of all processes; the gradient of a process's own is the sum of what all processes have for it."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        parts = []
        for rank, count in enumerate(counts):
            own = rank == torch.distributed.get_rank()
            part = values.detach().clone() if own else values.new_empty(count, values.shape[1])
            torch.distributed.broadcast(part, rank)
            parts.append(part)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].contiguous()
        torch.distributed.all_reduce(total)
        rank = torch.distributed.get_rank()
        start = sum(ctx.counts[:rank])
        return total[start : start + ctx.counts[rank]], None


def gather_documents(documents: Ragged) -> tuple[Ragged, int]:
    """Join the documents of all processes.

    Args:
        documents: This process's.

    Returns:
        All documents in the order of the ranks, and the position of this process's first.
    """
    world, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
    lengths: list[Any] = [None] * world
    torch.distributed.all_gather_object(lengths, documents.offsets.diff().tolist())
    values = _Gather.apply(documents.values, [sum(part) for part in lengths])
    flat = torch.tensor([length for part in lengths for length in part], dtype=torch.int64)
    offsets = torch.cat([flat.new_zeros(1), flat.cumsum(0)])
    return Ragged(values, offsets), sum(len(part) for part in lengths[:rank])  # type: ignore[arg-type]


def average_gradients(model: nn.Module) -> None:
    """Average the gradients of all processes; a weight that one process did not use counts as zero there."""
    world = torch.distributed.get_world_size()
    for parameter in model.parameters():
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad /= world


def _gradient(values: Tensor) -> Tensor:
    return torch.zeros_like(values) if values.grad is None else values.grad
