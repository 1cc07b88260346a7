"""Lanes: bounded lines of work, refused with a time to come back; and batches, shared only where a person chose it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from apps.guard import Refused
from apps.serve.batching import MOST_TEXTS, Counted, Sharing
from apps.serve.lanes import Lane
from apps.serve.metrics import Metrics
from engine.errors import InputError
from tests.conftest import FakeEncoder, finished


def test_a_full_lane_refuses_and_says_when_to_come_back() -> None:
    async def filled() -> Refused:
        lane, free = Lane("lane", 1, 2, Metrics()), threading.Event()
        inside = [asyncio.create_task(lane.run(free.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Refused) as refused:
            await lane.run(lambda: None)
        free.set()
        assert await asyncio.gather(*inside) == [True, True]
        assert await lane.run(lambda: 7) == 7  # there is room again
        lane.close()
        return refused.value

    refused = finished(filled())
    assert (refused.status, refused.wait >= 1) == (503, True)


def test_a_lane_keeps_the_order_and_passes_on_what_is_raised() -> None:
    seen: list[int] = []

    async def asked() -> None:
        lane = Lane("lane", 1, 9, Metrics())
        await asyncio.gather(*(lane.run(lambda n=n: seen.append(n)) for n in range(8)))
        with pytest.raises(ZeroDivisionError):
            await lane.run(lambda: 1 // 0)
        lane.close()

    finished(asked())
    assert seen == list(range(8))


class Watched(FakeEncoder):
    """Notes what is encoded together, holds the first call until told, and refuses one word."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.go = threading.Event()

    def _encode(self, texts: Sequence[str], task: str, progress: Any = None) -> Any:
        self.calls.append(list(texts))
        self.go.wait(10)
        if "bad" in texts:
            raise InputError("Expected another word.")
        return super()._encode(texts, task, progress)


def asked_together(encoder: Counted, watched: Watched, questions: Sequence[Sequence[str]]) -> list[Any]:
    """What each gets when the second and all others come while the first is being encoded."""

    def ask(texts: Sequence[str]) -> Any:
        try:
            return encoder.encode_query(list(texts))
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(len(questions)) as pool:
        first = pool.submit(ask, questions[0])
        while not watched.calls:
            pass
        others = [pool.submit(ask, texts) for texts in questions[1:]]
        while isinstance(encoder, Sharing) and encoder.waiting() < len(others):
            pass
        watched.go.set()
        return [first.result(10), *(other.result(10) for other in others)]


def test_what_waits_shares_a_batch_and_each_gets_its_own() -> None:
    watched = Watched()
    questions = [["one"], ["two words"], ["bad"], ["three", "and four"]]
    found = asked_together(Sharing(watched, Metrics()), watched, questions)  # type: ignore[arg-type]
    assert watched.calls[0] == ["one"]
    assert sorted(watched.calls[1]) == ["and four", "bad", "three", "two words"]  # one batch, and then one by one
    for texts, answer in zip(questions, found, strict=True):
        if texts == ["bad"]:
            assert answer == "Expected another word."
            continue
        expected = FakeEncoder().encode_query(texts)
        assert np.array_equal(answer.values, expected.values)
        assert np.array_equal(answer.offsets, expected.offsets)


def test_a_large_request_goes_alone() -> None:
    watched = Watched()
    watched.go.set()
    Sharing(watched, Metrics()).encode_query(["x"] * (MOST_TEXTS + 1))  # type: ignore[arg-type]
    assert [len(call) for call in watched.calls] == [MOST_TEXTS + 1]


def test_every_request_is_a_batch_of_its_own_unless_a_person_chose_otherwise() -> None:
    watched = Watched()
    found = asked_together(Counted(watched, Metrics()), watched, [["one"], ["two"], ["three"]])  # type: ignore[arg-type]
    assert sorted(watched.calls) == [["one"], ["three"], ["two"]]
    assert len(found) == 3
