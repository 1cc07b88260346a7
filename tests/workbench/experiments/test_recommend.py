"""The recommendation fits the limits, keeps the quality, and shows what it tried."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine import Collection, create_index, maxsim, pool
from engine.errors import InputError
from tests.conftest import ragged
from workbench.experiments.experiment import Experiment
from workbench.experiments.measure import searched_bytes
from workbench.experiments.prepare import prepare
from workbench.experiments.studies import recommend
from workbench.experiments.views.recommendation import Option, choose
from workbench.runs.record import Run

RNG = np.random.default_rng(8)
DOCUMENTS = ragged(RNG, [8] * 120, 16)
QUERIES = ragged(RNG, [4] * 10, 16)
IDS = [f"d{i}" for i in range(120)]


@pytest.fixture(scope="module")
def judged():
    qrels = {f"q{i}": {IDS[j]: 1 for j in np.argsort(-row)[:5]} for i, row in enumerate(maxsim(QUERIES, DOCUMENTS))}
    collection = Collection(dict.fromkeys(IDS, "words"), {f"q{i}": "words" for i in range(10)}, qrels, "made")
    return prepare(collection, documents=DOCUMENTS, queries=QUERIES)


@pytest.fixture(scope="module")
def found(judged):
    return recommend(judged, seconds=3600, min_quality=0.9)


def test_keeps_the_quality_in_the_least_bytes(found):
    assert found.chosen is not None
    assert found.chosen.quality >= 0.9
    assert found.chosen.bytes == min(option.bytes for option in found.tried if option.quality >= 0.9)
    assert found.exact.quality == found.exact.recall_10 == 1.0
    assert found.exact.value == 1.0
    assert found.tried[0] is found.exact
    assert {option.kind for option in found.tried} == {"exact", "plaid", "hnsw"}
    assert {option.factor for option in found.tried} >= {1, 2, 4}
    assert "smallest" in found.reason


def test_what_it_says_can_be_built_again(found, tmp_path):
    names = {"documents": DOCUMENTS, "ids": IDS, "path": tmp_path / "i", "pool": pool, "create_index": create_index}
    exec(found.code, names)
    assert searched_bytes(names["index"]) == pytest.approx(found.chosen.bytes, rel=0.05)
    assert found.command == ""


def test_evidence_measures_quality_against_judgements(found, judged):
    for option in found.tried:
        assert option.quality == pytest.approx(option.value / found.exact.value)
        assert option.difference.mean == pytest.approx(option.value - found.exact.value, abs=1e-9)


def test_a_spent_budget_leaves_exact_and_says_what_was_skipped(judged):
    found = recommend(judged, seconds=1e-6)
    assert found.chosen is found.exact
    assert len(found.skipped) == 13
    stopped = recommend(judged, stop=lambda: True)
    assert stopped.tried == (stopped.exact,)


def test_without_judgements_the_exact_first_ten_are_the_truth(judged):
    found = recommend(prepare(replace(judged.collection, qrels={}), documents=DOCUMENTS, queries=QUERIES), seconds=1e-6)
    assert found.metric.startswith("share of the exact first ten")
    assert found.exact.value == 1.0


def option(name: str, size: int, milliseconds: float, quality: float) -> Option:
    """An option whose run holds just what the choice looks at."""

    def made(value: float) -> Run:
        record = {"name": name, "experiment": Experiment().to_dict(), "sizes": {"bytes": size},
                  "latency_ms": {"p50": milliseconds}, "scores": {"ndcg@10": {"mean": value}}}  # fmt: skip
        return Run(name, Path(name), "complete", record)

    return Option(made(quality), made(1.0), "ndcg@10")


def kind_of(found: tuple[Option | None, str]) -> str:
    assert found[0] is not None
    return found[0].run.name


def test_the_choice_follows_the_limits():
    options = [
        option("exact", 100, 9.0, 1.0),
        option("a", 50, 3.0, 0.995),
        option("b", 20, 5.0, 0.992),
        option("c", 9, 1, 0.9),
    ]
    assert kind_of(choose(options, None, None, 0.99, "small")) == "b"
    assert kind_of(choose(options, None, None, 0.99, "fast")) == "a"
    assert kind_of(choose(options, None, 4.0, 0.99, "small")) == "a"
    assert kind_of(choose(options, 30, None, 0.99, "fast")) == "b"
    assert choose(options, 10, None, 0.99, "small")[0] is None
    assert "smallest with this quality takes 20" in choose(options, 10, None, 0.99, "small")[1]
    assert "takes 3.00 ms" in choose(options, None, 0.5, 0.99, "small")[1]
    assert "lower min_quality" in choose(options[3:], None, None, 0.99, "small")[1]


@pytest.mark.parametrize(
    ("limits", "words"),
    [({"max_bytes": 0}, "max_bytes above 0"), ({"max_ms": -1}, "max_ms"), ({"min_quality": 1.5}, "up to 1")],
)
def test_limits_that_make_no_sense(judged, limits, words):
    with pytest.raises(InputError, match=words):
        recommend(judged, **limits)


def test_unknown_kinds_and_preferences_are_refused(tiny_collection):
    one, two = DOCUMENTS.select(range(8)), QUERIES.select(range(3))
    with pytest.raises(InputError, match="'fast-plaid': choose among exact, plaid, hnsw"):
        recommend(prepare(tiny_collection, documents=one, queries=two), kinds=("fast-plaid",))
    with pytest.raises(InputError, match="choose small or fast"):
        recommend(prepare(tiny_collection, documents=one, queries=two), prefer="big")  # type: ignore[arg-type]
