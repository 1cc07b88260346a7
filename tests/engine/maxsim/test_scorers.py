"""Scorers: values by plain loops, gradients by finite differences, padding and empty documents."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine import maxsim
from engine.errors import InputError
from engine.maxsim.scorers import XTR, MaxSim, MeanMaxSim, Scorer, SmoothMaxSim, TopMeanSim, WeightedMaxSim, score_all
from tests.conftest import ragged

DIM = 6


def scorers() -> list[Scorer]:
    weighted = WeightedMaxSim(DIM)
    weighted.direction.data = torch.linspace(-1, 1, DIM)
    return [MaxSim(), MeanMaxSim(), SmoothMaxSim(0.1), TopMeanSim(2), XTR(5), weighted]


def by_hand(scorer: Scorer, query: np.ndarray, document: np.ndarray, everything: np.ndarray) -> float:
    s = query.astype(np.float64) @ document.astype(np.float64).T
    best = s.max(1)
    if isinstance(scorer, MeanMaxSim):
        return best.mean()
    if isinstance(scorer, SmoothMaxSim):
        t = scorer.temperature
        return sum(t * np.log(np.exp(row / t).sum()) for row in s)
    if isinstance(scorer, TopMeanSim):
        return sum(np.sort(row)[::-1][: scorer.m].mean() for row in s)
    if isinstance(scorer, XTR):
        floor = np.sort(query.astype(np.float64) @ everything.astype(np.float64).T, axis=1)[:, -scorer.retrieved]
        return np.maximum(best, floor).mean()
    if isinstance(scorer, WeightedMaxSim):
        logits = query @ scorer.direction.detach().numpy()
        weights = np.exp(logits) / np.exp(logits).sum() * len(query)
        return float(weights @ best)
    return best.sum()


@pytest.mark.parametrize("scorer", scorers(), ids=lambda s: type(s).__name__)
def test_values_by_hand(scorer):
    rng = np.random.default_rng(0)
    queries, documents = ragged(rng, [4, 7], DIM), ragged(rng, [1, 9, 0, 3], DIM)
    scores = score_all(scorer, queries, documents)
    assert scores.dtype == np.float32
    assert (scores[:, 2] == -np.inf).all()
    for i in range(2):
        for j in (0, 1, 3):
            expected = by_hand(scorer, queries[i], documents[j], documents.values)
            assert scores[i, j] == pytest.approx(expected, abs=2e-5)
    assert scorer.formula
    assert scorer.source


@pytest.mark.parametrize("scorer", scorers(), ids=lambda s: type(s).__name__)
def test_gradients_by_finite_differences(scorer):
    torch.manual_seed(0)
    q, d = torch.randn(2, 3, DIM, requires_grad=True), torch.randn(3, 5, DIM, requires_grad=True)
    q_mask, d_mask = torch.ones(2, 3, dtype=torch.bool), torch.ones(3, 5, dtype=torch.bool)
    q_mask[0, 2] = d_mask[1, 4] = d_mask[1, 3] = False
    weight = torch.randn(2, 3)

    def loss(q, d):
        return (scorer(q, q_mask, d, d_mask) * weight).sum()

    inputs = [q, d, *scorer.parameters()]
    gradients = torch.autograd.grad(loss(q, d), inputs)
    step = 1e-2
    for tensor, gradient in zip(inputs, gradients, strict=True):
        for place in torch.randperm(tensor.numel())[:8].tolist():
            with torch.no_grad():
                flat = tensor.view(-1)
                old = flat[place].item()
                flat[place] = old + step
                high = loss(q, d).item()
                flat[place] = old - step
                low = loss(q, d).item()
                flat[place] = old
            assert gradient.reshape(-1)[place].item() == pytest.approx((high - low) / (2 * step), abs=2e-2)
    assert (gradients[0][0, 2] == 0).all()
    assert (gradients[1][1, 3:] == 0).all()


def test_limits_that_equal_maxsim():
    rng = np.random.default_rng(1)
    queries, documents = ragged(rng, [5, 2], DIM), ragged(rng, [4, 8, 1], DIM)
    plain = maxsim(queries, documents)
    for scorer in (MaxSim(), TopMeanSim(1), SmoothMaxSim(1e-4), WeightedMaxSim(DIM)):
        np.testing.assert_allclose(score_all(scorer, queries, documents), plain, atol=1e-3)
    lengths = queries.lengths[:, None]
    np.testing.assert_allclose(score_all(MeanMaxSim(), queries, documents) * lengths, plain, atol=1e-5)
    np.testing.assert_allclose(score_all(XTR(10**6), queries, documents) * lengths, plain, atol=1e-5)


def test_an_empty_document_gives_no_nan_gradient():
    for scorer in scorers():
        q, d = torch.randn(1, 3, DIM, requires_grad=True), torch.randn(2, 4, DIM, requires_grad=True)
        mask = torch.ones(2, 4, dtype=torch.bool)
        mask[1] = False
        scorer(q, torch.ones(1, 3, dtype=torch.bool), d, mask)[:, 0].sum().backward()
        assert q.grad is not None
        assert d.grad is not None
        assert torch.isfinite(q.grad).all()
        assert torch.isfinite(d.grad).all()


def test_the_weights_learn_which_token_counts():
    torch.manual_seed(0)
    scorer = WeightedMaxSim(2)
    q = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    d = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    masks = torch.ones(1, 2, dtype=torch.bool), torch.ones(2, 1, dtype=torch.bool)
    optimizer = torch.optim.SGD(scorer.parameters(), lr=0.5)
    for _ in range(20):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(scorer(q, masks[0], d, masks[1]), torch.tensor([1])).backward()
        optimizer.step()
    weights = scorer.weights(q, masks[0])[0]
    assert weights[1] > 1.3 > 0.7 > weights[0]


def test_mistakes_are_named():
    for make in (lambda: SmoothMaxSim(0), lambda: TopMeanSim(0), lambda: XTR(0)):
        with pytest.raises(InputError):
            make()
