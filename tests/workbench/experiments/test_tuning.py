"""Searching the settings of training: trials are runs, bad ones end early, an interrupted search goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError
from engine.training import Stop, TrainSettings, read_training_data
from tests.tiny_models import make_model
from tests.workbench.experiments.test_training import DEVELOPMENT, PARTS
from workbench import runs
from workbench.experiments.tuning import Choice, Trial, read_choices, tune

pytest.importorskip("accelerate", reason="needs the training packages: the extra train")
pytest.importorskip("optuna", reason="needs the training packages: the extra train")
ROWS = [
    {"query": " ".join(part[start : start + 3]), "positive": " ".join(part[3:])} for part in PARTS for start in (0, 1)
]
OVER = {"learning_rate": Choice(low=1e-5, high=1.0), "pool_factors": Choice(([1], [1, 2]))}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainSettings:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    make_model(tmp_path / "backbone").save_pretrained(str(tmp_path / "base"))
    return TrainSettings(
        base=str(tmp_path / "base"), output=str(tmp_path / "trials"), batch=4, max_steps=4, device="cpu",
        mini_batch_tokens=256, evaluate_every=2, validation=0.4,
    )  # fmt: skip


def test_trials_are_runs_and_a_search_that_ended_goes_on(settings: TrainSettings) -> None:
    data, stop, seen = read_training_data(ROWS), Stop(), list[Trial]()

    def first_two(done: int, total: int, trial: Trial) -> None:
        seen.append(trial)
        if done == 2:
            stop.set()

    assert len(tune(settings, OVER, data, DEVELOPMENT, 4, on_trial=first_two, stop=stop)) == 2
    found = tune(settings, OVER, data, DEVELOPMENT, 4, on_trial=lambda done, total, trial: seen.append(trial))
    assert len(found) == len(seen) == 4
    assert {trial.number for trial in found} == {trial.number for trial in seen}
    assert [trial.value for trial in found] == sorted((trial.value for trial in seen), reverse=True)
    for trial in found:
        assert 1e-5 <= trial.settings["learning_rate"] <= 1.0
        assert trial.settings["pool_factors"] in ([1], [1, 2])
        assert runs.find(trial.run).status == "complete"  # of equal weights one run
        assert (Path(trial.folder) / "report.json").exists()
    assert len({str(trial.settings) for trial in found}) == 4
    assert tune(settings, OVER, data, DEVELOPMENT, 3) == found, "nothing is left to do"
    with pytest.raises(InputError, match="a search of other settings or rows"):
        tune(replace(settings, batch=3), OVER, data)


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("1e-5..1e-3", Choice(low=1e-5, high=1e-3)),
        ("16,32", Choice((16, 32))),
        ("1e-5,3e-5", Choice((1e-5, 3e-5))),
        ("[1],[1,2,4]", Choice(([1], [1, 2, 4]))),
        ("maxsim,lite", Choice(("maxsim", "lite"))),
    ],
)
def test_choices_are_read(text: str, choice: Choice) -> None:
    assert read_choices([f"x={text}"]) == {"x": choice}


@pytest.mark.parametrize("text", ["batch", "batch=", "batch=3..2", "batch=a..b", "batch=[1", "=1,2"])
def test_what_is_no_choice_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="Expected"):
        read_choices([text])


def test_each_combination_of_values_is_trained_once(settings: TrainSettings) -> None:
    over = {"pool_factors": Choice(([1], [2], [2]))}
    found = tune(replace(settings, max_steps=1), over, read_training_data(ROWS), trials=10)
    assert sorted(trial.settings["pool_factors"] for trial in found) == [[1], [2]]


def test_a_collection_that_measures_nothing_is_refused_before_the_search(settings: TrainSettings) -> None:
    unjudged = replace(
        DEVELOPMENT, qrels={query: dict.fromkeys(grades, 0) for query, grades in DEVELOPMENT.qrels.items()}
    )
    with pytest.raises(InputError, match="nothing is relevant"):
        tune(settings, OVER, read_training_data(ROWS), unjudged)
    assert not Path(settings.output).exists()


@pytest.mark.parametrize(
    ("over", "changes", "sentence"),
    [
        ({"rate": Choice((1,))}, {}, "Unknown training setting 'rate'"),
        ({"batch": Choice((1, 4))}, {}, "batch of 2 or more"),
        ({"pool_factors": Choice(([0.5],))}, {}, "1 or more, got 0.5"),
        ({"learning_rate": Choice(low=-1.0, high=1.0)}, {}, "above 0"),
        ({}, {}, "a setting to search"),
        ({"validation": Choice((0, 0.4))}, {}, "got validation"),
        ({"seed": Choice((0, 1))}, {}, "got seed"),
        ({"device": Choice(("cpu", "cuda"))}, {}, "got device"),
        (OVER, {"validation": 0.0}, "Expected validation"),
    ],
)
def test_mistakes_are_sentences_before_anything_is_trained(
    settings: TrainSettings, over: dict[str, Choice], changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        tune(replace(settings, **changes), over, read_training_data(ROWS))
    assert not Path(settings.output).exists()
