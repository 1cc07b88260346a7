"""The parity certificate on the embedded model and on one that expands its queries."""

from __future__ import annotations

import pytest

from engine.parity import certify
from tests.tiny_models import make_model


@pytest.mark.parametrize("name", ["embedded", "expanding"])
def test_certificate(name, tmp_path, monkeypatch):
    expansion = {"strategy": "fixed", "length": 16, "attend": False}
    if name == "expanding":
        make_model(tmp_path / "backbone", query_expansion=expansion).save(str(tmp_path / "model"))
    monkeypatch.setattr(
        "engine.parity._ways",
        lambda: [("cpu", "float32", "eager"), ("cpu", "float32", "sdpa"), ("cpu", "int8", "sdpa")],
    )
    exact, sdpa, narrow = certify(str(tmp_path / "model") if name == "expanding" else name)
    assert exact.max_difference == 0
    assert exact.maxsim_difference == 0
    assert sdpa.error == ""
    assert sdpa.max_difference is not None
    assert sdpa.max_difference < 1e-4
    assert sdpa.same_order
    assert (sdpa.expansion_min_cosine is not None) == (name == "expanding")
    if narrow.error == "":
        assert narrow.min_cosine is not None
        assert 0.8 < narrow.min_cosine < 1
    assert narrow.to_json()["dtype"] == "int8"


@pytest.mark.parametrize("name", ["embedded", "checkpoint"])
def test_a_way_that_fails_says_why(name, tmp_path, monkeypatch):
    if name == "checkpoint":
        make_model(tmp_path / "backbone").save(str(tmp_path / "model"))
    monkeypatch.setattr("engine.parity._ways", lambda: [("cpu", "float32", "no-such-attention")])
    (record,) = certify(str(tmp_path / "model") if name == "checkpoint" else name)
    assert record.error
    assert record.max_difference is None
