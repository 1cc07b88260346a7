"""Scorers in training: losses take any of them, learned ones resume and are kept, texts without tokens are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine import Collection
from engine.errors import InputError
from engine.maxsim import scorers
from engine.training import TrainingData, TrainSettings, fine_tune, read_training_data, score_collection
from engine.training.model import build_loss, load_for_training
from tests.engine.training.conftest import Killed, killed_after


def test_a_learned_scorer_trains_resumes_and_is_kept_with_the_model(
    settings: TrainSettings, pairs: TrainingData, development: Collection, tmp_path: Path
) -> None:
    settings = replace(settings, scorer="weighted-maxsim", save_every=2, learning_rate=1e-2)
    whole = fine_tune(replace(settings, output=str(tmp_path / "whole")), pairs, development=development)
    with pytest.raises(Killed):
        fine_tune(settings, pairs, killed_after(5))
    resumed = fine_tune(settings, pairs, resume=True)
    assert resumed.losses == whole.losses
    first, second = (scorers.get("weighted-maxsim", folder) for folder in (tmp_path / "whole", settings.output))
    assert first.describe() == second.describe() != scorers.get("weighted-maxsim", dim=16).describe()
    assert score_collection(resumed.encoder, development, scorer=second) == whole.after


@pytest.mark.parametrize(
    ("scorer", "loss"),
    [
        ("xtr:retrieved=50", "contrastive"),
        ("smooth-maxsim:temperature=0.1", "margin-mse"),
        ("weighted-maxsim", "distillation"),
    ],
)
def test_every_loss_takes_any_scorer(
    settings: TrainSettings, rows: list[dict[str, Any]], scorer: str, loss: str
) -> None:
    data = read_training_data([{**row, "scores": [2.0, 0.0]} for row in rows])
    losses = [
        fine_tune(replace(settings, loss=loss, scorer=name, max_steps=2), data, replace=True).losses
        for name in (scorer, "maxsim")
    ]
    assert losses[0] != losses[1]


def test_a_row_of_which_nothing_is_left_is_named(settings: TrainSettings, pairs: TrainingData, tmp_path: Path) -> None:
    model = load_for_training(settings).model
    mask: Any = model[2]
    mask.skiplist_words = ["[CLS]", "[SEP]", "?", ".", "the"]
    mask.resolve_with_tokenizer(model.tokenizer)
    texts = {"query": ["what is", "how"], "document": ["kaba", "the ? ."]}
    columns = [{**model.preprocess(texts[task], task=task), "task": task} for task in texts]
    with pytest.raises(InputError, match=r"Nothing of the document 'the \? \.' is left to score"):
        build_loss(model, settings)(columns)
    model.save_pretrained(str(tmp_path / "strict"))
    strict, rows = replace(settings, base=str(tmp_path / "strict")), pairs.rows()
    data = read_training_data([*rows[:5], {"query": "what", "positive": "? ."}])
    with pytest.raises(InputError, match=r"Nothing of the positive '\? \.' of .* is left to score"):
        fine_tune(strict, data)
    assert not Path(settings.output).exists()
