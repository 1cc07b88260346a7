"""Evaluation against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import pytrec_eval

from engine import Collection, Ranking, evaluate
from engine.collection import require_judgements
from engine.errors import InputError
from engine.evaluation import search_depth
from engine.metrics import KNOWN_METRICS, metric_name

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


TREC = {  # ours -> a measure of trec_eval, and the name of its value
    "ndcg": ("ndcg", "ndcg"), "ndcg@10": ("ndcg_cut.10", "ndcg_cut_10"), "map": ("map", "map"),
    "map@5": ("map_cut.5", "map_cut_5"), "mrr": ("recip_rank", "recip_rank"), "recall@5": ("recall.5", "recall_5"),
    "precision@5": ("P.5", "P_5"), "r-precision": ("Rprec", "Rprec"), "r_precision": ("Rprec", "Rprec"),
    "bpref": ("bpref", "bpref"), "hit_rate@5": ("success.5", "success_5"),
}  # fmt: skip


@pytest.mark.parametrize("level", [1, 2])
def test_every_value_is_the_one_of_trec_eval(level: int) -> None:
    rng, suffix = np.random.default_rng(level), "" if level == 1 else f"-l{level}"
    names = [name + suffix for name in TREC if level == 1 or not name.startswith("ndcg")]  # its gains know no level
    for _ in range(15):
        count = int(rng.integers(3, 40))
        documents, queries = [f"d{i}" for i in range(count)], [f"q{i}" for i in range(12)]
        qrels, found = {}, {}
        for query in queries:
            judged = rng.choice(count, size=int(rng.integers(1, count)), replace=False)
            qrels[query] = {documents[i]: int(rng.integers(-1, 4)) for i in judged} | {documents[judged[0]]: 1}
            found[query] = [documents[i] for i in rng.permutation(count)[: int(rng.integers(0, count + 1))]]
        collection = Collection(dict.fromkeys(documents, "text"), dict.fromkeys(queries, "query"), qrels)
        ours = evaluate({query: ranking(*ids) for query, ids in found.items()}, collection, names)
        measures = {measure for measure, _ in TREC.values()}
        runs = {query: {name: float(-rank) for rank, name in enumerate(ids)} for query, ids in found.items()}
        theirs = pytrec_eval.RelevanceEvaluator(qrels, measures, relevance_level=level).evaluate(runs)
        for name in names:
            value = TREC[name.removesuffix(suffix)][1]
            expected = {query: theirs[query][value] if found[query] else 0.0 for query in queries}
            assert ours.per_query[name] == pytest.approx(expected, abs=1e-6), name


def test_what_is_offered_works_and_gives_numbers() -> None:
    names = [f"{name}.95" if name == "rbp" else name for name in KNOWN_METRICS]
    names += [f"{name}-l2" for name in names if name != "judged"] + ["precision@5-l3"]
    scores = evaluate([ranking("b", "a", "c"), ranking("d", "e"), ranking("a")], COLLECTION, names)
    assert list(scores.mean) == names
    assert all(math.isfinite(value) for values in scores.per_query.values() for value in values.values())
    assert scores.mean["precision@5-l3"] == 0


@pytest.mark.parametrize(
    "name",
    ["ndcg@", "ndcg@0", "ndcg@-1", "ndcg@ten", "rbp", "rbp@95", "ndcg.95", "bpref@10", "ndcg-l0", "ndcg-l2@10", 7],
)
def test_impossible_metrics_are_refused_in_words(name: str) -> None:
    with pytest.raises(InputError, match=r"metric|rbp|cut-off|level"):
        evaluate({"q1": ranking("a")}, COLLECTION, [name])


def test_a_cut_off_beyond_the_results_is_told_and_says_how_deep_to_search() -> None:
    short = evaluate({"q1": ranking("a"), "q2": ranking("c", "a")}, COLLECTION, ["recall@1000", "recall@2"])
    assert short.notes == ("recall@1000 looks at 1000 documents, the longest ranking has 2: search for more.",)
    assert search_depth(["recall@1000", "map"], 2, COLLECTION) == 5
    assert search_depth(["recall@3"], 2, COLLECTION) == 3
    assert search_depth(["recall@3"], 100, COLLECTION) == 100


OWN = Collection(
    {"arg-1": "Tea is healthy.", "arg-2": "Tea is not healthy.", "arg-3": "Coffee."},
    {"arg-1": "Tea is healthy.", "arg-2": "Tea is not healthy."},
    {"arg-1": {"arg-2": 1}, "arg-2": {"arg-1": 1}},
)


def test_a_query_that_is_a_document_does_not_find_itself() -> None:
    found = {"arg-1": ranking("arg-1", "arg-2"), "arg-2": ranking("arg-2", "arg-3", "arg-1")}
    scores = evaluate(found, OWN, ["mrr"])
    assert scores.per_query["mrr"] == {"arg-1": 1.0, "arg-2": 0.5}
    assert "2 queries are documents too" in scores.notes[0]
    assert evaluate(found, OWN, ["mrr"], same_ids="keep").per_query["mrr"]["arg-1"] == 0.5
    assert not evaluate(found, OWN, ["mrr"], same_ids="keep").notes
    assert search_depth(["recall@2"], 2, OWN) == 3


def test_documents_that_are_only_numbered_like_queries_stay() -> None:
    numbered = Collection(
        {"1": "Tea.", "2": "Coffee."}, {"1": "what to drink", "2": "tea"}, {"1": {"1": 1}, "2": {"1": 1}}
    )
    found = {"1": ranking("1", "2"), "2": ranking("2", "1")}
    assert evaluate(found, numbered, ["mrr"]).per_query["mrr"] == {"1": 1.0, "2": 0.5}
    assert evaluate(found, numbered, ["mrr"], same_ids="leave out").per_query["mrr"] == {"1": 0.0, "2": 1.0}
    with pytest.raises(InputError, match="leave out"):
        evaluate(found, numbered, ["mrr"], same_ids="drop")  # type: ignore[arg-type]


def test_names_for_people() -> None:
    shown = {"ndcg@10": "nDCG@10", "recall@100-l2": "recall@100-l2", "r-precision": "R-precision", "rbp.95": "RBP.95"}
    assert {name: metric_name(name) for name in shown} == shown
    assert metric_name("mrr-l2") == "MRR-l2"


def test_queries_without_a_document_of_the_level_are_told() -> None:
    texts = {name: name for name in ("d1", "d2")}
    collection = Collection(texts, {"q1": "a", "q2": "b"}, {"q1": {"d1": 2}, "q2": {"d2": 1}})
    found = evaluate([ranking("d1", "d2")] * 2, collection, ["ndcg@10-l2", "map"])
    assert found.mean["ndcg@10-l2"] == 0.5
    assert found.notes == ("1 of 2 queries have no document of grade 2 or more: they count as 0 at that level.",)


@pytest.mark.parametrize("metric", ["ndcg_burges@10", "dcg_burges"])
def test_grades_beyond_a_metric_are_refused_and_others_are_numbers(metric: str) -> None:
    collection = Collection({"a": "a", "b": "b"}, {"q": "q"}, {"q": {"a": 10**6, "b": 1}})
    assert 0 < evaluate([ranking("b", "a")], collection, ["ndcg@10"]).mean["ndcg@10"] < 1
    with pytest.raises(InputError, match="got 1000000 for query 'q'"):
        evaluate([ranking("b", "a")], collection, [metric])


def test_judgements_of_which_none_is_relevant_are_called_what_they_are() -> None:
    with pytest.raises(InputError, match="None of the 1 judgements"):
        require_judgements(Collection({"a": "a"}, {"q": "q"}, {"q": {"a": 0}}))


def test_ids_of_any_length_share_what_is_compiled_and_count_once() -> None:
    """What ranx makes of dictionaries is compiled anew for each length and sorted in that code."""
    from ranx.data_structures import common
    from ranx.metrics.ndcg import _ndcg_parallel

    def signatures() -> list[int]:
        compiled = (common.create_and_sort, common.sort_dict_by_value, common.to_typed_list, _ndcg_parallel)
        return [len(function.signatures) for function in compiled]

    evaluate({"q2": ranking("c")}, COLLECTION, ["ndcg@10"])
    before, stem = signatures(), "\u00e9" * 41
    for length in (1, 41):
        a, b, c = (f"{stem[:length]}/{i}" for i in "abc")
        long = Collection({a: a, b: b, c: c}, {"q": "q"}, {"q": {a: 2, c: 1}})
        value = evaluate([ranking(b, a, a, c)], long, ["ndcg@10"]).mean["ndcg@10"]
        assert value == pytest.approx((2 / math.log2(3) + 1 / math.log2(4)) / (2 + 1 / math.log2(3)))
    assert signatures() == before
