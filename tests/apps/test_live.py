"""Runs that a page watches: order, errors, and a stop that stops."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from typing import cast

import pytest

from apps.live import Stops, follow
from engine.errors import InputError


def counting(seen: list[int]) -> Iterator[int]:
    for number in range(1000):
        seen.append(number)
        yield number


def test_records_come_in_order_and_the_flag_stays_clear() -> None:
    stop = threading.Event()
    assert [told for _, told in follow(lambda report: iter(range(5)), stop)] == list(range(5))
    assert not stop.is_set()


def test_progress_and_records_are_told_apart() -> None:
    def start(report):
        report("half", 1, 2)
        yield "record"

    assert list(follow(start, threading.Event())) == [("progress", ("half", 1, 2)), ("record", "record")]


def test_a_stop_ends_the_run() -> None:
    seen: list[int] = []
    stop = threading.Event()
    stop.set()
    assert len(list(follow(lambda report: counting(seen), stop))) == 1
    assert len(seen) == 1


def test_closing_the_page_tells_the_run_to_stop() -> None:
    stop = threading.Event()
    running = follow(lambda report: counting([]), stop)
    next(running)
    cast(Generator, running).close()
    assert stop.is_set()


def test_what_the_run_raises_arrives() -> None:
    def start(report):
        raise InputError("Expected one, got none: add one.")
        yield

    with pytest.raises(InputError, match="add one"):
        list(follow(start, threading.Event()))


def test_a_visitor_stops_only_their_own_run() -> None:
    stops = Stops()
    mine, theirs = stops.begin("me"), stops.begin("them")
    stops.stop("me")
    assert mine.is_set()
    assert not theirs.is_set()
    again = stops.begin("them")
    assert theirs.is_set()
    assert not again.is_set()
