"""Pooling with gradients: the vectors of an index, the gradient of the means."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import TokenEmbeddings, pool
from engine.errors import InputError
from engine.pooling.differentiable import link_ragged, pool_ragged
from tests.conftest import ragged


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=5),
    factor=st.floats(1, 9),
    protected=st.integers(0, 3),
    normalize=st.booleans(),
    added=st.integers(0, 2),
)
def test_the_vectors_are_those_of_an_index(seed, lengths, factor, protected, normalize, added):
    made = ragged(np.random.default_rng(seed), lengths, 12)
    documents = TokenEmbeddings(made.values, made.offsets, added=added)
    expected = pool(documents, factor, protected=protected, normalize=normalize)
    values, offsets = torch.from_numpy(documents.values), torch.from_numpy(documents.offsets)
    found, starts = pool_ragged(values, offsets, factor, protected, normalize, added=added)
    assert starts.tolist() == expected.offsets.tolist()
    np.testing.assert_allclose(found.numpy(), expected.values, atol=1e-6)
    linkage = link_ragged(values, offsets, protected, added=added)
    again, _ = pool_ragged(values, offsets, factor, normalize=normalize, linkage=linkage)
    assert torch.equal(again, found)


def test_factor_one_gives_back_what_came():
    documents = ragged(np.random.default_rng(0), [3, 5], 4)
    values, offsets = torch.from_numpy(documents.values), torch.from_numpy(documents.offsets)
    assert pool_ragged(values, offsets, 1) == (values, offsets)
    with pytest.raises(InputError, match="factor of 1 or more"):
        pool_ragged(values, offsets, 0.5)


@pytest.mark.parametrize("normalize", [True, False])
def test_the_gradient_is_that_of_finite_differences(normalize):
    documents = ragged(np.random.default_rng(1), [7, 1, 4], 5)
    offsets = torch.from_numpy(documents.offsets)
    values = torch.from_numpy(documents.values).double().requires_grad_()
    linkage = link_ragged(values, offsets)  # a small step must not change who merges with whom

    def pooled(values: torch.Tensor) -> torch.Tensor:
        return pool_ragged(values, offsets, 2, normalize=normalize, linkage=linkage)[0]

    assert torch.autograd.gradcheck(pooled, (values,))
    pooled(values).sum().backward()
    assert values.grad is not None
    if not normalize:  # each token gets its share of its group: one over the size
        groups = linkage.groups(2)[0]
        share = 1 / np.bincount(groups)[groups]
        np.testing.assert_allclose(values.grad.numpy(), np.repeat(share[:, None], 5, 1))
