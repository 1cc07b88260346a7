"""The parity certificate on the embedded model and on one that expands its queries."""

from __future__ import annotations

import pytest

from engine.parity import certify


@pytest.mark.parametrize("name", ["embedded", "golden"])
def test_certificate(name, golden, monkeypatch):
    monkeypatch.setattr(
        "engine.parity._ways",
        lambda: [("cpu", "float32", "eager"), ("cpu", "float32", "sdpa"), ("cpu", "int8", "sdpa")],
    )
    exact, sdpa, narrow = certify(str(golden / "pylate-checkpoint") if name == "golden" else name)
    assert exact.max_difference == 0
    assert exact.maxsim_difference == 0
    assert sdpa.error == ""
    assert sdpa.max_difference is not None
    assert sdpa.max_difference < 1e-4
    assert sdpa.same_order
    assert (sdpa.expansion_min_cosine is not None) == (name == "golden")
    if narrow.error == "":
        assert narrow.min_cosine is not None
        assert 0.8 < narrow.min_cosine < 1
    assert narrow.to_json()["dtype"] == "int8"


def test_a_way_that_fails_says_why(monkeypatch):
    monkeypatch.setattr("engine.parity._ways", lambda: [("cpu", "float32", "no-such-attention")])
    (record,) = certify("embedded")
    assert record.error
    assert record.max_difference is None
