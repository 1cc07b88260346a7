"""Largest similarities and soft maxima against torch's own autograd through the whole tensor, in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from engine.maxsim.differentiable import Ragged
from engine.maxsim.largest import kth_largest, largest_ragged
from engine.maxsim.soft import soft_maximum_ragged

LENGTHS = [([3, 0, 40, 5], [9, 1, 0, 70, 4]), ([1], [1]), ([33, 31], [2, 130])]  # of queries, of documents


def sides(lengths: tuple[list[int], list[int]], dim: int = 13) -> list[Ragged]:
    """Queries and documents, float32."""
    generator = torch.Generator().manual_seed(0)
    return [
        Ragged(torch.randn(sum(own), dim, generator=generator), torch.tensor([0, *own]).cumsum(0)) for own in lengths
    ]


def plain(queries: Tensor, documents: Ragged, reduce: Callable[[Tensor], Tensor]) -> Tensor:
    """`reduce` of each document's whole similarities [tokens, query tokens]."""
    parts = documents.values.split(documents.lengths.tolist())
    return torch.stack([reduce(part @ queries.T) for part in parts])


def padded_topk(similarity: Tensor, m: int) -> Tensor:
    """The m largest of each column, negative infinity where there are fewer."""
    found = similarity.topk(min(m, len(similarity)), dim=0).values
    return torch.cat([found, found.new_full((m - len(found), similarity.shape[1]), -torch.inf)])


def gradients(found: Tensor, inputs: list[Tensor], weight: Tensor) -> tuple[Tensor, ...]:
    """Of a weighted sum of the finite values."""
    return torch.autograd.grad((found.masked_fill(found == -torch.inf, 0.0) * weight).sum(), inputs)


def check(run: Callable[[Ragged, Ragged], Tensor], reduce: Callable[[Tensor], Tensor], lengths) -> None:
    """Values and gradients of the kernels (float32) and of torch's way (float64)."""
    queries, documents = sides(lengths)
    exact = [Ragged(side.values.double().requires_grad_(), side.offsets) for side in (queries, documents)]
    expected = plain(exact[0].values, exact[1], reduce)
    weight = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    wanted = gradients(expected, [side.values for side in exact], weight)
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-11)):
        own = [Ragged(side.values.to(dtype).requires_grad_(), side.offsets) for side in (queries, documents)]
        found = run(*own)
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)
        for mine, theirs in zip(gradients(found, [side.values for side in own], weight), wanted, strict=True):
            torch.testing.assert_close(mine.double(), theirs, rtol=tolerance, atol=tolerance)
        alone = own[0].values.detach(), own[1]
        assert torch.autograd.grad(run(Ragged(alone[0], own[0].offsets), alone[1])[0].sum(), own[1].values)[0].any()


@pytest.mark.parametrize("m", [1, 3, 20])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_the_largest_similarities_and_their_gradients(lengths, m: int) -> None:
    check(lambda q, d: largest_ragged(q, d, m), lambda s: padded_topk(s, m), lengths)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_soft_maxima_and_their_gradients(lengths, temperature: float) -> None:
    def reduce(similarity: Tensor) -> Tensor:
        if not len(similarity):
            return similarity.new_full((similarity.shape[1],), -torch.inf)
        return temperature * torch.logsumexp(similarity / temperature, 0)

    check(lambda q, d: soft_maximum_ragged(q, d, temperature), reduce, lengths)


def test_the_kth_largest_of_all_documents() -> None:
    queries, documents = (side.values for side in sides(([70], [150, 61])))
    queries[1], documents[:100] = 0, documents[5].clone()  # ties
    every = (queries.double() @ documents.double().T).sort(dim=1, descending=True).values
    for k in (1, 2, 128, 211, 1000):
        wanted = every[:, min(k, 211) - 1]
        torch.testing.assert_close(kth_largest(queries, documents, k).double(), wanted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(kth_largest(queries.double(), documents.double(), k), wanted)


def test_equal_similarities_keep_their_order_and_what_is_no_number_is_seen() -> None:
    queries = Ragged(torch.ones(1, 2, requires_grad=True), torch.tensor([0, 1]))
    documents = Ragged(torch.tensor([[0.0, 0], [1, 1], [1, 1], [1, 1]], requires_grad=True), torch.tensor([0, 4]))
    gradient = torch.autograd.grad(largest_ragged(queries, documents, 2).sum(), documents.values)[0]
    assert gradient[:, 0].tolist() == [0, 1, 1, 0]
    documents.values.data[0, 0] = torch.nan
    assert largest_ragged(queries, documents, 2)[0, 0].isnan().all()
    assert soft_maximum_ragged(queries, documents, 0.1).isnan().all()


@pytest.mark.parametrize(
    "run", [lambda q, d: largest_ragged(q, d, 2), lambda q, d: soft_maximum_ragged(q, d, 0.1)], ids=["largest", "soft"]
)
def test_no_similarities_are_kept_for_the_gradient(run) -> None:
    queries, documents = sides(([20] * 8, [90] * 8))
    kept = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        run(Ragged(queries.values.requires_grad_(), queries.offsets), documents)
    assert kept < len(queries.values) * len(documents.values) / 4
