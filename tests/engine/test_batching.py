"""What is computed at once stays within bounds, for any length and any number of threads."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import torch

from engine.batching import IN_FLIGHT, WIDE, cut_batches, in_threads, memory_of
from engine.encoding import CHUNK_TOKENS, chunks
from engine.simd import threads


class Counted:
    """Stands for a model's forward pass: counts what is at work at once."""

    def __init__(self) -> None:
        self.lock, self.now, self.most, self.together, self.busy = threading.Lock(), 0, 0, 0, 0

    def __call__(self, piece: Any) -> int:
        with self.lock:
            self.now, self.busy = self.now + memory_of(piece), self.busy + 1
            self.most, self.together = max(self.most, self.now), max(self.together, self.busy)
        time.sleep(0.0005)
        with self.lock:
            self.now, self.busy = self.now - memory_of(piece), self.busy - 1
        return len(piece[0])


def batches(lengths: list[int], batch_tokens: int = 2048) -> list[Any]:
    width = max(lengths)
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    return list(cut_batches({"input_ids": mask, "attention_mask": mask}, batch_tokens))


@pytest.mark.parametrize("count", [2, 6, 64])
@pytest.mark.parametrize("length", [10, 300, 2048, 8192, 32768])
def test_tokens_in_flight_do_not_grow_with_length_or_threads(length: int, count: int) -> None:
    work, pieces = Counted(), batches([length] * max(6, 40_000 // length))
    with threads.use_threads(count):
        done = list(in_threads(work, pieces, memory_of))
    assert done == [len(rows) for rows, _ in pieces]
    alone = length * (WIDE + length) // WIDE
    assert work.most <= max(IN_FLIGHT, alone)
    assert work.together <= max(IN_FLIGHT // min(map(memory_of, pieces)), 1)  # the last one is smaller


def test_short_batches_use_every_thread_and_mixed_lengths_all_come_through() -> None:
    gate = threading.Barrier(6, timeout=20)
    with threads.use_threads(6):  # six batches of 2,048 tokens are computed side by side, or the gate never opens
        list(in_threads(lambda piece: gate.wait(), batches([200] * 60)[:6], memory_of))
        work, pieces = Counted(), batches([20_000, 9_000, 5_000, 4_000, *[300] * 40, *[12] * 400])
        assert sum(in_threads(work, pieces, memory_of)) == 444
    assert work.most <= max(IN_FLIGHT, memory_of(pieces[0]))


def test_a_long_batch_has_the_threads_that_others_would_have_had() -> None:
    seen = []

    def work(piece: Any) -> None:
        seen.append((torch.get_num_threads(), threads.thread_count()))

    with threads.use_threads(6):
        list(in_threads(work, batches([9_000] * 3), memory_of))
        list(in_threads(work, batches([200] * 40), memory_of))
    assert seen[:3] == [(6, 6)] * 3
    assert set(seen[3:]) == {(1, 1)}


def test_an_error_leaves_room_for_the_others() -> None:
    def work(piece: Any) -> int:
        if len(piece[0]) == 1:
            raise ZeroDivisionError
        return 1

    with threads.use_threads(4), pytest.raises(ZeroDivisionError):
        list(in_threads(work, batches([9_000, 200, 200, 200]), memory_of))


@pytest.mark.parametrize("limit", [None, 256, 8192])
def test_texts_that_are_tokenised_together_stay_within_bounds(limit: int | None) -> None:
    texts = ["x" * 40_000] * 200 + ["y" * 500] * 3000
    found = list(chunks(texts, limit))
    assert sorted(place for chunk in found for place in chunk) == list(range(3200))
    for chunk in found:
        longest = max(len(texts[place]) for place in chunk)
        assert len(chunk) * min(longest, limit or longest) <= CHUNK_TOKENS
    assert len(found[-1]) > 100
