"""What training measures before and after are runs, with the numbers that the commands give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine import Collection, Encoder
from engine.training import TrainSettings, fine_tune, load_report, read_training_data
from engine.training.development import score_collection
from tests.tiny_models import WORDS, make_model
from workbench import runs
from workbench.experiments.execute import run
from workbench.experiments.experiment import Experiment
from workbench.experiments.pool_studies import pool_study
from workbench.experiments.prepare import prepare
from workbench.experiments.training import as_runs
from workbench.experiments.views.comparison import compare

pytest.importorskip("accelerate", reason="needs the training packages: the extra train")
PARTS = [text.split() for text in WORDS]
DOCUMENTS = {f"d{number}": " ".join(words) for number, words in enumerate(PARTS)}
QUERIES = {f"q{number}": " ".join(words[2:5]) for number, words in enumerate(PARTS)}
DEVELOPMENT = Collection(DOCUMENTS, QUERIES, {f"q{i}": {f"d{i}": 1} for i in range(len(PARTS))}, "held out")
ROWS = [{"query": " ".join(words[:3]), "positive": " ".join(words[3:])} for words in PARTS]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainSettings:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    make_model(tmp_path / "backbone").save_pretrained(str(tmp_path / "base"))
    shared = {"batch": 4, "max_steps": 2, "device": "cpu", "mini_batch_tokens": 256, "learning_rate": 0.01}
    return TrainSettings(base=str(tmp_path / "base"), output=str(tmp_path / "model"), **shared)


def test_before_and_after_are_runs_that_any_door_finds_again(settings: TrainSettings) -> None:
    report = fine_tune(settings, read_training_data(ROWS), None, DEVELOPMENT, measure=as_runs(settings, "elsewhere"))
    assert report.before is not None
    assert report.after is not None
    before, after = runs.find(report.before.run), runs.find(report.after.run)
    assert {found.id for found in runs.list()} == {before.id, after.id}
    assert {before.experiment.collection, after.experiment.collection} == {"elsewhere"}
    for found, score, model in ((before, report.before, settings.base), (after, report.after, settings.output)):
        assert (found.mean["ndcg@10"], found.per_query("ndcg@10")) == (score.ndcg, score.per_query)
        assert (found.intervals["ndcg@10"].low, found.intervals["ndcg@10"].high) == (score.low, score.high)
        asked = Experiment(collection="held out", model=model, dtype="float32")
        loaded = Encoder.load(model, device="cpu", dtype="float32")
        assert run(asked, collection=DEVELOPMENT, encoder=loaded).id == found.id
        # The index keeps float16, this scores float32: random weights give near ties, and one may turn over.
        turned = 1.0 / len(QUERIES)
        assert score_collection(loaded, DEVELOPMENT).ndcg == pytest.approx(score.ndcg, abs=turned)
    pair = compare(before, after, names=("before", "after"), metrics=["ndcg@10"], test="randomization").pairs[0]
    assert pair.p == report.p_value
    assert load_report(settings.output, "cpu").after == report.after


def test_pool_factors_before_and_after_are_the_runs_of_a_pool_study(settings: TrainSettings) -> None:
    pooled = replace(settings, pool_factors=(1, 2))
    report = fine_tune(pooled, read_training_data(ROWS), None, DEVELOPMENT, measure=as_runs(pooled))
    ends = {"before": (report.before, settings.base), "after": (report.after, settings.output)}
    assert {when: list(curve) for when, curve in report.curves.items()} == {when: [1, 2] for when in ends}
    for when, (score, model) in ends.items():
        assert report.curves[when][1] == score  # one number, whichever part of the report says it
        prepared = prepare(DEVELOPMENT, Encoder.load(model, device="cpu", dtype="float32"))
        for point in pool_study(prepared, [1, 2]):
            assert point.run.reused
            assert point.run.id == report.curves[when][point.factor].run


def test_a_scorer_that_training_makes_ranks_after_it_and_maxsim_before(settings: TrainSettings) -> None:
    learned = replace(settings, scorer="weighted-maxsim")
    report = fine_tune(learned, read_training_data(ROWS), None, DEVELOPMENT, measure=as_runs(learned))
    assert report.before is not None
    assert report.after is not None
    found = [runs.find(score.run).experiment.scorer for score in (report.before, report.after)]
    assert found == ["index", "weighted-maxsim"]
    score = as_runs(learned)(Encoder.load(learned.output, device="cpu", dtype="float32"), DEVELOPMENT, 2)
    assert runs.find(score.run).experiment.system == "exact > weighted-maxsim"
    again = run(Experiment(model=learned.output, dtype="float32", scorer="weighted-maxsim"), collection=DEVELOPMENT)
    assert again.reused
