"""The benchmark of accelerators goes through on a processor, so that it does not end at its first line on a card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import gpu

PARTS = [part for part in gpu.PARTS if part not in ("parity", "notebooks")]  # which tests of their own run


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_part_gives_numbers(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    assert gpu.main(["--device", "cpu", "--small", "--output", str(path), "--parts", *PARTS]) == 0
    record = json.loads(path.read_text())
    assert record["card"] == {"name": "cpu"}
    parts = record["parts"]
    assert set(parts) == set(PARTS)
    assert min(parts["encode"]["tokens_a_second"].values()) > 0
    assert parts["maxsim"]["pairs_a_second"]["plain torch"] > 0
    assert parts["maxsim"]["with_gradient"]["pairs_a_second"] > 0
    assert parts["plaid"]["plaid on cpu"]["recall@10"] > 0.8
    assert all(
        step["seconds"] > 0 for way in ("ours", "sentence-transformers") for step in parts["gradcache"][way].values()
    )
    assert parts["finetune"]["rows"] > 100


def test_without_a_card_it_says_what_else_there_is(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert gpu.main([]) == 2
    assert "--device cpu --small" in capsys.readouterr().err
