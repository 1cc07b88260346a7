import math
from dataclasses import replace
from typing import Any

import pytest

from engine.errors import InputError
from workbench import figures
from workbench.experiments.pool_studies import pool_study
from workbench.experiments.prepare import prepare
from workbench.experiments.views.pooling import PoolPoint, front, trades
from workbench.experiments.views.question_groups import by_document_length, by_query_type, group_curve


@pytest.fixture(scope="module")
def embedded(tiny_collection, fake_encoder):
    return prepare(tiny_collection, fake_encoder)


@pytest.fixture(scope="module")
def records(embedded):
    return list(pool_study(embedded, factors=(2, math.inf), joint_factors=(2,), bits=(4,)))


def test_factors_and_bits_are_all_against_the_same_reference(records) -> None:
    assert [(r.index, r.bits, r.factor) for r in records] == [
        ("exact", 16, 1), ("plaid", 4, 1), ("exact", 16, 2), ("plaid", 4, 2), ("exact", 16, math.inf),
    ]  # fmt: skip
    before = records[0].mean["ndcg@10"]
    for record in records:
        assert record.difference.mean == pytest.approx(record.mean["ndcg@10"] - before)


def test_front_is_beaten_by_nobody(records) -> None:
    kept = front(records)
    for record in kept:
        assert not any(r.bytes < record.bytes and r.mean["ndcg@10"] >= record.mean["ndcg@10"] for r in records)
    assert [r.bytes for r in kept] == sorted(r.bytes for r in kept)


def test_groups_cover_the_judged_questions(embedded) -> None:
    collection, documents = embedded.collection, embedded.documents
    groups = by_document_length(collection, documents)
    assert sorted(query for queries in groups.values() for query in queries) == ["q1", "q2", "q3"]
    assert by_query_type(collection) == {}  # fewer than five of each


def test_group_differences_average_to_the_whole(records, embedded) -> None:
    exact = [record for record in records if record.index == "exact"]
    points = group_curve(exact, {"all": ["q1", "q2", "q3"]})
    assert [p.difference.mean for p in points] == pytest.approx([r.difference.mean for r in exact])
    figure = figures.group_curves(points)
    traces: list[Any] = list(figure.data)
    assert "all (3)" in [trace.name for trace in traces]
    with pytest.raises(InputError, match="factor 1"):
        group_curve(exact[1:], {"all": ["q1"]})


def weighing(point: PoolPoint, size: int) -> PoolPoint:
    record = point.run.record
    sizes = {"sizes": {**record["sizes"], "bytes": size}}
    return replace(point, run=replace(point.run, record={**record, **sizes}))


def test_trades_are_between_equal_bytes(records) -> None:
    big, half = weighing(records[1], 1000), weighing(records[3], 1100)
    (trade,) = trades([big, half])
    assert (trade.pooled, trade.fewer_bits) == (half, big)
    assert trade.difference.mean == pytest.approx(half.mean["ndcg@10"] - big.mean["ndcg@10"])
    assert trades([big, weighing(half, 1300)]) == []
    assert trades([half]) == []
