"""Training the head of the embedded model on vectors of its frozen backbone, for the benchmarks that do so."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import describe
from engine import Collection, Encoder, load_collection
from engine.sampling import sample
from engine.training import Score, TrainingData, TrainSettings, read_training_data
from engine.training.development import pooled_scores
from engine.training.model import build_loss, load_for_training, prepare
from engine.training.targets import sampled_noise


class Bench:
    """The embedded model with its backbone frozen, and the head as it was.

    Args:
        arguments: Of the command.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        torch.set_num_threads(arguments.threads)
        self.arguments = arguments
        self.settings = TrainSettings(
            base=arguments.model, train_only="head", batch=arguments.batch, learning_rate=arguments.learning_rate,
            max_steps=arguments.steps, document_length=arguments.document_length, device="cpu", seed=arguments.seed,
        )  # fmt: skip
        self.encoder = load_for_training(self.settings)
        self.model: Any = self.encoder.model
        prepare(self.model, self.settings)
        self.begun = {name: value.clone() for name, value in self.model.state_dict().items()}

    def begin(self) -> None:
        """Put the head back as it was."""
        self.model.load_state_dict(self.begun)
        self.model.eval()

    def fit(self, data: TrainingData, settings: TrainSettings) -> Any:
        """Train from the head as it was; returns the scorer."""
        self.begin()
        noise = sampled_noise(self.encoder.encode_document, data.columns["positive"], settings.bits)
        torch.manual_seed(settings.seed)
        loss = build_loss(self.model, settings, noise)
        loss.answers = data.answers()
        learning = [p for p in (*self.model.parameters(), *loss.scorer.parameters()) if p.requires_grad]
        optimizer = torch.optim.AdamW(learning, lr=settings.learning_rate, weight_decay=0.0)
        warm = max(settings.max_steps // 10, 1)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / warm, (settings.max_steps - step) / settings.max_steps)
        )
        self.model.train()
        for step, rows in enumerate(batches(data, settings)):
            loss.scorer.anneal(step / max(settings.max_steps - 1, 1))
            value = loss(*self.columns(data.select(rows)))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
            if step % 25 == 0:
                print(f"  step {step}: loss {value.item():.3f}", file=sys.stderr, flush=True)
        loss.scorer.anneal(1.0)
        self.model.eval()
        return loss.scorer

    def columns(self, rows: TrainingData) -> tuple[list[dict[str, Any]], torch.Tensor]:
        """What a loss takes."""
        lengths = {"query": None, "document": self.arguments.document_length}
        columns = []
        for name, texts in rows.columns.items():
            task = "query" if name == "query" else "document"
            length = {} if lengths[task] is None else {"max_length": lengths[task]}
            columns.append({**self.model.preprocess(texts, task=task, **length), "task": task})
        return columns, torch.tensor(rows.to_dataset(True)["label"])

    def scores(self, collection: Collection, factors: Sequence[float], scorer: Any) -> dict[float, Score]:
        """At each factor."""
        return pooled_scores(Encoder(self.model, "trained"), collection, factors, scorer)


def batches(data: TrainingData, settings: TrainSettings) -> Iterator[list[int]]:
    """Rows of each step, no text twice in one."""
    generator = np.random.default_rng(settings.seed)
    for _ in range(settings.max_steps):
        seen: set[str] = set()
        rows: list[int] = []
        for row in generator.permutation(len(data)).tolist():
            texts = {texts[row] for texts in data.columns.values()}
            if not texts & seen:
                rows.append(row)
                seen |= texts
            if len(rows) == settings.batch:
                break
        yield rows


def domain(arguments: argparse.Namespace) -> tuple[TrainingData, Collection]:
    """Training pairs of a collection without what its test holds, and a sample of its test."""
    folder = Path(arguments.pairs)
    whole = load_collection(str(folder))
    data = read_training_data(folder / "train-pairs.jsonl").check(None, whole)
    rows = np.sort(np.random.default_rng(arguments.seed).permutation(len(data))[: arguments.rows])
    return data.select(rows.tolist()), sample(whole, arguments.documents, arguments.questions)


def origin(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a record follows from."""
    kept = {
        key: value
        for key, value in vars(arguments).items()
        if key not in ("what", "pairs", "model", "threads", "seeds", "collections")
    }
    return {"settings": kept, "model": Path(arguments.model).name, "machine": describe()}
