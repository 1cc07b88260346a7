"""Names of ir-measures against ir-measures itself: the same form, the same values."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from engine import Collection, Ranking, evaluate
from engine.errors import InputError
from engine.metrics import check_metrics, metric_name, parse_metric, same_metric

MEASURES = [
    "nDCG@10", "nDCG", "NDCG@3", "nDCG(judged_only=True)@5", "P@5", "P(rel=2)@3", "R@5",
    "R(rel=2)@10", "Recall@3", "RR", "RR@3", "MRR(rel=2)@10", "AP", "AP(rel=2)", "MAP@5", "Success@1",
    "Success(rel=2)@5", "Rprec", "Rprec(rel=2)", "Bpref", "Judged@5", "Judged", "P(judged_only=True)@5", "SetP",
    "SetR(rel=2)", "SetF",
]  # fmt: skip


def data(seed: int) -> tuple[Collection, dict[str, list[str]]]:
    """Ten queries with random grades and rankings, none of them empty."""
    rng, documents, queries = np.random.default_rng(seed), [f"d{i}" for i in range(30)], [f"q{i}" for i in range(10)]
    qrels = {q: {documents[i]: int(rng.integers(0, 4)) for i in rng.permutation(30)[:12]} for q in queries}
    qrels = {query: {**grades, next(iter(grades)): 2} for query, grades in qrels.items()}
    found = {query: [documents[i] for i in rng.permutation(30)[: int(rng.integers(1, 25))]] for query in queries}
    return Collection(dict.fromkeys(documents, "text"), dict.fromkeys(queries, "query"), qrels), found


@pytest.mark.parametrize("seed", [0, 1])
def test_every_value_is_the_one_of_ir_measures(seed: int) -> None:
    ir_measures = pytest.importorskip("ir_measures")
    collection, found = data(seed)
    rankings = {q: Ranking(ids, np.linspace(1, 0, len(ids), dtype=np.float32)) for q, ids in found.items()}
    ours = evaluate(rankings, collection, MEASURES)
    assert list(ours.mean) == MEASURES
    runs = {query: {name: float(-rank) for rank, name in enumerate(ids)} for query, ids in found.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in MEASURES:
            measure = ir_measures.parse_measure(name)
            theirs = {m.query_id: m.value for m in ir_measures.iter_calc([measure], collection.qrels, runs)}
            assert ours.per_query[name] == pytest.approx(theirs, abs=1e-6), name


def test_rank_biased_precision_by_hand() -> None:
    collection = Collection(dict.fromkeys("abcd", "text"), {"q": "query"}, {"q": {"a": 3, "b": 1, "c": 2}})
    found = {"q": Ranking(["d", "a", "b", "c"], np.arange(4, 0, -1, dtype=np.float32))}
    scores = evaluate(found, collection, ["RBP(rel=1, p=0.5)", "RBP(rel=2)"])
    assert scores.mean["RBP(rel=1, p=0.5)"] == pytest.approx(0.5 * (0.5 + 0.25 + 0.125))
    assert scores.mean["RBP(rel=2)"] == pytest.approx(0.2 * (0.8 + 0.8**3))


def test_both_ways_to_write_a_metric_are_one_computation_and_each_is_shown_as_it_was_asked() -> None:
    collection, found = data(3)
    rankings = {q: Ranking(ids, np.linspace(1, 0, len(ids), dtype=np.float32)) for q, ids in found.items()}
    pairs = {"nDCG@10": "ndcg@10", "R(rel=2)@5": "recall@5-l2", "RR@10": "mrr@10", "Judged@5": "judged@5",
             "nDCG(dcg='exp-log2')@5": "ndcg_burges@5"}  # fmt: skip
    scores = evaluate(rankings, collection, [*pairs, *pairs.values()])
    for theirs, ours in pairs.items():
        assert scores.per_query[theirs] == scores.per_query[ours]
        assert same_metric(theirs, {"exact@10": 1, ours: 2}) == ours
        assert metric_name(theirs) == theirs
    assert same_metric("nDCG@5", {"ndcg@10": 1}) is None
    assert same_metric("exact@10", {"ndcg@10": 1}) is None
    assert check_metrics(["AP", "recall@5"]) == ["AP", "recall@5"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ERR@20", "of ir-measures choose among nDCG"), ("P", "Expected a cut-off for P"), ("nDCG@0", "1 or more"),
        ("Rprec@5", "leave it out of Rprec"), ("P(rel=0)@5", "from 1 to 9"), ("P(rel=two)@5", "from 1 to 9"),
        ("P(rel=1, rel=2)@5", "each once"), ("nDCG(rel=2)@5", "dcg, judged_only"), ("RBP", r"RBP\(rel=1, p=0.8\)"),
        ("RBP(rel=1, p=1)", "between 0 and 1"), ("nDCG(dcg='log3')", "exp-log2"), ("Judged(rel=1)@5", "among none"),
        ("nDCG@10-l2", "Unknown metric"), ("AP(judged_only=1)", "True or False"), ("nDCG@", "Unknown metric"),
        ("judged@5-l2", "no level"),
    ],
)  # fmt: skip
def test_what_is_no_measure_is_refused_in_words(name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_metric(name)
