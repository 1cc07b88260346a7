import math
from dataclasses import replace
from typing import Any

import pytest

from engine.errors import InputError
from workbench import figures
from workbench.experiments.views.pooling import (
    by_document_length,
    by_query_type,
    front,
    full_study,
    group_curve,
    trades,
)
from workbench.pool_records import PoolStore, load_records, save_records


@pytest.fixture(scope="module")
def embedded(tiny_collection, fake_encoder):
    documents = fake_encoder.encode_document(list(tiny_collection.documents.values()))
    return tiny_collection, documents, fake_encoder.encode_query(list(tiny_collection.queries.values()))


@pytest.fixture(scope="module")
def records(embedded):
    return list(full_study(*embedded, factors=(2, math.inf), methods=("hierarchical",), joint_factors=(2,), bits=(4,)))


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
    collection, documents, _ = embedded
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


def test_records_come_back_from_a_file(records, tmp_path) -> None:
    found = load_records(save_records(records, tmp_path / "records.json"))
    assert [vars(record) for record in found] == [vars(record) for record in records]
    (tmp_path / "records.json").write_text("{")
    with pytest.raises(InputError, match="no records"):
        load_records(tmp_path / "records.json")


def test_a_stopped_study_goes_on_where_it_stopped(embedded, records, tmp_path) -> None:
    options: dict[str, Any] = {
        "factors": (2, math.inf),
        "methods": ("hierarchical",),
        "joint_factors": (2,),
        "bits": (4,),
    }
    study = full_study(*embedded, **options, store=PoolStore(tmp_path / "kept"))
    assert [next(study).factor for _ in range(3)] == [1, 1, 2]
    study.close()
    store = PoolStore(tmp_path / "kept")
    found = list(full_study(*embedded, **options, store=store))
    assert store.reused == 3
    assert [(r.index, r.factor, r.per_query) for r in found] == [(r.index, r.factor, r.per_query) for r in records]
    again = PoolStore(tmp_path / "kept")
    assert [vars(r) for r in full_study(*embedded, **options, store=again)] == [vars(r) for r in found]
    assert again.reused == 5
    other = PoolStore(tmp_path / "kept")
    list(full_study(*embedded, **options, seed=7, store=other))
    assert other.reused == 0


def test_trades_are_between_equal_bytes(records) -> None:
    big = replace(records[1], bits=4, bytes=1000)
    half = replace(records[3], bits=8, bytes=1100)
    (trade,) = trades([big, half])
    assert (trade.pooled, trade.fewer_bits) == (half, big)
    assert trade.difference.mean == pytest.approx(half.mean["ndcg@10"] - big.mean["ndcg@10"])
    assert trades([big, replace(half, bytes=1300)]) == []
    assert trades([half]) == []
