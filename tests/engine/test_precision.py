"""What a model computes in: one answer for a model and a machine, whatever else the machine does."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from engine import Encoder
from engine.errors import InputError
from engine.precision import DTYPES, choose_dtype, instructions

AMX, VNNI, AVX2 = {"amx-bf16", "avx512-vnni"}, {"avx512-vnni"}, {"avx2"}


@pytest.mark.parametrize(
    ("model", "device", "available", "dtype"),
    [
        ("embedded", "cpu", AMX, "bfloat16"),
        ("embedded", "cpu", VNNI, "int8"),
        ("embedded", "cpu", AVX2, "int8"),
        ("embedded", "cpu", {"neon"}, "float32"),
        ("embedded", "cpu", {"plain"}, "float32"),
        ("other/model", "cpu", AMX, "bfloat16"),
        ("other/model", "cpu", VNNI, "float32"),
        ("other/model", "cpu", AVX2, "float32"),
        ("embedded", "cuda:1", {"bfloat16"}, "bfloat16"),
        ("other/model", "cuda", set(), "float32"),
        ("embedded", "mps", set(), "float32"),
    ],
)
def test_the_choice_by_model_and_processor(model: str, device: str, available: set[str], dtype: str) -> None:
    chosen, why = choose_dtype(model, device, available)
    assert (chosen, choose_dtype(model, device, frozenset(available))) == (dtype, (chosen, why))
    assert chosen in DTYPES
    assert why


def test_loads_beside_a_busy_process_agree_with_the_table(embedded_encoder: Encoder) -> None:
    expected, why = choose_dtype("embedded", "cpu", instructions("cpu"))
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        loaded = [Encoder.load("embedded", device="cpu") for _ in range(2)]
    finally:
        busy.kill()
        busy.wait()
    assert {encoder.dtype for encoder in loaded} == {expected}
    assert {encoder.describe()["dtype_choice"] for encoder in loaded} == {why}
    first, second = [encoder.encode_document(["one text", "another, longer text"]) for encoder in loaded]
    assert np.array_equal(first.values, second.values)
    assert loaded[0].dim == embedded_encoder.dim


def test_a_dtype_that_is_asked_for_is_taken_and_said_to_be_given() -> None:
    described = Encoder.load("embedded", device="cpu", dtype="bfloat16").describe()
    assert (described["dtype"], described["dtype_choice"]) == ("bfloat16", "given")


def test_an_unknown_dtype_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="int8"):
        Encoder.load("embedded", dtype="int4")


def test_int8_is_refused_away_from_a_cpu(embedded_encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(type(embedded_encoder.model), "device", property(lambda _: torch.device("meta")))
    with pytest.raises(InputError, match="int8 on a CPU"):
        embedded_encoder.compute_in("int8")
