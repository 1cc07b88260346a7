"""From texts to vectors: tokenised together, cut into batches of similar length, computed on one or several devices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from engine.batching import Batch, cut_batches, in_threads, memory_of, padded_tokens

if TYPE_CHECKING:
    from engine.encoder import Encoder

Task = Literal["query", "document"]
Progress = Callable[[int, int], None]  # texts done, texts in all

POOL_TEXTS = 16384  # texts that the processes of several devices share out among them
FEW_TOKENS = 512  # in a batch this small, threads would wait for each other longer than they work
CHUNK_TEXTS = 1024  # texts tokenised together, then cut into batches of similar length
CHUNK_TOKENS = CHUNK_TEXTS * 2048  # of them, padding included: fewer texts where they are longer
CHUNK_CHARACTERS = 1 << 18  # of texts read in windows together: some 65,000 tokens, held before the projection
AROUND = 64  # tokens beside those of a text itself, at most


class Encoded:
    """What texts became so far.

    Args:
        texts: How many.

    Attributes:
        arrays: [tokens, dim] of each text, or None.
        counts: int64 [texts, 2], tokens of each that were not read, and all of its tokens.
    """

    def __init__(self, texts: int) -> None:
        self.arrays: list[np.ndarray | None] = [None] * texts
        self.counts = np.zeros((texts, 2), np.int64)

    def joined(self, dim: int, storage: type[np.floating[Any]]) -> tuple[np.ndarray, np.ndarray]:
        """The vectors of all texts one after the other, and their offsets; each array goes as soon as it is copied."""
        offsets = np.zeros(len(self.arrays) + 1, np.int64)
        np.cumsum([0 if array is None else len(array) for array in self.arrays], out=offsets[1:])
        values = np.empty((int(offsets[-1]), dim), storage)
        for number, array in enumerate(self.arrays):
            if array is not None:
                values[offsets[number] : offsets[number + 1]] = array
            self.arrays[number] = None  # so that memory holds the vectors once
        return values, offsets


def encode_texts(
    encoder: Encoder, texts: Sequence[str], task: Task, storage: type[np.floating[Any]], progress: Progress | None
) -> Encoded:
    """Encode texts in this process.

    Args:
        encoder: The model.
        texts: n texts.
        task: "query" or "document".
        storage: What vectors are kept in.
        progress: Called with (texts done, n) after each batch.

    Returns:
        Their vectors, and what was cut.
    """
    found, done = Encoded(len(texts)), 0
    for chunk in chunks_of(encoder, texts, task):
        own = [texts[i] for i in chunk]
        features = encoder.preprocess(own, task)
        found.counts[chunk] = counted(encoder, own, features, task)
        pieces = list(cut_batches(features, encoder.batch_tokens))
        for (rows, _), (values, masks) in zip(pieces, _run_all(encoder, pieces, task), strict=True):
            for row, value, mask in zip(rows, values, masks, strict=True):
                found.arrays[chunk[row]] = value[mask].astype(storage, copy=False)
            done += len(rows)
            if progress is not None:
                progress(done, len(texts))
    return found


def chunks_of(encoder: Encoder, texts: Sequence[str], task: Task) -> Iterator[list[int]]:
    """Positions of texts that an encoder reads together: encoded without the others, their vectors have the same bits.

    Args:
        encoder: The model.
        texts: n texts.
        task: "query" or "document".

    Yields:
        At least one position.
    """
    if task == "document" and encoder.windows is not None:
        return chunks(texts, None, CHUNK_CHARACTERS)
    return chunks(texts, encoder.max_length(task))


def chunks(texts: Sequence[str], limit: int | None, most: int = CHUNK_TOKENS) -> Iterator[list[int]]:
    """Positions of texts that are tokenised together, the longest first: padded to one width they stay within bounds.

    Args:
        texts: n texts.
        limit: Tokens after which a text is cut, or None.
        most: Tokens of a chunk, padding included; a longer text goes alone.

    Yields:
        At least one position, `CHUNK_TEXTS` at most.
    """
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    start = 0
    while start < len(order):
        width = len(texts[order[start]]) + AROUND  # a token is a character at least, but for a few scripts
        width = width if limit is None else min(width, limit)
        stop = start + max(1, min(CHUNK_TEXTS, most // width))
        yield order[start:stop]
        start = stop


def _run_all(encoder: Encoder, pieces: list[Batch], task: Task) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Padded vectors of each batch in order, and the mask of those that count."""

    def run(piece: Batch) -> tuple[np.ndarray, np.ndarray]:
        output = encoder.forward(piece[1], task)
        return output["token_embeddings"].to("cpu").float().numpy(), output["attention_mask"].bool().cpu().numpy()

    return side_by_side(encoder, run, pieces)


def side_by_side(encoder: Encoder, run: Callable[[Batch], Any], pieces: list[Batch]) -> Iterator[Any]:
    """Results in the order of the batches; on a CPU one thread a batch, which spares it waiting for the others."""
    if encoder.model.device.type == "cpu" and (len(pieces) > 1 or padded_tokens(pieces) <= FEW_TOKENS):
        return in_threads(run, pieces, memory_of)
    return map(run, pieces)


def counted(encoder: Encoder, texts: Sequence[str], features: dict[str, Any], task: Task) -> np.ndarray:
    """What a tokenizer cut off, from what it keeps of that; no text is tokenised again, but for a tokenizer in Python.

    Args:
        encoder: The model.
        texts: n texts.
        features: What it made of them.
        task: "query" or "document".

    Returns:
        int64 [n, 2], tokens of each text that were not read, and all of its tokens.
    """
    lengths = features["attention_mask"].sum(1)
    limit, unread = encoder.max_length(task), np.zeros(len(texts), np.int64)
    full = [] if limit is None else (lengths >= limit).nonzero()[:, 0].tolist()
    encodings = getattr(features, "encodings", None)
    if full and encodings is not None and len(encodings) == len(texts):
        for row in full:
            unread[row] = sum(_of_text(part) for part in encodings[row].overflowing)
    elif full and limit is not None and encoder.model.tokenizer is not None:
        prompt, tokenizer = encoder.prompt(task), cast(Any, encoder.model.tokenizer)
        with encoder.tokenizing:
            whole = tokenizer([f"{prompt}{texts[row]}" for row in full], truncation=False, verbose=False)["input_ids"]
        for row, ids in zip(full, whole, strict=True):
            unread[row] = max(len(ids) - limit, 0)
    return np.stack([unread, unread + lengths.cpu().numpy()], axis=1)


def _of_text(encoding: Any) -> int:
    """Tokens of the text itself in one encoding, without padding and what a tokenizer writes around it."""
    return len(encoding) - int(np.sum(encoding.special_tokens_mask))


def encode_on_devices(
    encoder: Encoder, pool: Any, texts: list[str], task: Task, storage: type[np.floating[Any]],
    progress: Progress | None,
) -> Encoded:  # fmt: skip
    """Encode in the processes of `Encoder.spread`; texts that are cut are counted here."""
    encode = encoder.model.encode_query if task == "query" else encoder.model.encode_document
    batch = max(encoder.batch_tokens // (encoder.max_length(task) or 512), 1)
    found = Encoded(len(texts))
    for start in range(0, len(texts), POOL_TEXTS):
        part = texts[start : start + POOL_TEXTS]
        made: Any = encode(part, pool=pool, batch_size=batch, convert_to_numpy=True)
        stop = start + len(part)
        found.arrays[start:stop] = [np.asarray(array).astype(storage, copy=False) for array in made]
        for chunk in chunks_of(encoder, part, task):
            own = [part[i] for i in chunk]
            found.counts[start + np.array(chunk)] = counted(encoder, own, encoder.preprocess(own, task), task)
        if progress is not None:
            progress(stop, len(texts))
    return found
