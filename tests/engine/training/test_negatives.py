"""What a contrastive loss takes for negatives, against the loss computed by hand without what must not count."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch.nn import functional

from engine.training import TrainSettings, fine_tune, read_training_data
from engine.training.negatives import hide_answers


def test_absent_documents_and_other_answers_are_no_negatives() -> None:
    data = read_training_data(
        [
            {"query": "a", "positive": ["p1", "p2"], "negative": "n"},
            {"query": "b", "positive": "q", "negative": ["p2", "m"]},
        ]
    )
    labels = torch.tensor(data.to_dataset(keys=True)["label"][:])
    rows = [0, 2]  # of a and p1, of b and q: p2 is an answer of a, and a negative of b
    batch = labels[rows]
    keys = batch[:, 1:].T.reshape(-1).tolist()  # p1, q, n, p2, nothing, m
    generator = torch.Generator().manual_seed(0)
    scores, targets = torch.randn(2, 6, generator=generator), torch.arange(2)
    hidden = hide_answers(scores, targets, batch[:, 0].tolist(), keys, data.answers())
    assert torch.isinf(hidden).tolist() == [
        [False, False, False, True, True, False],
        [False, False, False, False, True, False],
    ]
    by_hand = [
        functional.cross_entropy(scores[0, [0, 1, 2, 5]][None], torch.tensor([0])),
        functional.cross_entropy(scores[1, [0, 1, 2, 3, 5]][None], torch.tensor([1])),
    ]
    torch.testing.assert_close(functional.cross_entropy(hidden, targets), torch.stack(by_hand).mean())


def test_a_run_learns_from_ragged_rows_with_several_positives(backbone: Path, tmp_path: Path) -> None:
    rows = [
        {
            "query": f"what is topic {i}",
            "pos": [f"topic {i} one", f"topic {i} two"],
            "neg": [f"wrong {i} {j}" for j in range(i)],
        }
        for i in range(3)
    ]
    data = read_training_data(rows)
    assert len(data) == 6
    settings = TrainSettings(base=str(backbone), batch=3, max_steps=2, projection=8, device="cpu",
                             output=str(tmp_path / "model"))  # fmt: skip
    assert all(map(math.isfinite, fine_tune(settings, data).losses))
