"""The paths of an accelerator on a device that is pretended, and shapes and dtypes where nothing is computed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import masking_utils

from engine.maxsim import scorers
from engine.maxsim.differentiable import Ragged
from engine.models import load_model

ROOT = Path(__file__).resolve().parents[1]
CHECKS = (
    "refuses_other_devices", "maxsim_of_texts", "maxsim_with_gradients", "every_scorer", "plaid_search", "encoding",
    "gradcache",
)  # fmt: skip


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.device_checks"],
        check=False, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("check", CHECKS)
def test_it_gives_on_another_device_what_it_gives_on_the_processor(found: dict[str, str], check: str) -> None:
    assert found[check] == ""


def test_every_check_is_asked_for(found: dict[str, str]) -> None:
    assert set(found) == set(CHECKS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_shapes_and_dtypes_of_an_encoder_on_the_meta_device(dtype: torch.dtype, monkeypatch) -> None:
    # Whether a mask hides nothing is asked of its values, and here there are none.
    monkeypatch.setattr(masking_utils, "_ignore_bidirectional_mask_sdpa", lambda *args: False)
    model: Any = load_model("embedded", "cpu", {"attn_implementation": "eager"})[0]
    features = model.preprocess(["sort a list of numbers", "join"], task="document")
    width = features["input_ids"].shape[1]
    model.to("meta").to(dtype)
    with torch.no_grad():
        output = model(
            {key: value.to("meta") for key, value in features.items() if hasattr(value, "to")}, task="document"
        )
    vectors = output["token_embeddings"]
    assert vectors.device.type == "meta"
    assert vectors.dtype == dtype
    assert vectors.shape[0] == 2
    assert vectors.shape[1] >= width
    assert vectors.shape[2] == 128


@pytest.mark.parametrize("name", scorers.names())
def test_scorers_stay_on_a_fake_card_and_in_its_dtype(name: str) -> None:
    scorer: Any = scorers.get(name, dim=8)
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
        seen = torch.empty(5, scorer.m if name == "lite" else 1, 3, device="cuda")
        queries = Ragged(torch.empty(3, 8, device="cuda"), torch.tensor([0, 1, 3]))
        for parameter in scorer.parameters():
            parameter.data = torch.empty(parameter.shape, device="cuda")
        scores = scorer.judge(seen, queries, torch.empty(3, device="cuda"), True)
    assert scores.device.type == "cuda"
    assert scores.dtype == torch.float32
    assert tuple(scores.shape) == (2, 5)


def test_residual_codes_decode_on_a_fake_card() -> None:
    import numpy as np

    from engine.indexes.plaid.assign import nearest
    from engine.indexes.plaid.codecs import CODECS
    from engine.indexes.plaid.settings import PlaidSettings

    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((200, 12)).astype(np.float32)
    centroids = vectors[:8].copy()
    codes = nearest(vectors, centroids)[0]
    for bits in (1, 2, 4, 8, 16):
        codec = CODECS[bits].fit(vectors, codes, centroids, PlaidSettings(bits=bits))
        rows = codec.encode(vectors, codes)
        with FakeTensorMode(allow_non_fake_inputs=False) as mode:
            given = [mode.from_tensor(torch.from_numpy(array)) for array in (centroids, codes.astype(np.int64), rows)]
            decoded = codec.decode_on(*(tensor.to("cuda") for tensor in given))
        assert decoded.device.type == "cuda"
        assert decoded.dtype == torch.float32
        assert tuple(decoded.shape) == (200, 12)
