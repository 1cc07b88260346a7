"""Losses: cached equals plain, ours equals the library's, two processes equal one."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder import losses as library
from torch.nn import functional

from engine.batching import used_tokens
from engine.errors import InputError
from engine.maxsim import scorers
from engine.maxsim.differentiable import Ragged, maxsim_ragged
from engine.training import TrainSettings
from engine.training.batches import cut_mini_batches
from engine.training.losses import ContrastiveLoss, DistillationLoss, MarginMSELoss, mask_false_negatives
from engine.training.model import load_for_training, projection_in_float32


@pytest.fixture
def model(backbone: Path) -> Any:
    found = load_for_training(TrainSettings(base=str(backbone), projection=16, device="cpu")).model
    found.eval()
    return found


def features(model: Any, rows: list[dict[str, str]], names: tuple[str, ...]) -> list[dict[str, Any]]:
    columns = []
    for i, name in enumerate(names):
        task = "document" if i else "query"
        columns.append({**model.preprocess([row[name] for row in rows], task=task), "task": task})
    return columns


def gradients(model: Any, loss: Any, columns: list[dict[str, Any]], labels: Any = None) -> tuple[float, torch.Tensor]:
    model.zero_grad()
    value = loss([dict(column) for column in columns], labels)
    value.backward()
    return value.item(), flat_gradient(model)


def flat_gradient(model: Any) -> torch.Tensor:
    """All gradients in a row; zero where a weight was not used, such as those of BERT's pooler."""
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in model.parameters()])


@pytest.mark.parametrize("graph_tokens", [None, 0, 100])
def test_contrastive_equals_the_library(model: Any, rows: list[dict[str, str]], graph_tokens: int | None) -> None:
    columns = features(model, rows[:9], ("query", "positive", "negative"))
    expected = gradients(model, library.MultiVectorMultipleNegativesRankingLoss(model, scale=2.0), columns)
    # The library counts documents row by row, we count column by column: the same set, so the same loss.
    found = gradients(model, ContrastiveLoss(model, 0.5, mini_batch_tokens=64, graph_tokens=graph_tokens), columns)
    assert found[0] == pytest.approx(expected[0], abs=1e-5)
    torch.testing.assert_close(found[1], expected[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(DistillationLoss, library.MultiVectorDistillKLDivLoss), (MarginMSELoss, library.MultiVectorMarginMSELoss)],
)
def test_teacher_losses_equal_the_library(model: Any, rows: list[dict[str, str]], ours: Any, theirs: Any) -> None:
    columns = features(model, rows[:6], ("query", "positive", "negative"))
    labels = torch.rand(6, 2, generator=torch.Generator().manual_seed(0)) * 4
    expected = gradients(model, theirs(model), columns, labels)
    found = gradients(model, ours(model, mini_batch_tokens=50, graph_tokens=50), columns, labels)
    assert found[0] == pytest.approx(expected[0], abs=1e-5)
    torch.testing.assert_close(found[1], expected[1], atol=1e-5, rtol=1e-4)
    with pytest.raises(InputError, match="one score a document"):
        gradients(model, ours(model), columns, labels[:, :1])


def test_cached_equals_plain_with_dropout(model: Any, rows: list[dict[str, str]]) -> None:
    model.train()  # a second pass must draw the dropout of the first
    columns = features(model, rows[:8], ("query", "positive"))
    torch.manual_seed(5)
    plain = gradients(model, ContrastiveLoss(model, mini_batch_tokens=64, graph_tokens=None), columns)
    torch.manual_seed(5)
    cached = gradients(model, ContrastiveLoss(model, mini_batch_tokens=64, graph_tokens=0), columns)
    assert cached[0] == pytest.approx(plain[0], abs=1e-6)
    torch.testing.assert_close(cached[1], plain[1], atol=1e-5, rtol=1e-4)


def test_golden_checkpoint_equals_the_library(golden: Path) -> None:
    texts = json.loads((golden / "losses.json").read_text())
    model = MultiVectorEncoder(str(golden / "pylate-checkpoint"), device="cpu")
    model.eval()
    columns = []
    for name in ("query", "positive", "negative"):
        task = "query" if name == "query" else "document"
        columns.append({**model.preprocess(texts[name], task=task, prompt=model.prompts[task]), "task": task})
    expected = gradients(model, library.MultiVectorMultipleNegativesRankingLoss(model), columns)
    found = gradients(model, ContrastiveLoss(model, mini_batch_tokens=128, graph_tokens=64), columns)
    assert found[0] == pytest.approx(expected[0], abs=1e-5)
    torch.testing.assert_close(found[1], expected[1], atol=1e-4, rtol=1e-3)
    assert found[0] == pytest.approx(2.5048866, abs=1e-4)  # PyLate 1.6.0, Contrastive and CachedContrastive, run anew


def test_scores_equal_a_loop_and_their_gradients_pass_a_numerical_check() -> None:
    generator = torch.Generator().manual_seed(0)
    lengths, sizes = [3, 1, 4], [2, 5, 1, 3]

    def ragged(counts: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        values = torch.randn(sum(counts), 4, dtype=torch.float64, generator=generator, requires_grad=True)
        return values, torch.tensor([0, *np.cumsum(counts)])

    (q, q_offsets), (d, d_offsets) = ragged(lengths), ragged(sizes)

    def score(q: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
        return maxsim_ragged(Ragged(q, q_offsets), Ragged(d, d_offsets))

    scores = score(q, d)
    for i in range(3):
        for j in range(4):
            query, document = q[q_offsets[i] : q_offsets[i + 1]], d[d_offsets[j] : d_offsets[j + 1]]
            assert scores[i, j].item() == pytest.approx((query @ document.T).amax(1).sum().item(), abs=1e-9)
    assert torch.autograd.gradcheck(score, (q, d))
    own = scorers.get().matched(Ragged(q, q_offsets), [Ragged(d[:8], d_offsets[:4])])
    torch.testing.assert_close(own[:, 0], scores.diagonal()[:3])


def test_mini_batches_cover_every_row_once_and_keep_to_the_budget(model: Any, rows: list[dict[str, str]]) -> None:
    column = features(model, rows, ("query", "positive"))[1]
    batches = cut_mini_batches(column, 128)
    assert sorted(torch.cat([batch.rows for batch in batches]).tolist()) == list(range(len(rows)))
    assert all(batch.tokens <= 128 for batch in batches)
    assert sum(int(used_tokens(batch.features).sum()) for batch in batches) == int(used_tokens(column).sum())


def test_false_negatives_leave_the_loss() -> None:
    scores = torch.tensor([[2.0, 1.95, 1.0], [0.5, 1.0, 3.0]])
    masked = mask_false_negatives(scores, torch.tensor([0, 1]), 0.95)
    assert masked.isinf().tolist() == [[False, True, False], [False, False, True]]


def _worker(rank: int, folder: str, port: int, texts: list[dict[str, str]]) -> tuple[torch.Tensor, torch.Tensor]:
    torch.set_num_threads(1)
    meeting, patience = f"tcp://127.0.0.1:{port}", timedelta(seconds=240)
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2, timeout=patience)
    model = load_for_training(TrainSettings(base=folder, projection=16, device="cpu")).model
    model.eval()
    wrapped = torch.nn.parallel.DistributedDataParallel(model)
    own = texts[rank * 4 : rank * 4 + 4]
    loss = ContrastiveLoss(wrapped, gather=True, mini_batch_tokens=64, graph_tokens=64)
    value = loss(features(model, own, ("query", "positive")))
    value.backward()
    total = value.detach().clone()
    torch.distributed.all_reduce(total)
    gradient = flat_gradient(model)
    del wrapped, loss, value  # the reducer would otherwise end the group's thread while holding the interpreter's lock
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    return total / 2, gradient


def _second_worker(_: int, *arguments: Any) -> None:
    _worker(1, *arguments)


@pytest.mark.parametrize("graph_tokens", [None, 0])
def test_bfloat16_gradients_point_the_same_way_and_are_encoded_again_as_they_were(
    model: Any, rows: list[dict[str, str]], graph_tokens: int | None
) -> None:
    columns = features(model, rows[:9], ("query", "positive"))
    _, exact = gradients(model, ContrastiveLoss(model), columns)
    seen: list[set[torch.dtype]] = [set(), set()]
    for module, found in zip((model[0].auto_model.encoder, model[1]), seen, strict=True):
        first = next(part for part in module.modules() if isinstance(part, torch.nn.Linear))
        first.register_forward_hook(lambda *given, found=found: found.add(given[-1].dtype))
    model.zero_grad()
    with projection_in_float32(model):
        with torch.autocast("cpu", torch.bfloat16):
            value = ContrastiveLoss(model, mini_batch_tokens=64, graph_tokens=graph_tokens)([dict(c) for c in columns])
        value.backward()  # outside autocast, as trainers do it
    assert "forward" not in vars(model[1])
    assert seen == [{torch.bfloat16}, {torch.float32}]
    assert value.dtype == torch.float32
    assert functional.cosine_similarity(flat_gradient(model), exact, dim=0).item() > 0.99


def test_two_processes_with_gathered_negatives_equal_one(
    backbone: Path, model: Any, rows: list[dict[str, str]]
) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = (str(backbone), port, rows[:8])
    other = torch.multiprocessing.spawn(_second_worker, shared, nprocs=1, join=False)  # this process is the first
    assert other is not None
    loss, gradient = _worker(0, *shared)
    other.join()
    expected = gradients(model, ContrastiveLoss(model), features(model, rows[:8], ("query", "positive")))
    assert loss.item() == pytest.approx(expected[0], abs=1e-5)
    torch.testing.assert_close(gradient, expected[1], atol=1e-5, rtol=1e-4)
