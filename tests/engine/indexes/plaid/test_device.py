"""The search in torch against the compiled one, on the device "cpu": it has not been run on a GPU."""

import sys
import types

import numpy as np
import pytest
import torch

from engine import create_index
from engine.errors import InputError
from engine.indexes.plaid import PlaidIndex, changes, device
from engine.indexes.plaid.device import FUSED_BITS, DeviceLayout, fused_arguments
from tests.conftest import ragged


@pytest.fixture(params=[1, 2, 4, 8, 16])
def index(request, tmp_path, monkeypatch):
    """Two sets of inverted lists, new centroids, removed documents."""
    monkeypatch.setattr(changes, "ORIGINALS_LIMIT", 0)
    rng = np.random.default_rng(1)
    index = create_index("plaid", tmp_path / "index", bits=request.param, n_candidates=120, n_full_scores=40)
    assert isinstance(index, PlaidIndex)
    index.add([f"d{i}" for i in range(200)], ragged(rng, rng.integers(1, 30, 200).tolist(), 12))
    index.add([f"e{i}" for i in range(20)], ragged(rng, rng.integers(1, 30, 20).tolist(), 12))
    index.remove(["d3", "d150", "e2"])
    assert index.layout is not None
    assert len(index.layout.lists) == 2
    return index


def same(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.scores, other.scores, rtol=1e-6, atol=1e-5)
        assert mine.notes == other.notes
        if mine.ids != other.ids:  # only documents of equal scores, up to rounding, may change places
            assert sorted(mine.ids) == sorted(other.ids)


def test_the_same_rankings_as_the_compiled_loops(index):
    queries = ragged(np.random.default_rng(2), [5, 33, 1, 0, 70], 12)
    moved = index.on("cpu")
    for settings in ({}, {"n_probe": 1}, {"n_full_scores": 5, "n_candidates": 9}, {"centroid_threshold": 0.3}):
        same(moved.tuned(**settings).search(queries, 10), index.tuned(**settings).search(queries, 10))
    same(moved.search(queries, 500), index.search(queries, 500))
    same(moved.search(queries, 10, subset=["d1", "e1", "d7"]), index.search(queries, 10, subset=["d1", "e1", "d7"]))
    assert moved.describe()["device"] == "cpu"


def test_a_change_is_seen_on_the_device(index):
    moved, query = index.on("cpu"), ragged(np.random.default_rng(3), [6], 12)
    best = moved.search(query, 1)[0].ids
    moved.remove(best)
    assert moved.search(query, 300)[0].ids == moved.tuned().search(query, 300)[0].ids
    assert best[0] not in moved.search(query, 300)[0].ids


def reference(Q, codes, residuals, doc_lengths, centroids, bucket_weights, nbits, normalize):
    """What the fused kernel computes, by its documentation: neighbouring dimensions share a byte, lowest bits first."""
    assert not normalize
    feature = torch.arange(Q.shape[-1])
    per = 8 // nbits
    buckets = (residuals[..., feature // per] >> (feature % per * nbits)) & ((1 << nbits) - 1)
    vectors = (centroids[codes] + bucket_weights[buckets.long()]).to(Q.dtype)
    similarity = torch.einsum("qd,ntd->nqt", Q[0].float(), vectors.float())
    absent = torch.arange(codes.shape[1]) >= doc_lengths[:, None]
    return similarity.masked_fill(absent[:, None], -torch.inf).max(dim=2).values.sum(dim=1)[None]


def needs_kernel(index):
    if index.settings.bits not in FUSED_BITS:
        pytest.skip("the fused kernel has 2, 4 and 8 bits")


def test_the_arguments_of_the_fused_kernel_mean_the_same_scores(index):
    needs_kernel(index)
    layout = DeviceLayout.of(index.layout, "cpu")
    slots, query = torch.tensor([0, 7, 100, 215]), torch.from_numpy(ragged(np.random.default_rng(4), [9], 12)[0])
    arguments, truth = fused_arguments(layout, slots, query), device._plain(layout, slots, query)
    factor = (query * layout.step).abs().max()
    np.testing.assert_allclose(reference(**arguments)[0] * factor, truth, rtol=2e-3)


def test_the_reference_of_the_package_agrees(index):
    library = pytest.importorskip("late_interaction_kernels.reference")
    needs_kernel(index)
    layout = DeviceLayout.of(index.layout, "cpu")
    slots, query = torch.tensor([0, 7, 100, 215]), torch.from_numpy(ragged(np.random.default_rng(4), [9], 12)[0])
    arguments, truth = fused_arguments(layout, slots, query), device._plain(layout, slots, query)
    factor = (query * layout.step).abs().max()
    theirs = library.maxsim_residual_reference(**{**arguments, "Q": arguments["Q"].float()})
    np.testing.assert_allclose(theirs.reshape(-1) * factor, truth, rtol=2e-3)


def test_what_the_fused_kernel_leaves_is_scored_in_float32(index, monkeypatch):
    """The kernel itself needs a GPU; here its documented computation stands in for it."""
    needs_kernel(index)
    calls = []
    stand_in = types.ModuleType("late_interaction_kernels.plaid")
    stand_in.maxsim_residual = lambda **arguments: calls.append(1) or reference(**arguments)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "late_interaction_kernels", types.ModuleType("late_interaction_kernels"))
    monkeypatch.setitem(sys.modules, "late_interaction_kernels.plaid", stand_in)
    monkeypatch.setattr(device, "_has_kernel", lambda layout: True)
    queries, wide = ragged(np.random.default_rng(5), [6, 20], 12), {"n_full_scores": 200, "n_candidates": 200}
    same(index.on("cpu").tuned(**wide).search(queries, 5), index.tuned(**wide).search(queries, 5))
    assert len(calls) == 2


def test_a_device_that_is_not_there(index):
    with pytest.raises(InputError, match="cannot be used here"):
        index.on("nowhere")
