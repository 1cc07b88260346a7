"""How the encoder spends a processor: batches by token budget, one thread a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

Batch = tuple[list[int], dict[str, Any]]  # rows of a chunk, and their features
Piece = TypeVar("Piece")
Result = TypeVar("Result")

_torch_lock = Lock()
_torch_state = {"users": 0, "threads": 0}


def used_tokens(features: dict[str, Any]) -> torch.Tensor:
    """Which positions the model reads, bool [texts, width]: attended ones and query expansion."""
    used = features["attention_mask"].bool()
    if "query_expansion_positions" in features:
        used = used | features["query_expansion_positions"].bool()
    return used


def cut_batches(features: dict[str, Any], batch_tokens: int) -> Iterator[Batch]:
    """Cut a padded chunk into batches of similar length, each trimmed to its longest text.

    Args:
        features: What the model's `preprocess` returned for n texts, padded on either side; tensors [n, width] and
            values without rows.
        batch_tokens: Tokens of a batch, padding included; a longer text goes alone.

    Yields:
        The rows of a batch within the chunk, longest first, and their features.
    """
    import torch

    used = used_tokens(features)
    n, width = used.shape
    lengths = used.sum(1).tolist()
    order = sorted(range(n), key=lambda row: -lengths[row])
    left = bool((~used[:, 0]).any())  # padded on the left: trim there
    start = 0
    while start < n:
        longest = max(lengths[order[start]], 1)
        rows = order[start : start + max(batch_tokens // longest, 1)]
        columns = slice(width - longest, width) if left else slice(0, longest)
        batch = {
            key: value[rows][:, columns] if isinstance(value, torch.Tensor) and value.shape[:2] == (n, width) else value
            for key, value in features.items()
        }
        yield rows, batch
        start += len(rows)


def padded_tokens(batches: Sequence[Batch]) -> int:
    """Tokens of some batches, padding included."""
    return sum(features["attention_mask"].numel() for _, features in batches)


@contextmanager
def _single_threaded_torch() -> Iterator[None]:
    """Torch on one thread a call for as long as anyone is in here: its own threads would compete with ours."""
    import torch

    with _torch_lock:
        if _torch_state["users"] == 0:
            _torch_state["threads"] = torch.get_num_threads()
        _torch_state["users"] += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _torch_lock:
            _torch_state["users"] -= 1
            if _torch_state["users"] == 0:
                torch.set_num_threads(_torch_state["threads"])


def in_threads(work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> Iterator[Result]:
    """Apply a function to each piece, one thread a piece, and give the results in order.

    Torch's own threads wait for each other after every layer; whole batches side by side do not, and each stays in the
    cache of its core.

    Args:
        work: Uses torch or kernels that hold no GIL.
        pieces: The pieces.

    Yields:
        One result a piece.
    """
    import torch

    from engine.simd import threads

    count = threads.thread_count()
    if count == 1:
        yield from map(work, pieces)
        return
    if len(pieces) == 1:
        before = torch.get_num_threads()
        torch.set_num_threads(1)  # the setting belongs to each thread
        try:
            with threads.use_threads(1):
                result = work(pieces[0])
        finally:
            torch.set_num_threads(before)
        yield result
        return

    def run(piece: Piece) -> Result:
        torch.set_num_threads(1)  # the setting belongs to each thread
        with threads.use_threads(1):
            return work(piece)

    with _single_threaded_torch(), ThreadPoolExecutor(count) as pool:
        remaining = iter(pieces)
        waiting = [pool.submit(run, piece) for piece in islice(remaining, 2 * count)]  # no more results than needed
        while waiting:
            result = waiting.pop(0).result()
            waiting.extend(pool.submit(run, piece) for piece in islice(remaining, 1))
            yield result
