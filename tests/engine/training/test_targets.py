"""The loss on what an index keeps: pooled, nested and noisy vectors; the plain loss where nothing is left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import Encoder, TokenEmbeddings, pool
from engine.errors import InputError
from engine.late_head import LateHead
from engine.maxsim import scorers
from engine.maxsim.differentiable import Ragged
from engine.training import TrainingData, TrainSettings, fine_tune
from engine.training.losses import ContrastiveLoss, DistillationLoss
from engine.training.model import load_for_training
from engine.training.targets import Targets, codec_noise
from tests.conftest import ragged
from tests.engine.training.test_losses import features, gradients


@pytest.fixture
def model(backbone: Path) -> Any:
    found = load_for_training(TrainSettings(base=str(backbone), projection=16, device="cpu")).model
    found.eval()
    return found


def tensors(embeddings: TokenEmbeddings) -> Ragged:
    return Ragged(torch.from_numpy(embeddings.values), torch.from_numpy(embeddings.offsets))


def test_factor_one_is_the_plain_loss_bit_for_bit(model: Any, rows: list[dict[str, str]]) -> None:
    columns = features(model, rows[:9], ("query", "positive", "negative"))
    plain = gradients(model, ContrastiveLoss(model, mini_batch_tokens=64, graph_tokens=0), columns)
    for targets in (Targets((1,)), Targets((1.0,), (3.0,), (16,))):
        found = gradients(model, ContrastiveLoss(model, mini_batch_tokens=64, graph_tokens=0, targets=targets), columns)
        assert found[0] == plain[0]
        assert torch.equal(found[1], plain[1])


def test_the_mixture_is_the_loss_on_what_an_index_would_hold() -> None:
    rng = np.random.default_rng(0)
    queries, first, second = ragged(rng, [3, 4, 2], 12), ragged(rng, [9, 1, 12], 12), ragged(rng, [5, 7, 3], 12)
    targets = Targets((1, 2, 3.5), (1.0, 2.0, 1.0), (4, 12))
    scorer = scorers.get()

    def loss(queries: Ragged, documents: list[Ragged]) -> torch.Tensor:
        return torch.stack([scorer(queries, column).sum() for column in documents]).sum()

    expected = 0.0
    for dim in (4, 12):
        for factor, weight in zip(targets.factors, (0.25, 0.5, 0.25), strict=True):
            kept = [tensors(pool(side.prefix(dim), factor)) for side in (first, second)]
            expected += 0.5 * weight * loss(tensors(queries.prefix(dim)), kept).item()
    found = targets.mixed(loss, tensors(queries), [tensors(first), tensors(second)])
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_gradients_by_finite_differences() -> None:
    rng = np.random.default_rng(1)
    sides = [tensors(ragged(rng, lengths, 6)) for lengths in ([3, 2], [7, 5], [4, 8])]
    leaves = [side.values.double().requires_grad_() for side in sides]
    own = ContrastiveLoss(None, 0.5, targets=Targets((1, 2), (), (3, 6)))

    def loss(*values: torch.Tensor) -> torch.Tensor:
        queries, *documents = (Ragged(value, side.offsets) for value, side in zip(values, sides, strict=True))
        return own.targets.mixed(own.on_vectors, queries, list(documents))

    assert torch.autograd.gradcheck(loss, leaves, eps=1e-7, atol=1e-5)  # steps too small to change who merges


def test_cached_equals_plain_when_pooled_and_nested(model: Any, rows: list[dict[str, str]]) -> None:
    columns = features(model, rows[:8], ("query", "positive", "negative"))
    labels = torch.rand(8, 2, generator=torch.Generator().manual_seed(0))
    found = [
        gradients(
            model,
            DistillationLoss(model, targets=Targets((1, 2, 4), (), (4, 16)), mini_batch_tokens=64, graph_tokens=room),
            columns,
            labels,
        )
        for room in (None, 0)
    ]
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-6)
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("bits", [1, 4])
def test_noise_is_as_large_as_the_error_of_a_plaid_index(bits: int, tmp_path: Path) -> None:
    from engine import create_index, open_index

    documents = ragged(np.random.default_rng(2), [50] * 60, 16)
    size = codec_noise(documents, bits)
    create_index("plaid", tmp_path / "index", bits=bits).add([str(i) for i in range(60)], documents)
    stored = open_index(tmp_path / "index")._vectors(np.arange(60))  # type: ignore[attr-defined]
    error = np.linalg.norm(stored.values.astype(np.float32) - documents.values, axis=1)
    assert size == pytest.approx(np.sqrt(np.square(error).mean()), rel=0.1)
    seen: list[torch.Tensor] = []

    def loss(queries: Ragged, columns: list[Ragged]) -> torch.Tensor:
        seen.append(columns[0].values)
        return columns[0].values.sum()

    sides = tensors(documents.select([0])), [tensors(documents)]
    for training in (True, False):
        Targets(noise=size).mixed(loss, *sides, training)
    moved = (seen[0] - torch.from_numpy(documents.values)).norm(dim=1)
    assert moved.square().mean().sqrt().item() == pytest.approx(size, rel=0.05)
    assert torch.equal(seen[1], torch.from_numpy(documents.values))


def test_a_run_resumes_with_its_noise_and_says_what_it_was_trained_for(
    settings: TrainSettings, pairs: TrainingData, tmp_path: Path
) -> None:
    from tests.engine.training.conftest import Killed, killed_after, weights

    settings = replace(settings, pool_factors=[1, 2], dimensions=[8], bits=2, save_every=2)  # type: ignore[arg-type]
    whole = fine_tune(replace(settings, output=str(tmp_path / "whole")), pairs)
    with pytest.raises(Killed):
        fine_tune(settings, pairs, killed_after(5))
    resumed = fine_tune(settings, pairs, resume=True)
    assert resumed.losses == whole.losses
    assert resumed.noise == whole.noise > 0
    for name, value in weights(str(tmp_path / "whole")).items():
        assert torch.equal(value, weights(settings.output)[name]), name
    assert json.loads((Path(settings.output) / "report.json").read_text())["settings"]["pool_factors"] == [1, 2]
    encoder = Encoder.load(settings.output, "cpu", dim=8)
    assert encoder.dim == 8
    with pytest.warns(UserWarning, match=r"was trained for 8, 16; its leading 5 of 16"):
        Encoder.load(settings.output, "cpu", dim=5)
    again = fine_tune(replace(settings, base=settings.output, dimensions=(), output=str(tmp_path / "again")), pairs)
    assert getattr(again.encoder.model, "nested", None) == [8, 16], "what the base was trained for is kept up"


def test_a_head_keeps_its_own_word_of_its_dimensions(
    settings: TrainSettings, pairs: TrainingData, backbone: Path
) -> None:
    from sentence_transformers import MultiVectorEncoder

    plain = Encoder.load(str(backbone), "cpu").model
    head = LateHead(32, 16, len(plain.tokenizer), nested=(4, 16))
    folder = Path(settings.output).with_name("late")
    MultiVectorEncoder(modules=[plain[0], plain[1], head]).save_pretrained(str(folder), create_model_card=False)
    found = fine_tune(replace(settings, base=str(folder), dimensions=(8,), pool_factors=(1, 2)), pairs)
    stored: Any = Encoder.load(found.folder, "cpu").model[2]
    assert stored.nested == [8, 16]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"pool_factors": [0.5]}, "pool_factors as a number of 1 or more, got 0.5"),
        ({"pool_factors": [1, "2"]}, "got '2'"),
        ({"pool_factors": "1,2,4"}, r"such as \[1, 2, 4\]"),
        ({"pool_factors": 2}, r"such as \[1, 2, 4\]"),
        ({"pool_factors": []}, "one of pool_factors or more"),
        ({"pool_factors": [2, 2]}, "pool_factors once"),
        ({"pool_factors": [1, 2], "pool_weights": [1]}, "a weight for each, got 2 and 1"),
        ({"pool_factors": [1, 2], "pool_weights": [1, 0]}, "above 0"),
        ({"dimensions": [0]}, "1 or more, got 0"),
        ({"dimensions": [8.5]}, "whole number"),
        ({"dimensions": [True]}, "whole number"),
        ({"bits": 3}, "0, 1, 2, 4, 8, got 3"),
    ],
)
def test_mistakes_are_sentences_before_anything_is_loaded(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        TrainSettings.from_dict(changes)


def test_dimensions_above_those_of_the_model_leave_nothing_behind(settings: TrainSettings, pairs: TrainingData) -> None:
    with pytest.raises(InputError, match="from 1 to 16, that of the vectors"):
        fine_tune(replace(settings, dimensions=(8, 32)), pairs)
    assert not Path(settings.output).exists()


def test_weights_of_tokens_have_a_rate_of_their_own_and_resume_with_it(
    settings: TrainSettings, pairs: TrainingData, backbone: Path, tmp_path: Path
) -> None:
    from sentence_transformers import MultiVectorEncoder

    from tests.engine.training.conftest import Killed, killed_after

    plain = Encoder.load(str(backbone), "cpu").model
    torch.manual_seed(0)
    modules = [plain[0], plain[1], LateHead(32, 16, len(plain.tokenizer))]
    MultiVectorEncoder(modules=modules).save_pretrained(str(tmp_path / "late"), create_model_card=False)
    settings = replace(settings, base=str(tmp_path / "late"), train_only="head", learning_rate=1e-6, save_every=2)

    def head(folder: str) -> Any:
        return Encoder.load(folder, "cpu").model[2]

    begun, still = head(settings.base), head(fine_tune(settings, pairs).folder)
    fast = replace(settings, weights_rate=0.05, output=str(tmp_path / "fast"))
    moved = head(fine_tune(fast, pairs).folder)
    for found, far in ((still, False), (moved, True)):
        assert bool((found.query_weights - begun.query_weights).abs().max() > 0.05) == far
        assert (found.projection - begun.projection).abs().max() < 1e-4
    again = replace(fast, output=str(tmp_path / "again"))
    with pytest.raises(Killed):
        fine_tune(again, pairs, killed_after(5))
    resumed = head(fine_tune(again, pairs, resume=True).folder)
    assert torch.equal(resumed.query_weights, moved.query_weights)
