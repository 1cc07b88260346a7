"""Gradients of MaxSim against autograd through the plain einsum, in float64."""

from __future__ import annotations

import pytest
import torch

from engine.errors import InputError
from engine.maxsim.differentiable import maxsim_grad


def plain(q, q_mask, d, d_mask):
    similarity = torch.einsum("qid,njd->qnij", q, d).masked_fill(~d_mask[None, :, None, :], -torch.inf)
    best = similarity.max(-1).values
    return torch.where(q_mask[:, None, :], best, 0.0).sum(-1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 5, 4, 9, 16), (1, 1, 1, 1, 1), (6, 40, 5, 70, 33)])
def test_scores_and_gradients(dtype, shape):
    torch.manual_seed(0)
    n_q, length_q, n_d, length_d, dim = shape
    q, d = torch.randn(n_q, length_q, dim, dtype=dtype), torch.randn(n_d, length_d, dim, dtype=dtype)
    q_mask, d_mask = torch.rand(n_q, length_q) > 0.3, torch.rand(n_d, length_d) > 0.3
    d_mask[:, -1] = True
    weight = torch.randn(n_q, n_d, dtype=torch.float64)
    ours = [x.clone().requires_grad_() for x in (q, d)]
    theirs = [x.double().requires_grad_() for x in (q, d)]
    scores, expected = maxsim_grad(ours[0], q_mask, ours[1], d_mask), plain(theirs[0], q_mask, theirs[1], d_mask)
    (scores * weight).sum().backward()
    (expected * weight).sum().backward()
    rtol, atol = (1e-5, 1e-4) if dtype == torch.float32 else (1e-12, 1e-12)
    torch.testing.assert_close(scores.double(), expected, rtol=rtol, atol=atol)
    for mine, reference in zip(ours, theirs, strict=True):
        assert mine.grad is not None
        assert reference.grad is not None
        torch.testing.assert_close(mine.grad.double(), reference.grad, rtol=rtol, atol=atol)
    assert ours[0].grad is not None
    assert (ours[0].grad[~q_mask] == 0).all()
    assert ours[1].grad is not None
    assert (ours[1].grad[~d_mask] == 0).all()


def test_an_empty_document_scores_minus_infinity_and_has_no_gradient():
    for dtype in (torch.float32, torch.float64):
        q, d = torch.randn(2, 3, 4, dtype=dtype, requires_grad=True), torch.randn(2, 5, 4, dtype=dtype)
        d.requires_grad_()
        mask = torch.ones(2, 5, dtype=torch.bool)
        mask[1] = False
        scores = maxsim_grad(q, torch.ones(2, 3, dtype=torch.bool), d, mask)
        assert torch.isinf(scores[:, 1]).all()
        torch.softmax(scores, 1)[:, 0].sum().backward()
        assert q.grad is not None
        assert d.grad is not None
        assert torch.isfinite(q.grad).all()
        assert (d.grad[1] == 0).all()


def test_only_the_side_that_asks_gets_a_gradient():
    q, d = torch.randn(2, 3, 4, requires_grad=True), torch.randn(2, 5, 4)
    masks = torch.ones(2, 3, dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool)
    maxsim_grad(q, masks[0], d, masks[1]).sum().backward()
    assert q.grad is not None
    assert d.grad is None


def test_the_first_of_equal_tokens_wins():
    q, d = torch.ones(1, 1, 2, requires_grad=True), torch.ones(1, 3, 2, requires_grad=True)
    maxsim_grad(q, torch.ones(1, 1, dtype=torch.bool), d, torch.ones(1, 3, dtype=torch.bool)).sum().backward()
    assert d.grad is not None
    assert d.grad[0].tolist() == [[1, 1], [0, 0], [0, 0]]


def test_bfloat16_keeps_its_dtype_and_sums_in_float32():
    q, d = torch.randn(2, 3, 8).bfloat16().requires_grad_(), torch.randn(4, 5, 8).bfloat16().requires_grad_()
    masks = torch.ones(2, 3, dtype=torch.bool), torch.ones(4, 5, dtype=torch.bool)
    scores = maxsim_grad(q, masks[0], d, masks[1])
    scores.sum().backward()
    assert scores.dtype == torch.float32
    assert q.grad is not None
    assert q.grad.dtype == torch.bfloat16
    torch.testing.assert_close(scores, plain(q.float(), masks[0], d.float(), masks[1]), rtol=1e-5, atol=1e-4)


def test_shapes_are_checked():
    q, d = torch.randn(2, 3, 4), torch.randn(2, 3, 5)
    masks = torch.ones(2, 3, dtype=torch.bool), torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(InputError, match="one model"):
        maxsim_grad(q, masks[0], d, masks[1])
    with pytest.raises(InputError, match="one value a token"):
        maxsim_grad(q, masks[0][:, :2], q, masks[1])
