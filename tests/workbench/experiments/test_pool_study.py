import math

import pytest

from engine import Collection, evaluate, maxsim, pool
from engine.errors import InputError
from engine.pooling import PoolSettings, link
from engine.retrieval import Ranking, id_order, top_positions
from workbench import runs
from workbench.experiments.plan import FACTORS
from workbench.experiments.pool_studies import pool_study
from workbench.experiments.prepare import prepare
from workbench.experiments.views.pooling import PoolPoint, sentence


@pytest.fixture(scope="module")
def studied(tiny_collection, fake_encoder):
    documents = fake_encoder.encode_document(list(tiny_collection.documents.values()))
    queries = fake_encoder.encode_query(list(tiny_collection.queries.values()))
    return prepare(tiny_collection, documents=documents, queries=queries)


def test_records_agree_with_the_engine_step_by_step(studied) -> None:
    collection, documents, queries = studied.collection, studied.documents, studied.queries
    records = list(pool_study(studied, factors=(2, 4, math.inf)))
    assert [record.factor for record in records] == [1, 2, 4, math.inf]
    assert [record.label for record in records] == ["1", "2", "4", "one"]
    for record in records:
        pooled = pool(documents, record.factor)
        assert record.tokens == pooled.n_tokens
        ids = list(collection.documents)
        rankings = []
        for row in maxsim(queries, pooled.astype("float16")):
            best = top_positions(row, id_order(ids), 100)
            rankings.append(Ranking([ids[i] for i in best], row[best]))
        assert record.mean == pytest.approx(evaluate(rankings, collection).mean)
        assert record.rankings["q1"] == tuple(rankings[0].ids[:10])
        low, high = record.interval["ndcg@10"]
        assert low <= record.mean["ndcg@10"] <= high


def test_better_and_worse_are_against_factor_one(studied) -> None:
    first, *others = pool_study(studied, factors=FACTORS, threshold=0.01)
    assert first.better == first.worse == ()
    for record in others:
        for query, value in record.per_query["ndcg@10"].items():
            gain = value - first.per_query["ndcg@10"][query]
            assert (query in record.better) == (gain > 0.01)
            assert (query in record.worse) == (gain < -0.01)
    assert any(record.better or record.worse for record in others)


def test_records_come_one_by_one_and_it_can_be_stopped(studied) -> None:
    seen: list[tuple[str, int, int]] = []
    study = pool_study(studied, factors=(2, 4), progress=lambda *args: seen.append(args))
    next(study)
    study.close()
    assert seen == [("hierarchical, factor 1", 0, 3)]


def test_a_stop_between_two_points_ends_it_with_what_there_is(studied) -> None:
    points: list[PoolPoint] = []
    for point in pool_study(studied, factors=(2, 4), seed=7, stop=lambda: bool(points)):
        points.append(point)
    assert [point.experiment.pool_factor for point in points] == [1]
    assert {found.status for found in runs.list()} == {"complete"}


def test_methods_share_the_reference(studied) -> None:
    records = list(pool_study(studied, factors=(3,), methods=("hierarchical", "sequential")))
    assert [record.method for record in records] == ["hierarchical"] * 2 + ["sequential"] * 2
    assert records[2].difference == (0, 0, 0)


def test_a_query_without_judgements_is_left_out(studied) -> None:
    collection = studied.collection
    fewer = Collection(collection.documents, collection.queries, {"q2": collection.qrels["q2"]})
    records = list(pool_study(prepare(fewer, documents=studied.documents, queries=studied.queries), factors=(2,)))
    assert records[0].queries == 1
    assert set(records[0].per_query["ndcg@10"]) == {"q2"}


def test_sentence_gives_both_sides(studied) -> None:
    record = list(pool_study(studied, factors=(4,)))[-1]
    text = sentence(record)
    assert f"{record.tokens:,} of {record.tokens_full:,}" in text
    assert f"{len(record.worse)} of 3 questions got worse" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"factors": (0.5,)}, "pool factors of 1 or more"),
        ({"methods": ("nonsense",)}, "nonsense"),
        ({"metrics": ("ndgc@10",)}, "Unknown metric"),
        ({"metrics": ()}, "at least one metric"),
        ({"index": "nothing"}, "Unknown index kind"),
    ],
)
def test_mistakes_are_named(studied, change, message) -> None:
    with pytest.raises(InputError, match=message):
        next(pool_study(studied, **change))


def test_a_stopped_study_goes_on_where_it_stopped_and_every_point_is_a_run(studied) -> None:
    first = pool_study(studied, factors=(2, 4), seed=5)
    next(first)
    first.close()
    told: list[str] = []
    points = list(pool_study(studied, factors=(2, 4), seed=5, progress=lambda stage, done, total: told.append(stage)))
    assert [point.run.reused for point in points] == [True, False, False]
    assert told[-1] == "done"
    assert {point.run.id for point in points} <= {run.id for run in runs.list()}
    again = list(pool_study(studied, factors=(2, 4), seed=5))
    assert [point.per_query for point in again] == [point.per_query for point in points]
    assert all(point.run.reused for point in again)


def test_ten_factors_cost_one_linkage(studied, monkeypatch) -> None:
    fresh = prepare(studied.collection, documents=studied.documents, queries=studied.queries)
    made = []
    monkeypatch.setattr("workbench.experiments.pooler.link", lambda *a: made.append(a) or link(*a))
    for factor in (1.25, 1.75, 2.25, 2.75):
        pooled = fresh.pooled(PoolSettings(factor), keep=False)[0]
        assert pooled.values.tolist() == pool(studied.documents, factor).values.tolist()
    for tokens in (3, 4):
        pooled = fresh.pooled(PoolSettings(tokens=tokens), keep=False)[0]
        assert pooled.values.tolist() == pool(studied.documents, tokens=tokens).values.tolist()
    assert len(made) == 1
