"""Adapters: exact for changes of low rank, added to weights, refused where they do not belong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.adapter import adapter_rank, add_adapter, low_rank_changes, save_adapter
from engine.errors import CorruptDataError, InputError


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 9), torch.nn.Linear(9, 4))


def state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def test_a_change_of_low_rank_survives_saving(tmp_path: Path) -> None:
    changed = model()
    before = state(changed)
    with torch.no_grad():
        changed[0].weight += torch.randn(9, 2) @ torch.randn(2, 6)  # type: ignore[index, operator]
    factors = low_rank_changes(before, state(changed), 2)
    assert list(factors) == ["0.weight"]
    save_adapter(factors, tmp_path / "whole.safetensors")
    save_adapter(factors, tmp_path / "half.safetensors", share=0.5)
    assert adapter_rank(tmp_path / "whole.safetensors") == 2
    for share, name in ((1.0, "whole"), (0.5, "half")):
        again = model()
        add_adapter(again, tmp_path / f"{name}.safetensors")
        expected = before["0.weight"] + share * (changed.state_dict()["0.weight"] - before["0.weight"])
        torch.testing.assert_close(again.state_dict()["0.weight"], expected, atol=5e-3, rtol=5e-3)  # float16 on disk
        assert torch.equal(again.state_dict()["1.weight"], before["1.weight"])


def test_what_is_no_change_of_matrices_of_one_model_is_refused() -> None:
    before = state(model())
    with pytest.raises(InputError, match="one model"):
        low_rank_changes(before, {"0.weight": before["0.weight"]}, 2)
    with pytest.raises(InputError, match="no matrix"):
        low_rank_changes(before, before | {"0.bias": before["0.bias"] + 1}, 2)


def test_an_adapter_of_another_model_or_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    save_adapter({"0.weight": (torch.ones(9, 1), torch.ones(1, 7))}, path)
    with pytest.raises(CorruptDataError, match="another one"):
        add_adapter(model(), path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CorruptDataError, match="restore"):
        add_adapter(model(), path)
