"""The judging widget: a click is a judgement, moving on is none, and what is saved can be read and evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import Collection
from engine.errors import InputError
from engine.reading.judgements import read_qrels
from workbench.widgets import JudgingWidget

POOL = {"q1": ["argmax", "mean"], "q2": ["open"]}


@pytest.fixture
def unjudged(tiny_collection: Collection) -> Collection:
    return Collection(tiny_collection.documents, tiny_collection.queries, {}, "tiny")


def test_clicks_become_judgements(unjudged: Collection) -> None:
    widget = JudgingWidget(unjudged, POOL)
    widget.grade.value = 2
    widget.next.click()
    assert widget.grade.value == -1  # the next pair starts unjudged
    widget.grade.value = 0
    widget.next.click()
    widget.next.click()  # the last pair: stays
    assert widget.judged.qrels == {"q1": {"argmax": 2, "mean": 0}}
    assert "2 of 3" in widget.status.value
    widget.back.click()
    assert widget.grade.value == 0


def test_moving_alone_judges_nothing(tiny_collection: Collection) -> None:
    widget = JudgingWidget(tiny_collection, POOL)
    before = dict(widget.grades)
    for _ in range(3):
        widget.next.click()
    assert widget.grades == before == {("q1", "argmax"): 2, ("q2", "open"): 2}


def test_a_judgement_can_be_taken_back(unjudged: Collection) -> None:
    widget = JudgingWidget(unjudged, POOL)
    widget.judge("q1", "argmax", 1)
    assert widget.grade.value == 1
    widget.grade.value = -1
    assert widget.judged.qrels == {}


def test_saved_judgements_read_back(unjudged: Collection, tmp_path: Path) -> None:
    widget = JudgingWidget(unjudged, POOL)
    widget.judge("q1", "argmax", 2)
    widget.judge("q2", "open", 0)
    path = widget.save(tmp_path / "qrels" / "test.tsv")
    assert read_qrels(path).qrels == {"q1": {"argmax": 2}, "q2": {"open": 0}}


@pytest.mark.parametrize("pool", [{}, {"q1": []}, {"q1": ["nothing"]}, {"q9": ["open"]}])
def test_pairs_that_do_not_exist_are_errors(unjudged: Collection, pool: dict[str, list[str]]) -> None:
    with pytest.raises(InputError):
        JudgingWidget(unjudged, pool)


def test_other_grades_are_errors(unjudged: Collection) -> None:
    with pytest.raises(InputError, match="0 to 2"):
        JudgingWidget(unjudged, POOL).judge("q1", "argmax", 3)
