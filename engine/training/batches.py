"""Mini-batches of similar length from the columns of a training batch, encoded to ragged vectors and back."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.batching import cut_batches, used_tokens
from engine.maxsim.differentiable import Ragged
from engine.training.dropout import drawing, row_keys

Features = dict[str, Any]

SHELF = 65_536  # vectors allocated together in the first pass


@dataclass(frozen=True)
class MiniBatch:
    """Some rows of one column, trimmed to the longest of them.

    Args:
        rows: int64 [n], positions in the column.
        features: What the model takes.
        tokens: n times the width, padding included.
        keys: uint64 [n], what each row's dropout is drawn from; None draws from torch's generator.
    """

    rows: Tensor
    features: Features
    tokens: int
    keys: np.ndarray | None = None


def text_of(model: Any, features: Features, row: int) -> str:
    """What the tokens of a row say, without those that the model adds."""
    return model.tokenizer.decode(features["input_ids"][row][used_tokens(features)[row]], skip_special_tokens=True)


def cut_mini_batches(features: Features, most_tokens: int, keys: np.ndarray | None = None) -> list[MiniBatch]:
    """Cut a padded column into mini-batches of similar length, longest rows first; see `engine.batching.cut_batches`.

    Args:
        features: What the tokenizer made of the column: tensors [n, padded length], "attention_mask" among them.
        most_tokens: Tokens of a mini-batch, padding included.
        keys: uint64 [n], see `MiniBatch`.

    Returns:
        The mini-batches.
    """
    return [
        MiniBatch(torch.tensor(rows), part, part["attention_mask"].numel(), None if keys is None else keys[rows])
        for rows, part in cut_batches(features, most_tokens)
    ]


def encode(model: Any, batch: MiniBatch) -> tuple[Tensor, Tensor]:
    """Run the model on one mini-batch.

    Args:
        model: A MultiVectorEncoder, wrapped for data parallel or not.
        batch: The mini-batch; its features are not changed.

    Returns:
        Vectors of the scored tokens [tokens, dim], row after row, and how many each row has, int64 [n].
    """
    with drawing(batch.keys):
        output = model(dict(batch.features), task=batch.features["task"])
    mask = output["attention_mask"].bool()
    return output["token_embeddings"][mask], mask.sum(1)


class RandomState:
    """The random generators of the CPU and of one device, so that a second forward pass draws the same dropout."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.cpu = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def restore(self) -> None:
        """Set the generators back to this state."""
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, self.device)


@dataclass
class Encoded:
    """One mini-batch after the first pass.

    Args:
        column: Index of its column.
        batch: The mini-batch.
        vectors: [tokens, dim], with its graph when that is kept, else without; empty once `join` has copied them.
        lengths: int64 [n].
        state: Generators before the pass, or None when the graph is kept.
    """

    column: int
    batch: MiniBatch
    vectors: Tensor
    lengths: Tensor
    state: RandomState | None


def encode_columns(
    model: Any, columns: list[Features], most_tokens: int, graph_tokens: int, device: torch.device
) -> list[Encoded]:
    """Encode all columns, keeping the graph of as many tokens as fit; the others are encoded again for their gradient.

    Args:
        model: A MultiVectorEncoder.
        columns: Query column first; each with "task".
        most_tokens: Tokens of a mini-batch.
        graph_tokens: Tokens whose graph may stay alive through the loss.
        device: Where the model is.

    Returns:
        The mini-batches, in the order of the pass.
    """
    keys: list[np.ndarray | None] = [None] * len(columns)
    if model.training:  # one draw a step, whatever the mini-batches are
        step, process = int(torch.randint(2**62, ())), int(os.environ.get("RANK", "0"))
        keys = [row_keys(len(column["input_ids"]), step, process, i) for i, column in enumerate(columns)]
    batches = [
        (i, batch) for i, column in enumerate(columns) for batch in cut_mini_batches(column, most_tokens, keys[i])
    ]
    kept, room = set(), graph_tokens if torch.is_grad_enabled() else 0
    for i in range(len(batches) - 1, -1, -1):  # the last ones, so that none waits while others are encoded
        if batches[i][1].tokens > room:
            break
        room -= batches[i][1].tokens
        kept.add(i)
    found: list[Encoded] = []
    shelf: Tensor | None = None
    for i, (column, batch) in enumerate(batches):
        state = None if i in kept else RandomState(device)
        with torch.set_grad_enabled(i in kept):
            vectors, lengths = encode(model, batch)
        if state is not None:
            # Side by side, not between the activations that come and go: there they would keep a heap from shrinking.
            if shelf is None or len(shelf) < len(vectors):
                shelf = vectors.new_empty(max(SHELF, len(vectors)), vectors.shape[1])
            vectors, shelf = shelf[: len(vectors)].copy_(vectors), shelf[len(vectors) :]
        found.append(Encoded(column, batch, vectors, lengths, state))
    return found


def join(encoded: list[Encoded], column: int) -> tuple[Ragged, list[tuple[Encoded, Tensor]]]:
    """Bring one column's mini-batches back into the order of its rows.

    Args:
        encoded: What `encode_columns` returned.
        column: Which column.

    Returns:
        The column as leaf vectors, and for each mini-batch the positions of its tokens among them, int64 [tokens].
    """
    parts = [entry for entry in encoded if entry.column == column]
    rows = torch.cat([entry.batch.rows for entry in parts])
    lengths = torch.cat([entry.lengths.cpu() for entry in parts])
    by_row = torch.empty_like(lengths)
    by_row[rows] = lengths
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), by_row.cumsum(0)])
    places, start = [], 0
    starts = offsets[rows]
    within = torch.arange(int(lengths.sum())) - torch.repeat_interleave(lengths.cumsum(0) - lengths, lengths)
    positions = torch.repeat_interleave(starts, lengths) + within
    first = parts[0].vectors
    values = first.new_empty(int(offsets[-1]), first.shape[1], dtype=torch.promote_types(first.dtype, torch.float32))
    for entry in parts:
        stop = start + len(entry.vectors)
        place = positions[start:stop].to(values.device)
        values[place] = entry.vectors.detach().to(values.dtype)
        places.append((entry, place))
        start = stop
        if entry.state is not None:  # encoded again for its gradient
            entry.vectors = first.new_empty(0, first.shape[1])
    return Ragged(values.requires_grad_(torch.is_grad_enabled()), offsets), places


def replay(model: Any, places: list[tuple[Encoded, Tensor]], gradients: list[Tensor], scale: Tensor) -> None:
    """Carry the gradient of the vectors into the weights, mini-batch by mini-batch; kept graphs go first.

    Args:
        model: The model of the first pass.
        places: All mini-batches with the positions of their tokens.
        gradients: For each mini-batch's column, the gradient of its vectors [tokens of the column, dim].
        scale: What the outer backward pass multiplies the loss by.
    """
    order = sorted(range(len(places)), key=lambda i: places[i][0].state is not None)
    device = gradients[0].device
    outside = RandomState(device)
    for i in order:
        entry, place = places[i]
        gradient = gradients[i][place] * scale
        vectors = entry.vectors
        if entry.state is not None:
            entry.state.restore()
            with torch.enable_grad():
                vectors, _ = encode(model, entry.batch)
        if vectors.requires_grad:
            vectors.backward(gradient.to(vectors.dtype))
        entry.vectors = entry.vectors.detach()  # lets a kept graph go
    outside.restore()
