"""Fast dropout: the same law as torch's, the same draw for the same seed, and nothing left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from engine.training import TrainSettings
from engine.training.dropout import fast_dropout, fast_dropout_on_cpu
from engine.training.losses import ContrastiveLoss
from engine.training.model import load_for_training


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_law_is_that_of_dropout(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    values = torch.ones(999, 1001, dtype=dtype, requires_grad=True)
    dropped = fast_dropout(values, p)
    assert dropped.dtype == dtype
    kept = dropped != 0
    n = values.numel()
    assert abs(float(kept.double().mean()) - (1 - p)) < 5 * (p * (1 - p) / n) ** 0.5 + 2**-16
    assert float(dropped.detach()[kept].double().mean()) == pytest.approx(1 / (1 - p), rel=4e-3)
    assert abs(float(kept[:, ::4].double().mean() - kept[:, 1::4].double().mean())) < 0.005  # no lane differs
    neighbours = (kept[:, 1:] & kept[:, :-1]).double().mean()
    assert float(neighbours) == pytest.approx((1 - p) ** 2, abs=0.005)  # nor depends on the one beside it
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


def test_only_training_on_the_cpu_is_touched(backbone: Path) -> None:
    model = load_for_training(TrainSettings(base=str(backbone), projection=16, device="cpu")).model
    backbone_model: Any = model[0].auto_model
    config = backbone_model.config
    before = config._attn_implementation
    values, of_torch = torch.ones(4000), functional.dropout
    with fast_dropout_on_cpu(model):
        assert config._attn_implementation == "eager"  # this BERT drops attention weights
        torch.manual_seed(0)
        inside = functional.dropout(values, 0.25, training=True)
        torch.manual_seed(0)
        assert torch.equal(inside, fast_dropout(values, 0.25))
        assert torch.equal(functional.dropout(values, 0.25, training=False), values)
        assert not functional.dropout(values, 1.0, training=True).any()
        with fast_dropout_on_cpu(model):
            pass
        assert functional.dropout is not of_torch  # the outer run goes on
    assert config._attn_implementation == before
    assert functional.dropout is of_torch
    torch.manual_seed(0)
    assert not torch.equal(functional.dropout(values, 0.25, training=True), inside)


def test_what_is_encoded_twice_drops_the_same(backbone: Path) -> None:
    model = load_for_training(TrainSettings(base=str(backbone), projection=16, device="cpu")).model.train()
    texts = [f"what is kaba and loden {i}" for i in range(8)]
    gradients = []
    for graph_tokens in (None, 0):
        columns = [{**model.preprocess(texts, task=task), "task": task} for task in ("query", "document")]
        model.zero_grad()
        torch.manual_seed(1)
        with fast_dropout_on_cpu(model):
            ContrastiveLoss(model, mini_batch_tokens=64, graph_tokens=graph_tokens)(columns).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
