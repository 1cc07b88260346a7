"""A frozen backbone encodes each text once, and the vectors are those that it would give anyway."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import Collection
from engine.training import TrainingData, TrainSettings, fine_tune
from engine.training.frozen import remembered_backbone
from engine.training.losses import ContrastiveLoss
from engine.training.model import load_for_training, prepare
from tests.engine.training.conftest import weights
from tests.engine.training.test_losses import features, gradients


@pytest.fixture
def model(backbone: Path) -> Any:
    settings = TrainSettings(base=str(backbone), projection=16, device="cpu", train_only="head")
    found = load_for_training(settings).model
    prepare(found, settings)
    return found.eval()


class Counter:
    """Counts the texts that a module is given."""

    def __init__(self, module: Any) -> None:
        self.texts = 0
        module.auto_model.embeddings.word_embeddings.register_forward_pre_hook(self.count)

    def count(self, module: Any, given: Any) -> None:
        self.texts += len(given[0])


@pytest.mark.parametrize("side", ["right", "left"])
def test_vectors_and_gradients_are_those_of_the_backbone(model: Any, rows: list[dict[str, str]], side: str) -> None:
    model.tokenizer.padding_side = side
    columns = features(model, rows[:9], ("query", "positive", "negative"))
    plain = gradients(model, ContrastiveLoss(model, mini_batch_tokens=64, graph_tokens=0), columns)
    counter = Counter(model[0])
    with remembered_backbone(model):
        model.train()  # no dropout: the backbone is asked as in evaluation
        for _ in range(2):  # in mini-batches of another width the second time
            tokens = 64 + 100 * (counter.texts > 0)
            found = gradients(model, ContrastiveLoss(model, mini_batch_tokens=tokens, graph_tokens=0), columns)
            assert found[0] == pytest.approx(plain[0], abs=1e-5)
            torch.testing.assert_close(found[1], plain[1], atol=1e-5, rtol=1e-4)
        distinct = {text for row in rows[:9] for name, text in row.items() if name != "scores"}
        assert counter.texts == len(distinct)
        assert model[0].training
    assert "forward" not in vars(model[0])


def test_what_does_not_fit_is_encoded_each_time(model: Any, rows: list[dict[str, str]]) -> None:
    columns = features(model, rows[:5], ("query", "positive"))
    counter = Counter(model[0])
    with remembered_backbone(model, room=1), torch.no_grad():
        first = model(dict(columns[1]), task="document")["token_embeddings"]
        again = model(dict(columns[1]), task="document")["token_embeddings"]
    assert torch.equal(first, again)
    assert counter.texts == 10


def test_a_run_trains_the_head_alone_and_encodes_each_text_once(
    settings: TrainSettings, pairs: TrainingData, development: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters: list[Counter] = []
    real = load_for_training

    def counted(settings: TrainSettings) -> Any:
        encoder = real(settings)
        counters.append(Counter(encoder.model[0]))
        return encoder

    monkeypatch.setattr("engine.training.run.load_for_training", counted)
    settings = replace(settings, train_only="head", max_steps=12, evaluate_every=3)
    report = fine_tune(settings, pairs, development=development)
    texts = {text for column in pairs.columns.values() for text in column}
    texts |= {*development.queries.values(), *development.documents.values()}
    assert counters[0].texts <= len(texts) + 3  # and what the mini-batch was measured with
    assert report.after is not None
    assert report.before is not None
    assert report.after.ndcg != report.before.ndcg
    before, after = weights(settings.base), weights(settings.output)
    same = [name for name in before if name.startswith("0.") and torch.equal(before[name], after[name])]
    assert len(same) == sum(name.startswith("0.") for name in before)
