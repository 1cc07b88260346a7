"""Evaluation against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine import Collection, Ranking, evaluate
from engine.errors import InputError

COLLECTION = Collection(
    {name: name for name in "abcde"},
    {"q1": "one", "q2": "two", "q3": "three"},
    {"q1": {"a": 2, "b": 1}, "q2": {"c": 1}},
)


def ranking(*ids: str) -> Ranking:
    return Ranking(list(ids), np.linspace(1, 0, len(ids), dtype=np.float32))


def test_by_hand() -> None:
    scores = evaluate([ranking("b", "a", "c"), ranking("d", "e"), ranking("a")], COLLECTION, ["ndcg@10", "recall@2"])
    gain = 1 / math.log2(2) + 2 / math.log2(3)  # linear gains: 1 at rank 1, 2 at rank 2
    ideal = 2 / math.log2(2) + 1 / math.log2(3)
    assert scores.per_query["ndcg@10"] == pytest.approx({"q1": gain / ideal, "q2": 0.0})
    assert scores.per_query["recall@2"] == {"q1": 1.0, "q2": 0.0}
    assert scores.mean["ndcg@10"] == pytest.approx(gain / ideal / 2)
    assert scores.unjudged == ("q3",)


def test_equal_scores_keep_the_order_of_the_ranking() -> None:
    tied = Ranking(["a", "b", "c"], np.ones(3, np.float32))
    assert evaluate({"q2": tied}, COLLECTION, ["mrr"]).mean["mrr"] == pytest.approx(1 / 3)


def test_an_empty_ranking_counts_as_zero() -> None:
    scores = evaluate({"q1": ranking("a", "b"), "q2": ranking()}, COLLECTION, ["ndcg@10"])
    assert scores.per_query["ndcg@10"] == pytest.approx({"q1": 1.0, "q2": 0.0})


def test_mistakes() -> None:
    with pytest.raises(InputError, match="Expected 3 rankings"):
        evaluate([ranking("a")], COLLECTION)
    with pytest.raises(InputError, match="ndcg"):
        evaluate({"q1": ranking("a")}, COLLECTION, ["no-such-metric@10"])
    with pytest.raises(InputError, match="'other'"):
        evaluate({"other": ranking("a")}, COLLECTION)
    with pytest.raises(InputError, match="no judgements"):
        evaluate({"q3": ranking("a")}, COLLECTION)
