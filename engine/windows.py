"""Documents longer than a model reads at once: read in windows that overlap, and joined to one document.

What reads is the first module of a model, the transformer. Its vectors of all windows become one row of vectors, each
token's once, and the modules behind it (projection, mask, pooling, means) see that row as if the transformer had read
all of the text: a skiplist, merging, and vectors of the whole text such as means work over the whole document.

- A token that stands in two windows is taken from the one in which it is farther from an edge, since a vector near an
  edge was computed with little of the text on that side.
- What the tokenizer and a prompt put in front of a text and behind it is read with every window, because a model was
  trained with it; in front it is kept from the first window, behind from the last.
- The windows of a document are equally long, so that none is a stub: together they read what windows of full size
  would.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.batching import cut_batches
from engine.encoding import Encoded, Progress, chunks_of, counted, side_by_side
from engine.errors import InputError, UnsupportedError
from engine.merging import run_modules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from engine.encoder import Encoder
    from engine.model_names import Windows


@dataclass(frozen=True)
class Window:
    """One window of a text, in tokens of the text itself.

    Args:
        start: First token that it reads.
        stop: One past the last.
        first: First token whose vector is taken from here.
        last: One past the last of these.
    """

    start: int
    stop: int
    first: int
    last: int


def cut_windows(tokens: int, room: int, overlap: int) -> list[Window]:
    """Windows over a text.

    Args:
        tokens: Of the text, without special tokens.
        room: Of them in a window at most.
        overlap: That two windows share at least, below `room`.

    Returns:
        At least one window; the parts that are taken from each follow on each other and cover the text.
    """
    if tokens <= room:
        return [Window(0, tokens, 0, tokens)]
    count = -(-(tokens - overlap) // (room - overlap))
    width = -(-(tokens + (count - 1) * overlap) // count)
    starts = [round(number * (tokens - width) / (count - 1)) for number in range(count)]
    bounds = [0, *((before + width + after + 1) // 2 for before, after in pairwise(starts)), tokens]
    return [
        Window(start, start + width, first, last)
        for start, first, last in zip(starts, bounds, bounds[1:], strict=False)
    ]  # fmt: skip


def check_reading(encoder: Encoder) -> None:
    """Refuse windows or a document length that a model cannot read.

    Args:
        encoder: The model, with its windows and its document length.

    Raises:
        UnsupportedError: its tokenizer does not tell what it writes around a text.
        InputError: they are longer than it reads, or leave no room beside what stands around each.
    """
    windows, at_once = encoder.windows, encoder.context
    size = encoder.document_length if windows is None else windows.size
    if at_once is not None and size is not None and size > at_once:
        what = f"a document length of at most {at_once:,} tokens"
        do = "take less, or windows beside it"
        if windows is not None:
            what, do = f"windows of at most {at_once:,} tokens", "take smaller ones"
        raise InputError(f"Expected {what}, which {encoder.name!r} reads at once, got {size:,}: {do}.")
    if windows is None:
        special = getattr(encoder.model.tokenizer, "num_special_tokens_to_add", int)()
        if size is not None and size <= special:
            raise InputError(
                f"A document length of {size} leaves nothing to read beside the {special} special tokens that "
                f"{encoder.name!r} writes: take more."
            )
        return
    front, behind, _ = _around(encoder, encoder.preprocess(["a"], "document"), 0)
    if windows.size - front - behind <= windows.overlap:
        raise InputError(
            f"Windows of {windows} tokens leave nothing to read beside the {front + behind} that {encoder.name!r} puts "
            "around each: take larger ones, or less overlap."
        )


def _around(encoder: Encoder, features: dict[str, Any], row: int) -> tuple[int, int, list[int]]:
    """How many tokens stand in front of one text and behind it, and the positions of all that are no padding."""
    encodings = getattr(features, "encodings", None)
    if encodings is None or features.get("input_ids") is None:
        raise UnsupportedError(
            f"{encoder.name!r} does not tell which tokens it puts around a text, so its documents cannot be read in "
            "windows: use --passages, which cuts the texts themselves."
        )
    encoding, prompt = encodings[row], len(encoder.prompt("document"))
    positions = np.flatnonzero(np.array(encoding.attention_mask)).tolist()
    special, offsets = encoding.special_tokens_mask, encoding.offsets
    text = [
        number for number, at in enumerate(positions) if not special[at] and (not prompt or offsets[at][1] > prompt)
    ]
    if not text:
        return len(positions), 0, positions
    return text[0], len(positions) - 1 - text[-1], positions


def encode_in_windows(
    encoder: Encoder, windows: Windows, texts: list[str], storage: type[np.floating[Any]], progress: Progress | None
) -> Encoded:
    """Encode documents, those that are longer than a window by several of them.

    Args:
        encoder: The model.
        windows: How long documents are read.
        texts: n texts.
        storage: What vectors are kept in.
        progress: Called with (texts done, n).

    Returns:
        Their vectors, and what was cut (only where a document length is set beside the windows).
    """
    import torch

    found, done = Encoded(len(texts)), 0
    for chunk in chunks_of(encoder, texts, "document"):
        own = [texts[i] for i in chunk]
        features = encoder.preprocess(own, "document")
        found.counts[chunk] = counted(encoder, own, features, "document")
        for position, whole in zip(chunk, read_windows(encoder, windows, features), strict=True):
            with torch.inference_mode():
                output = run_modules(encoder.model, whole, "document", first=1)
            vectors = output["token_embeddings"][0][output["attention_mask"][0].bool()]
            found.arrays[position] = vectors.to("cpu").float().numpy().astype(storage, copy=False)
            done += 1
            if progress is not None:
                progress(done, len(texts))
    return found


def read_windows(encoder: Encoder, windows: Windows, features: dict[str, Any]) -> list[dict[str, Any]]:
    """Read texts with the first module of a model.

    Args:
        encoder: The model.
        windows: How long ones are read.
        features: What its `preprocess` returned for n whole texts.

    Returns:
        For each text what the second module takes: features of the whole text without padding, [1, tokens], with
        "token_embeddings" [1, tokens, width] of all of its windows.
    """
    import torch

    shape = features["input_ids"].shape
    by_row = {key for key, value in features.items() if isinstance(value, torch.Tensor) and value.shape[:2] == shape}
    reads: list[tuple[int, Tensor, slice]] = []  # text, its positions that a window reads, and which of these are kept
    texts: list[Tensor] = []
    for row in range(shape[0]):
        front, behind, positions = _around(encoder, features, row)
        at, inside = torch.tensor(positions, dtype=torch.long), len(positions) - front - behind
        texts.append(at)
        parts = cut_windows(inside, windows.size - front - behind, windows.overlap)
        for number, part in enumerate(parts):
            read = torch.cat([at[:front], at[front + part.start : front + part.stop], at[front + inside :]])
            start = 0 if number == 0 else front + part.first - part.start
            stop = len(read) if number == len(parts) - 1 else front + part.last - part.start
            reads.append((row, read, slice(start, stop)))
    vectors: list[Any] = [None] * len(reads)
    for rows, values in _read(encoder, features, by_row, reads):
        for row, value in zip(rows, values, strict=True):
            vectors[row] = value
    owner = np.array([row for row, _, _ in reads])
    return [
        {
            **{key: features[key][row : row + 1, at] if key in by_row else features[key] for key in features},
            "token_embeddings": torch.cat([vectors[i] for i in np.flatnonzero(owner == row)])[None],
        }
        for row, at in enumerate(texts)
    ]


def _read(
    encoder: Encoder, features: dict[str, Any], by_row: set[str], reads: Sequence[tuple[int, Tensor, slice]]
) -> Any:
    """Batches of windows through the first module: which windows, and the vectors that are kept of each."""
    import torch

    width = max(len(read) for _, read, _ in reads)
    padded: dict[str, Any] = {key: value for key, value in features.items() if key not in by_row}
    filler = {"input_ids": getattr(encoder.model.tokenizer, "pad_token_id", None) or 0}
    left = getattr(encoder.model.tokenizer, "padding_side", "right") == "left"
    for key in by_row:
        value = features[key]
        padded[key] = value.new_full((len(reads), width, *value.shape[2:]), filler.get(key, 0))
        for number, (row, read, _) in enumerate(reads):
            begin = width - len(read) if left else 0
            padded[key][number, begin : begin + len(read)] = value[row, read]
    pieces = list(cut_batches(padded, encoder.batch_tokens))

    def run(piece: Any) -> list[Tensor]:
        rows, batch = piece
        with torch.inference_mode():
            output = run_modules(encoder.model, batch, "document", last=1)["token_embeddings"]
        kept = []
        for number, row in enumerate(rows):
            _, read, part = reads[row]
            begin = output.shape[1] - len(read) if left else 0
            kept.append(output[number, begin : begin + len(read)][part].clone())
        return kept

    return zip((rows for rows, _ in pieces), side_by_side(encoder, run, pieces), strict=True)
