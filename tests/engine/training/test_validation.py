"""Questions set apart choose the step that is kept, end a run early, and are never trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import Collection, Encoder
from engine.errors import InputError
from engine.training import Evaluated, Step, TrainingData, TrainSettings, fine_tune, load_report
from engine.training.checkpoints import CHECKPOINTS
from engine.training.validation import Choice, judged_apart, set_apart
from tests.engine.training.conftest import Killed, killed_after, weights


def test_questions_set_apart_are_not_trained_on(pairs: TrainingData) -> None:
    rest, apart = set_apart(pairs, 0.2, seed=1)
    assert apart is not None
    assert not set(rest.columns["query"]) & set(apart.queries.values())
    assert len(rest) + len(apart.queries) == len(pairs)
    for query, text in apart.queries.items():
        answers = {apart.documents[name] for name in apart.qrels[query]}
        assert answers == {p for q, p in zip(*pairs.columns.values(), strict=True) if q == text}
    assert set_apart(pairs, 0.2, seed=1)[1] == apart
    assert set_apart(pairs, 0.0) == (pairs, None)
    with pytest.raises(InputError, match="set apart, got 1 of 6"):
        set_apart(pairs.select(range(6)), 0.2)


def test_the_best_step_is_kept_whatever_came_after_it(
    settings: TrainSettings, pairs: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([0.3, 0.5, 0.9, 0.4, 0.6])  # at the start, and after 2, 4, 6 and 8 steps
    real = Choice.measure

    def told(self: Choice, step: int, encoder: Encoder, scorer: Any) -> Any:
        ndcg = next(values)
        with monkeypatch.context() as patch:
            patch.setattr("engine.training.validation.np.mean", lambda found: ndcg)
            return real(self, step, encoder, scorer)

    monkeypatch.setattr(Choice, "measure", told)
    seen: list[Evaluated] = []
    settings = replace(settings, max_steps=8, save_every=4, evaluate_every=2, validation=0.2)
    report = fine_tune(settings, pairs, lambda event: seen.append(event) if isinstance(event, Evaluated) else None)
    assert (report.steps, report.kept) == (8, 4)
    assert report.measured == {0: 0.3, 2: 0.5, 4: 0.9, 6: 0.4, 8: 0.6}
    assert [event.step for event in seen] == [0, 2, 4, 6, 8]
    assert all(event.chooses for event in seen)
    assert load_report(settings.output, "cpu").measured == report.measured
    stored = weights(settings.output)
    from safetensors.torch import load_file

    kept = load_file(Path(settings.output) / CHECKPOINTS / "checkpoint-4" / "weights.safetensors")
    last = load_file(Path(settings.output) / CHECKPOINTS / "checkpoint-8" / "weights.safetensors")
    assert all(torch.equal(value, kept[name]) for name, value in stored.items())
    assert not all(torch.equal(value, last[name]) for name, value in stored.items())
    assert "step 4 of 8" in (Path(settings.output) / "README.md").read_text()


def test_a_run_ends_when_nothing_gets_better_and_keeps_the_base(settings: TrainSettings, pairs: TrainingData) -> None:
    steps: list[int] = []
    ruinous = replace(settings, max_steps=40, learning_rate=1.0, evaluate_every=2, validation=0.2, patience=2)
    queries, documents = ({f"{k}{i}": text for i, text in enumerate(("first " + k, "second " + k))} for k in "qd")
    people = Collection(documents, queries, {"q0": {"d0": 1}, "q1": {"d1": 1}}, "people")
    listen = lambda event: steps.append(event.step) if isinstance(event, Step) else None  # noqa: E731
    report = fine_tune(ruinous, pairs, listen, choosing=people)
    assert report.reason == "complete"
    assert report.chosen_on == load_report(ruinous.output, "cpu").chosen_on == "people"
    assert report.steps == steps[-1] < 40
    assert report.kept == max(report.measured, key=lambda step: (report.measured[step], -step))
    assert report.kept is not None
    assert report.steps - report.kept == 4
    again = fine_tune(ruinous, pairs, resume=True, choosing=people)
    assert again.reason == "already complete"
    with pytest.raises(InputError, match="choosing"):
        fine_tune(ruinous, pairs, resume=True)


def test_an_interrupted_run_chooses_as_one_that_was_not(
    settings: TrainSettings, pairs: TrainingData, tmp_path: Path
) -> None:
    settings = replace(settings, save_every=2, evaluate_every=1, validation=0.2, lora_rank=2, learning_rate=0.02)
    pytest.importorskip("peft")
    whole = fine_tune(replace(settings, output=str(tmp_path / "whole")), pairs)
    with pytest.raises(Killed):
        fine_tune(settings, pairs, killed_after(5))
    resumed = fine_tune(settings, pairs, resume=True)
    assert (resumed.measured, resumed.kept) == (whole.measured, whole.kept)
    assert whole.kept
    for name, value in weights(str(tmp_path / "whole")).items():
        assert torch.equal(value, weights(settings.output)[name]), name


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"validation": 0.1}, "evaluate_every with validation"),
        ({"patience": 2}, "validation with patience"),
        ({"validation": 0.9, "evaluate_every": 1}, ".5 or less"),
        ({"validation": -0.1}, "0 or more"),
        ({"patience": -1}, "0 or more"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        TrainSettings.from_dict(changes)


def test_a_run_with_pool_factors_measures_the_curve_before_and_after(
    settings: TrainSettings, pairs: TrainingData, development: Collection
) -> None:
    from workbench.figures import pool_training

    report = fine_tune(replace(settings, pool_factors=(2, 4)), pairs, development=development)
    assert report.before is not None
    assert report.after is not None
    assert {when: list(curve) for when, curve in report.curves.items()} == {"before": [1, 2, 4], "after": [1, 2, 4]}
    assert report.curves["before"][1].ndcg == report.before.ndcg
    assert report.curves["after"][1].ndcg == report.after.ndcg
    assert report.curves["after"][4].ndcg != report.curves["after"][1].ndcg
    assert load_report(settings.output, "cpu").curves == report.curves
    assert "| pool factor | 1 | 2 | 4 |" in (Path(settings.output) / "README.md").read_text()
    traces: Any = pool_training(report.curves).data
    drawn = {trace.name: list(trace.y) for trace in traces}
    assert drawn["after"] == [score.ndcg for score in report.curves["after"].values()]
    with pytest.raises(InputError, match="pool_factors"):
        pool_training({})


def test_questions_of_people_choose_where_there_are_enough() -> None:
    documents = {f"d{i}": f"document {i}" for i in range(50)}
    qrels = {f"q{i}": {f"d{i}": 1} for i in range(50)}
    whole = Collection(documents, {name: f"question {name}" for name in qrels}, qrels, "whole")
    choosing, measuring = judged_apart(whole)
    assert choosing is not None
    assert (len(choosing.queries), len(measuring.queries)) == (20, 30)
    assert not set(choosing.queries) & set(measuring.queries)
    assert set(choosing.queries) | set(measuring.queries) == set(whole.queries)
    few = Collection(documents, whole.queries, {name: qrels[name] for name in list(qrels)[:39]}, "few")
    assert judged_apart(few) == (None, few)
