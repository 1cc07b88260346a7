"""Losses over a scorer, whose memory depends neither on the batch's activations nor on its similarity tensor.

Every loss here runs in three passes (GradCache: Gao, Zhang, Han and Callan, 2021): encode in mini-batches of similar
length, keeping graphs only as far as they fit; compute the loss on the vectors and its gradient there; encode again
what had no graph and carry the gradient into the weights. With room for every graph it is the plain loss.

A new loss is a class here and a line in `LOSSES`: settings, the trainer and the page Train take it from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from engine.errors import InputError
from engine.maxsim import scorers
from engine.maxsim.differentiable import Ragged, concatenate
from engine.maxsim.scorers import Scorer
from engine.training.batches import Features, encode_columns, join, replay, text_of
from engine.training.distributed import average_gradients, gather_documents, gather_keys
from engine.training.negatives import hide_answers
from engine.training.targets import Targets

ALL_TOKENS = 1 << 62  # room for every graph: nothing is encoded twice


class LateInteractionLoss(nn.Module):
    """Base: columns in, a loss whose backward pass fills the gradients of the model and of the scorer.

    Args:
        model: A MultiVectorEncoder; the trainer puts the wrapped model in its place.
        scorer: Scores queries with documents; MaxSim when None.
        mini_batch_tokens: Tokens encoded together, padding included.
        graph_tokens: Tokens whose graph may stay alive through the loss; None keeps all.
        targets: What an index will keep of documents, where the loss is taken on that.
    """

    scored: ClassVar[bool] = False  # needs a teacher's score for every document of a row
    in_batch: ClassVar[bool] = False  # the other rows of a batch are negatives
    takes: ClassVar[tuple[str, ...]] = ()  # the training settings that are arguments of this loss
    uses_gradient_cache = True  # the trainer then leaves static graphs and the like alone

    def __init__(
        self,
        model: Any,
        scorer: Scorer | None = None,
        mini_batch_tokens: int = 1024,
        graph_tokens: int | None = 1024,
        targets: Targets | None = None,
    ) -> None:
        super().__init__()
        if mini_batch_tokens < 1 or (graph_tokens is not None and graph_tokens < 0):
            raise InputError("Expected mini-batches of one token or more: raise mini_batch_tokens.")
        self.model = model
        self.scorer: Any = scorer or scorers.get()
        self.mini_batch_tokens = mini_batch_tokens
        self.graph_tokens = ALL_TOKENS if graph_tokens is None else graph_tokens
        self.targets = targets or Targets()
        self.answers: Mapping[int, Sequence[int]] = {}  # key of a query -> keys of all its positives in the data
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
        _check_scored(inner, columns, vectors)
        with torch.autocast(device.type, enabled=False):  # scores are sums of many products: 8 bits would not do
            loss = self.targets.mixed(
                lambda queries, documents: self.on_vectors(queries, documents, labels),
                vectors[0],
                vectors[1:],
                inner.training,
            )
        if not torch.is_grad_enabled():
            return loss
        if self.watch is not None:
            self.watch(columns, float(loss.detach()))
        own = [parameter for parameter in self.scorer.parameters() if parameter.requires_grad]
        leaves = [column.values for column in vectors]
        found = torch.autograd.grad(loss, [*leaves, *own], allow_unused=True)
        filled = [_filled(value, leaf) for value, leaf in zip(found, [*leaves, *own], strict=True)]
        places = [place for _, column in joined for place in column]
        gradients = [filled[entry.column] for entry, _ in places]
        # The backward pass comes after the caller has left its autocast: what is encoded again must be as it was.
        enabled, dtype = torch.is_autocast_enabled(device.type), torch.get_autocast_dtype(device.type)

        def carry(scale: Tensor) -> None:
            with torch.autocast(device.type, dtype, enabled=enabled):
                replay(inner, places, gradients, scale)
            for parameter, gradient in zip(own, filled[len(leaves) :], strict=True):
                parameter.grad = gradient * scale + (0 if parameter.grad is None else parameter.grad)
            if inner is not self.model:
                average_gradients([*inner.parameters(), *own])

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
        base: See the base.

    Source:
        InfoNCE: van den Oord, Li and Vinyals, 2018.
    """

    in_batch = True
    takes = ("temperature", "false_negative_threshold", "gather")

    def __init__(
        self,
        model: Any,
        temperature: float = 1.0,
        false_negative_threshold: float | None = None,
        gather: bool = False,
        **base: Any,
    ) -> None:
        super().__init__(model, **base)
        self.temperature = temperature
        self.false_negative_threshold = false_negative_threshold
        self.gather = gather

    def on_vectors(self, queries: Ragged, documents: list[Ragged], labels: Tensor | None = None) -> Tensor:
        """See the base; `labels`, if any, are the keys of each row's texts, int64 [batch, 1 + columns]."""
        batch, first = len(queries), 0
        candidates = concatenate(documents)
        keys = None if labels is None else labels[:, 1:].T.reshape(-1).tolist()  # in the order of the candidates
        if self.gather and torch.distributed.is_initialized():
            candidates, first = gather_documents(candidates)
            keys = None if keys is None else gather_keys(keys)
        targets = torch.arange(batch, device=queries.values.device) + first
        scores = self.scorer(queries, candidates)
        if labels is not None and keys is not None:
            scores = hide_answers(scores, targets, labels[:, 0].tolist(), keys, self.answers)
        if self.false_negative_threshold is not None:
            scores = mask_false_negatives(scores, targets, self.false_negative_threshold)
        return functional.cross_entropy(scores / self.temperature, targets)

    def get_config_dict(self) -> dict[str, Any]:
        """For the model card."""
        return {**{name: getattr(self, name) for name in self.takes}, **super().get_config_dict()}


class DistillationLoss(LateInteractionLoss):
    """Divergence of the model's scores over a query's documents from a teacher's.

    Args:
        model: See the base.
        temperature: Both sides' scores are divided by it, and the loss multiplied by its square.
        base: See the base.

    Source:
        Hinton, Vinyals and Dean, 2015; for late interaction Santhanam and others, 2022 (ColBERTv2).
    """

    scored = True
    takes = ("temperature",)

    def __init__(self, model: Any, temperature: float = 1.0, **base: Any) -> None:
        super().__init__(model, **base)
        self.temperature = temperature

    def on_vectors(self, queries: Ragged, documents: list[Ragged], labels: Tensor | None) -> Tensor:
        """See the base."""
        teacher = check_teacher(labels, len(queries), len(documents))
        student = self.scorer.matched(queries, documents)
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

    scored = True

    def on_vectors(self, queries: Ragged, documents: list[Ragged], labels: Tensor | None) -> Tensor:
        """See the base."""
        teacher = check_teacher(labels, len(queries), len(documents)).to(queries.values)
        student = self.scorer.matched(queries, documents)
        return functional.mse_loss(student[:, :1] - student[:, 1:], teacher[:, :1] - teacher[:, 1:])


@dataclass(frozen=True)
class Kind:
    """A loss as settings name it.

    Args:
        loss: Its class.
        about: A few words for a list.
        keeps_graph: Nothing is encoded twice, whatever memory that takes.
    """

    loss: type[LateInteractionLoss]
    about: str
    keeps_graph: bool = False


LOSSES = {
    "contrastive": Kind(ContrastiveLoss, "contrastive: other rows are wrong answers", keeps_graph=True),
    "cached-contrastive": Kind(ContrastiveLoss, "contrastive in little memory (GradCache)"),
    "distillation": Kind(DistillationLoss, "distillation of teacher scores"),
    "margin-mse": Kind(MarginMSELoss, "margins of teacher scores"),
}


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


def _check_scored(model: Any, columns: list[Features], vectors: list[Ragged]) -> None:
    for features, column in zip(columns, vectors, strict=True):
        if not bool(column.lengths.all()):
            text = text_of(model, features, int(column.lengths.argmin()))
            raise InputError(
                f"Nothing of the {features['task']} {text[:80]!r} is left to score, since the model scores none of its "
                "tokens: remove this row."
            )


def _filled(gradient: Tensor | None, leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if gradient is None else gradient
