"""MaxSim on a device: the torch code by running it on the CPU, the dispatch with a stand-in for the CUDA package."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest
import torch

from engine import maxsim
from engine.errors import InputError
from engine.maxsim import describe, device, maxsim_reference
from tests.conftest import ragged


@pytest.fixture
def texts():
    rng = np.random.default_rng(5)
    return ragged(rng, [3, 0, 17], 24), ragged(rng, [*rng.integers(0, 40, 30), 0, 90], 24)


@pytest.mark.parametrize("blocks", [(1 << 20, 1 << 26), (50, 300), (1, 1)])
def test_torch_agrees_with_the_reference_whatever_the_blocks(texts, blocks, monkeypatch):
    monkeypatch.setattr(device, "BLOCK_TOKENS", blocks[0])
    monkeypatch.setattr(device, "SIMILARITIES", blocks[1])
    found, expected = device.maxsim_on_device(texts[0], texts[1], "cpu"), maxsim_reference(*texts)
    assert found.dtype == np.float32
    assert np.array_equal(np.isfinite(found), np.isfinite(expected))
    np.testing.assert_allclose(found[np.isfinite(found)], expected[np.isfinite(expected)], rtol=1e-5, atol=1e-4)


def test_the_package_gets_packed_texts_without_empty_ones(texts, monkeypatch):
    calls = []

    def maxsim_varlen(tokens, values, spans, offsets):
        assert spans.dtype == offsets.dtype == torch.int32
        assert (spans.diff() > 0).all()
        assert (offsets.diff() > 0).all()
        assert spans[-1] == len(tokens)
        assert offsets[-1] == len(values)
        calls.append(values.dtype)
        return device._plain_score(tokens.float(), spans, values.float(), offsets)

    package = ModuleType(device.PACKAGE)
    package.__spec__ = ModuleSpec(device.PACKAGE, None)
    monkeypatch.setattr(package, "maxsim_varlen", maxsim_varlen, raising=False)
    monkeypatch.setitem(sys.modules, device.PACKAGE, package)
    monkeypatch.setattr(device, "BLOCK_TOKENS", 100)
    moved = device._moved
    monkeypatch.setattr(device, "_moved", lambda embeddings, where, dtype: moved(embeddings, "cpu", dtype))
    queries, documents = texts
    half = documents.astype("float16")
    found, expected = device.maxsim_on_device(queries, half, "cuda"), maxsim_reference(queries, half)
    np.testing.assert_allclose(found[:, :30], expected[:, :30], rtol=2e-3, atol=2e-2)
    assert set(calls) == {torch.float16}
    assert len(calls) > 1
    assert describe("cuda")["backend"] == "late-interaction-kernels"


def test_describe_says_what_runs():
    assert describe()["backend"] == "engine.simd"
    if not torch.cuda.is_available():
        assert describe("mps")["backend"] == "torch"


def test_auto_is_the_same_on_a_machine_without_accelerator(texts):
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("needs a machine without an accelerator")
    assert np.array_equal(maxsim(*texts, device="auto"), maxsim(*texts))
    with pytest.raises(InputError, match="cuda"):
        maxsim(*texts, device="cuda")


def test_a_number_that_is_not_finite_is_named(texts):
    queries, documents = texts
    values = documents.values.copy()
    values[documents.offsets[7]] = np.nan
    broken = type(documents)(values, documents.offsets)
    named = 7 if documents.lengths[7] else int(np.flatnonzero(documents.lengths[7:])[0]) + 7
    with pytest.raises(InputError, match=f"document {named}"):
        device.maxsim_on_device(queries, broken, "cpu")
