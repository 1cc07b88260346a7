"""Dropout by row: the law of torch's, the same draw for the same row whatever its company, and nothing left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from engine.training import TrainSettings
from engine.training.dropout import drawing, fast_dropout, fast_dropout_on_cpu, row_keys
from engine.training.losses import ContrastiveLoss
from engine.training.model import load_for_training


@pytest.fixture
def model(backbone: Path) -> Any:
    """A BERT that drops hidden values and attention weights."""
    return load_for_training(TrainSettings(base=str(backbone), projection=16, device="cpu")).model.train()


@pytest.mark.parametrize("by_row", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_law_is_that_of_dropout(p: float, dtype: torch.dtype, by_row: bool) -> None:
    torch.manual_seed(0)
    values = torch.ones(37, 27, 1001, dtype=dtype, requires_grad=True)
    with drawing(row_keys(37, 0) if by_row else None):
        dropped = fast_dropout(values, p)
    assert dropped.dtype == dtype
    kept = dropped != 0
    n = values.numel()
    assert abs(float(kept.double().mean()) - (1 - p)) < 5 * (p * (1 - p) / n) ** 0.5 + 2**-16
    assert float(dropped.detach()[kept].double().mean()) == pytest.approx(1 / (1 - p), rel=4e-3)
    assert abs(float(kept[..., ::4].double().mean() - kept[..., 1::4].double().mean())) < 0.005  # no lane differs
    for axis in range(3):  # nor depends on the one beside it
        n = kept.shape[axis]
        neighbours = (kept.narrow(axis, 1, n - 1) & kept.narrow(axis, 0, n - 1)).double().mean()
        assert float(neighbours) == pytest.approx((1 - p) ** 2, abs=0.005)
    dropped.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, dropped.detach())


def test_the_generator_decides_and_goes_on() -> None:
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws.append([fast_dropout(torch.ones(70), 0.3) for _ in range(2)])
    assert torch.equal(draws[0][0], draws[1][0])
    assert not torch.equal(draws[0][0], draws[0][1])


def test_a_row_drops_the_same_in_any_company_and_at_any_width() -> None:
    keys = row_keys(6, 7, 0, 1)
    with drawing(keys):
        hidden, weights = fast_dropout(torch.ones(6, 9, 10), 0.4), fast_dropout(torch.ones(6, 2, 9, 9), 0.4)
    assert not torch.equal(hidden[0], hidden[1])
    rows = [4, 1]
    with drawing(keys[rows]):
        assert torch.equal(fast_dropout(torch.ones(2, 5, 10), 0.4), hidden[rows, :5])
        assert torch.equal(fast_dropout(torch.ones(2, 2, 5, 5), 0.4), weights[rows][:, :, :5, :5])
    for other in (row_keys(6, 7, 0, 2), row_keys(6, 8, 0, 1), row_keys(6, 7, 1, 1)):
        assert not np.isin(other, keys).any()


def test_one_layer_tells_nothing_of_the_next() -> None:
    with drawing(row_keys(3, 0)):
        first, second = ((fast_dropout(torch.ones(3, 40, 2000), 0.5) != 0).double() for _ in range(2))
    for shift in range(-3, 4):
        both = (first * second.roll(shift, 1)).mean()
        assert float(both) == pytest.approx(0.25, abs=0.01), shift


def test_only_the_model_is_touched_and_only_while_it_trains_on_a_cpu(model: Any) -> None:
    backbone: Any = model[0].auto_model
    layer = next(module for module in model.modules() if type(module) is nn.Dropout and module.p > 0)
    values, of_torch, other = torch.ones(4000), functional.dropout, nn.Dropout(0.25)
    before = backbone.config._attn_implementation
    with fast_dropout_on_cpu(model):
        assert functional.dropout is of_torch  # other models in this process keep theirs
        assert "forward" not in vars(other)
        torch.manual_seed(0)
        inside = layer(values)
        torch.manual_seed(0)
        assert torch.equal(inside, fast_dropout(values, layer.p))
        assert backbone.config._attn_implementation != before
        with fast_dropout_on_cpu(model):
            pass
        torch.manual_seed(0)
        assert torch.equal(inside, layer(values))  # the outer one goes on
        model.eval()
        assert torch.equal(layer(values), values)
    assert not layer.training
    model.train()
    assert backbone.config._attn_implementation == before
    assert not any("forward" in vars(module) for module in model.modules())
    torch.manual_seed(0)
    assert not torch.equal(layer(values), inside)
    backbone.gradient_checkpointing_enable({"use_reentrant": False})
    with fast_dropout_on_cpu(model):  # what is computed again must draw the same, and torch sees to that
        assert not any("forward" in vars(module) for module in model.modules())


def test_attention_step_by_step_is_that_of_the_model(model: Any) -> None:
    model.eval()
    features = model.preprocess(["what is kaba and loden", "the miru"], task="document")
    expected = model(dict(features), task="document")["token_embeddings"]
    with fast_dropout_on_cpu(model):
        found = model(dict(features), task="document")["token_embeddings"]
    mask = features["attention_mask"].bool()
    torch.testing.assert_close(found[mask], expected[mask], rtol=1e-5, atol=1e-6)


def test_neither_mini_batches_nor_a_second_pass_change_what_is_dropped(model: Any) -> None:
    texts = [
        "kaba",
        "what is kaba and loden",
        "miru the of a sefi to lonax",
        "how to find the tovi in kagor with rulun",
    ]
    gradients = []
    for tokens, graph_tokens, seed in ((8, 0, 1), (32, 16, 1), (4096, None, 1), (4096, None, 2)):
        columns = [{**model.preprocess(texts, task=task), "task": task} for task in ("query", "document")]
        model.zero_grad()
        torch.manual_seed(seed)
        with fast_dropout_on_cpu(model):
            ContrastiveLoss(model, mini_batch_tokens=tokens, graph_tokens=graph_tokens)(columns).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert gradients[0].abs().max() > 0
    for gradient in gradients[1:3]:
        torch.testing.assert_close(gradients[0], gradient, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(gradients[2], gradients[3], rtol=1e-2, atol=1e-4)
