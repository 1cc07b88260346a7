"""Every path that runs on an accelerator, held to the same on the CPU.

`python -m tests.device_checks` prints one line of JSON: check -> "" or what went wrong. `tests/test_devices.py` runs it
in a process of its own, since a device once registered stays.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import Encoder, create_index, maxsim
from engine.maxsim import maxsim_reference, scorers
from engine.maxsim.differentiable import Ragged, maxsim_ragged
from tests import pretend
from tests.conftest import ragged
from tests.tiny_models import make_model

DEVICE = os.environ.get("WORKBENCH_CHECK_DEVICE", pretend.KIND)
TEXTS = ["sort a list of numbers", "open a file and read it to its end", "join", "the largest value along an axis"]
QUESTIONS = ["order a list", "read a file", "put strings together", "index of the maximum"]


def refuses_other_devices() -> None:
    """Without this the checks below could show nothing."""
    away = torch.ones(3, device=DEVICE)
    for wrong in (lambda: away + torch.ones(3), lambda: torch.cat([away, torch.ones(3)])):
        with pytest.raises(RuntimeError, match="same device"):
            wrong()
    for wrong in (away.numpy, lambda: np.asarray(away)):
        with pytest.raises((TypeError, RuntimeError)):
            wrong()
    assert (away + torch.tensor(1.0)).tolist() == [2, 2, 2]
    assert torch.equal((away[None] @ away[:, None]).cpu(), torch.full((1, 1), 3.0))


def maxsim_of_texts() -> None:
    """`maxsim(..., device=...)`, both dtypes, against the reference."""
    rng = np.random.default_rng(5)
    queries, documents = ragged(rng, [3, 0, 17], 24), ragged(rng, [*rng.integers(0, 40, 30), 0, 90], 24)
    for dtype in ("float32", "float16"):
        found = maxsim(queries, documents.astype(dtype), device=DEVICE)
        expected = maxsim_reference(queries, documents.astype(dtype))
        finite = np.isfinite(expected)
        assert np.array_equal(np.isfinite(found), finite)
        np.testing.assert_allclose(found[finite], expected[finite], rtol=1e-4, atol=1e-3)


def _both(run: Callable[[str], list[torch.Tensor]], atol: float = 1e-4) -> None:
    here, away = run("cpu"), run(DEVICE)
    for mine, other in zip(here, away, strict=True):
        assert other.device.type == torch.device(DEVICE).type
        assert other.dtype == mine.dtype
        torch.testing.assert_close(other.cpu(), mine, atol=atol, rtol=1e-3)


def maxsim_with_gradients() -> None:
    """`maxsim_ragged`: values and both gradients, with a document that has no tokens."""
    rng = torch.Generator().manual_seed(0)
    queries, documents = torch.randn(9, 8, generator=rng), torch.randn(20, 8, generator=rng)

    def run(device: str) -> list[torch.Tensor]:
        q, d = (side.clone().to(device).requires_grad_() for side in (queries, documents))
        scores = maxsim_ragged(Ragged(q, torch.tensor([0, 4, 9])), Ragged(d, torch.tensor([0, 7, 7, 20])))
        (scores[:, [0, 2]] ** 2).sum().backward()
        assert q.grad is not None
        assert d.grad is not None
        return [scores.detach(), q.grad, d.grad]

    _both(run)


def every_scorer() -> None:
    """All scorers as a loss takes them: every query with every document, and each with its own."""
    rng = torch.Generator().manual_seed(1)
    queries, documents = torch.randn(9, 8, generator=rng), torch.randn(21, 8, generator=rng)
    for name in scorers.names():
        torch.manual_seed(0)
        scorer: Any = scorers.get(name, dim=8)

        def run(device: str, scorer: Any = scorer) -> list[torch.Tensor]:
            scorer.to(device)
            q, d = (side.clone().to(device).requires_grad_() for side in (queries, documents))
            asked, given = Ragged(q, torch.tensor([0, 4, 9])), Ragged(d, torch.tensor([0, 7, 21]))
            scores, own = scorer(asked, given), scorer.matched(asked, [given, given])
            (scores.sum() + own.sum()).backward()
            assert q.grad is not None
            assert d.grad is not None
            return [scores.detach(), own.detach(), q.grad, d.grad]

        _both(run)


def plaid_search() -> None:
    """`index.on(...)`: every codec, removed documents, a subset, more results than there are."""
    rng = np.random.default_rng(1)
    documents = ragged(rng, rng.integers(1, 30, 200).tolist(), 12)
    queries = ragged(rng, [5, 33, 1, 0], 12)
    for bits in (1, 2, 4, 8, 16):
        with tempfile.TemporaryDirectory() as folder:
            index: Any = create_index("plaid", Path(folder) / "index", bits=bits, n_candidates=120, n_full_scores=40)
            index.add([f"d{i}" for i in range(200)], documents)
            index.remove(["d3", "d150"])
            away = index.on(DEVICE)
            for options in ({"k": 10}, {"k": 500}, {"k": 2, "subset": ["d1", "d7", "d9"]}):
                for mine, other in zip(index.search(queries, **options), away.search(queries, **options), strict=True):
                    assert sorted(mine.ids) == sorted(other.ids), (bits, options)
                    np.testing.assert_allclose(mine.scores, other.scores, rtol=1e-5, atol=1e-4)


def encoding() -> None:
    """An encoder in each dtype that a card computes in."""
    expected = Encoder.load("embedded", device="cpu", dtype="float32")
    documents, queries = expected.encode_document(TEXTS), expected.encode_query(QUESTIONS)
    for dtype, tolerance in (("float32", 1e-4), ("bfloat16", 0.05), ("float16", 0.01)):
        away = Encoder.load("embedded", device=DEVICE, dtype=dtype)
        assert away.device.startswith(DEVICE)
        for mine, other in ((documents, away.encode_document(TEXTS)), (queries, away.encode_query(QUESTIONS))):
            assert np.array_equal(mine.offsets, other.offsets)
            assert other.values.dtype == (np.float32 if dtype == "float32" else np.float16)
            difference = np.abs(mine.values - other.values.astype(np.float32)).max()
            assert difference < tolerance * np.abs(mine.values).max(), (dtype, difference)


def gradcache() -> None:
    """Every loss on a small model, and one on the embedded model and pooled vectors: encoded, scored, encoded again."""
    from engine.training.losses import LOSSES
    from engine.training.targets import Targets

    with tempfile.TemporaryDirectory() as folder:
        small = make_model(Path(folder))
        for kind in LOSSES.values():
            _both(_step(small, kind))
    embedded: Any = Encoder.load("embedded", device="cpu", dtype="float32").model
    pooled = Targets(factors=(1.0, 2.0), dimensions=(64,), added=2)
    _both(_step(embedded, LOSSES["cached-contrastive"], pooled), atol=2e-3)


def _step(model: Any, kind: Any, targets: Any = None) -> Callable[[str], list[torch.Tensor]]:
    """A step in mini-batches of some 24 tokens: the loss and the gradients of the last weights."""
    model.eval()  # without dropout, which each device draws its own way
    columns = [
        {**model.preprocess(texts, task=task), "task": task}
        for texts, task in ((QUESTIONS, "query"), (TEXTS, "document"), (TEXTS[::-1], "document"))
    ]
    labels = torch.rand(4, 2, generator=torch.Generator().manual_seed(0))

    def run(device: str) -> list[torch.Tensor]:
        model.to(device)
        model.zero_grad()
        loss = kind.loss(model, mini_batch_tokens=24, graph_tokens=24, targets=targets)
        moved = [
            {key: value.to(device) if isinstance(value, torch.Tensor) else value for key, value in column.items()}
            for column in columns
        ]
        value = loss(moved, labels.to(device) if kind.loss.scored else None)
        value.backward()
        last = [p.grad for p in list(model.parameters())[-6:] if p.grad is not None]
        assert last
        return [value.detach(), *last]

    return run


CHECKS = (
    refuses_other_devices, maxsim_of_texts, maxsim_with_gradients, every_scorer, plaid_search, encoding, gradcache,
)  # fmt: skip


def main() -> None:
    """Do every check."""
    pretended = DEVICE == pretend.KIND
    kept = pretend.begin() if pretended else None
    if pretended:  # a tensor of inference mode cannot be wrapped; what is computed is the same without it
        torch.inference_mode = lambda mode=True: torch.no_grad() if mode else torch.enable_grad()  # type: ignore[assignment]
    found = {}
    for check in CHECKS:
        with pretend.Pretending() if pretended else contextlib.nullcontext():
            try:
                check()
                found[check.__name__] = ""
            except Exception:
                found[check.__name__] = traceback.format_exc()
    print(json.dumps(found))
    del kept


if __name__ == "__main__":
    main()
