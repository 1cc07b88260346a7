"""How the encoder spends a processor: batches by token budget, one thread a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from threading import Condition, Lock
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

Batch = tuple[list[int], dict[str, Any]]  # rows of a chunk, and their features
Piece = TypeVar("Piece")
Result = TypeVar("Result")

IN_FLIGHT = 16384  # tokens that all threads of a processor compute at once, at some 60 KB of activations each
WIDE = 8192  # tokens of a text at which its attention (5 bytes a pair of tokens) takes as much as all else of it

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


def memory_of(batch: Batch) -> int:
    """What a batch takes while it is computed, as a number of short texts' tokens: its attention counts beside them."""
    rows, width = batch[1]["attention_mask"].shape
    return rows * width * (WIDE + width) // WIDE


class _Room:
    """What threads may have at work at once: a piece waits for room, and one that is larger than all of it goes alone.

    Args:
        most: The room.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._used, self._users, self._changed = 0, 0, Condition()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Hold some of the room within the block."""
        with self._changed:
            self._changed.wait_for(lambda: not self._users or self._used + size <= self.most)
            self._add(size, 1)
        try:
            yield
        finally:
            with self._changed:
                self._add(-size, -1)
                self._changed.notify_all()

    def _add(self, size: int, users: int) -> None:
        self._used += size
        self._users += users


def in_threads(
    work: Callable[[Piece], Result],
    pieces: Sequence[Piece],
    size: Callable[[Piece], int] = lambda piece: 0,
    most: int = IN_FLIGHT,
) -> Iterator[Result]:
    """Apply a function to each piece, one thread a piece, and give the results in order.

    Torch's own threads wait for each other after every layer; whole batches side by side do not, and each stays in the
    cache of its core. Pieces so large that fewer of them fit than there are threads get several threads each.

    Args:
        work: Uses torch or kernels that hold no GIL.
        pieces: The pieces.
        size: What a piece takes while it is worked on, such as `memory_of` a batch.
        most: What all pieces that are worked on take at most, however many threads there are; a larger one goes alone.

    Yields:
        One result a piece.
    """
    from engine.simd import threads

    count = threads.thread_count()
    if count == 1:
        yield from map(work, pieces)
        return
    if len(pieces) == 1:
        with _torch_threads(1), threads.use_threads(1):
            result = work(pieces[0])
        yield result
        return
    room = _Room(most)

    def run(piece: Piece) -> Result:
        taken = size(piece)
        own = max(1, count // max(1, most // max(taken, 1)))
        with room.taken(taken), _torch_threads(own), threads.use_threads(own):
            return work(piece)

    with _single_threaded_torch(), ThreadPoolExecutor(count) as pool:
        remaining = iter(pieces)
        waiting = [pool.submit(run, piece) for piece in islice(remaining, 2 * count)]  # no more results than needed
        while waiting:
            result = waiting.pop(0).result()
            waiting.extend(pool.submit(run, piece) for piece in islice(remaining, 1))
            yield result


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """Torch on so many threads in this thread: the setting belongs to each."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
