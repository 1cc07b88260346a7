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


@pytest.mark.parametrize(
    ("scorer", "loss"),
    [
        ("weighted-maxsim", "cached-contrastive"),
        ("weighted-maxsim", "distillation"),
        ("xtr:retrieved=50", "cached-contrastive"),
        ("smooth-maxsim:temperature=0.1", "margin-mse"),
    ],
)
def test_scorers_train_resume_and_are_kept_with_the_model(
    settings: TrainSettings, rows: list[dict[str, Any]], development: Collection, tmp_path: Path, scorer: str, loss: str
) -> None:
    data = read_training_data([{**row, "scores": [2.0, 0.0]} for row in rows])
    settings = replace(settings, loss=loss, scorer=scorer, save_every=2, learning_rate=1e-2)
    whole = fine_tune(replace(settings, output=str(tmp_path / "whole")), data, development=development)
    with pytest.raises(Killed):
        fine_tune(settings, data, killed_after(5))
    resumed = fine_tune(settings, data, development=development, resume=True)
    assert resumed.losses == whole.losses
    assert resumed.after == whole.after
    found = [scorers.get(scorer, folder) for folder in (tmp_path / "whole", settings.output)]
    assert found[0].describe() == found[1].describe()
    assert score_collection(resumed.encoder, development, scorer=found[1]) == resumed.after
    if found[0].learned:
        assert found[0].describe() != scorers.get(scorer, dim=16).describe()


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
