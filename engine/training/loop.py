"""The trainer's loop: from checked settings and rows to trained weights, with events on the way."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from engine.collection import Collection
from engine.encoder import Encoder
from engine.explain import explain
from engine.training import checkpoints
from engine.training.data import TrainingData
from engine.training.development import Measure, Pairs, Score, encode_pairs, pooled_scores, score_collection
from engine.training.events import Evaluated, Event, OnEvent, Pinned, Started, Stop
from engine.training.losses import LateInteractionLoss
from engine.training.model import build_loss, merge, prepare, projection_in_float32
from engine.training.probe import preflight
from engine.training.refresh import negatives_at, segments
from engine.training.report import where
from engine.training.settings import TrainSettings
from engine.training.validation import Choice


class Run:
    """The trainer of sentence-transformers, set up from our settings.

    Args:
        settings: What to train and how.
        data: Checked rows.
        encoder: The model that is trained in place.
        development: See `fine_tune`.
        on_event: See `fine_tune`.
        stop: See `fine_tune`.
        pinned: See `fine_tune`.
        choice: Decides which step is kept.
        noise: See `engine.training.targets.Targets`.
    """

    def __init__(
        self,
        settings: TrainSettings,
        data: TrainingData,
        encoder: Encoder,
        development: Collection | None,
        on_event: OnEvent,
        stop: Stop,
        pinned: tuple[tuple[str, str], ...],
        choice: Choice,
        noise: float = 0.0,
    ) -> None:
        self.settings, self.data, self.encoder = settings, data, encoder
        self.development, self.on_event, self.stop, self.pinned = development, on_event, stop, pinned
        self.choice, self.kept = choice, 0
        self.loss: LateInteractionLoss = build_loss(encoder.model, settings, noise)
        self.loss.answers = data.answers()
        self.stopped = False
        self.steps_done = 0
        self.losses: list[float] = []
        self.parts: list[dict[str, Any]] = []

    @property
    def batch(self) -> int:
        """Rows a step and process: as set, or all rows when there are fewer."""
        return min(self.settings.batch, len(self.data))

    @property
    def steps(self) -> int:
        """Optimiser steps of the run."""
        if self.settings.max_steps:
            return self.settings.max_steps
        rows = self.batch * int(os.environ.get("WORLD_SIZE", "1"))
        return max(round(self.settings.epochs * max(len(self.data) // rows, 1)), 1)

    def train(self, origin: dict[str, Any], record: dict[str, Any] | None) -> float:
        """Train in place.

        Args:
            origin: What the run is made from.
            record: That of the run to resume, or None.

        Returns:
            Seconds spent in the trainer.
        """
        from engine.training.trainer import build_trainer, describe_batch, typical_batch  # imports optional packages
        from engine.training.watch import Guard, Watcher

        model, steps, output = self.encoder.model, self.steps, Path(self.settings.output)
        checkpoint = None if record is None else checkpoints.last_checkpoint(output)
        self.steps_done = checkpoints.steps_of(checkpoint)
        self.parts = [*([] if record is None else record["parts"]), {"step": self.steps_done, **where(self.encoder)}]
        adapters = prepare(model, self.settings)
        guard = Guard(lambda columns: describe_batch(model, columns))
        started = None
        if checkpoint is not None and record is not None:  # nothing may be left to do but to save what is there
            checkpoints.load_weights(checkpoint, model, self.loss.scorer)
            self.losses = checkpoints.losses_of(checkpoint)
            self.loss.use_mini_batches(record["mini_batch_tokens"])
            self.choice.resume(self.steps_done)
        for first, last in segments(steps, self.settings.mine_every, self.steps_done):
            if self.choice.exhausted:
                break
            rows = self.data
            if record is None and started is None and is_first_process():
                checkpoints.start_anew(output)
            if self.settings.mine_every:
                folder = output / checkpoints.CHECKPOINTS
                rows = negatives_at(first, folder, Encoder(model, self.settings.output), self.data)
            every = self.settings.evaluate_every
            watcher = Watcher(guard, self.emit, self.stop, every, self.evaluate, last, lambda: self.choice.exhausted)
            trainer = build_trainer(self.settings, model, rows, self.loss, watcher, self.batch, steps)
            if started is None:
                self._begin(typical_batch(trainer), steps, origin, record)
                self.loss.watch = guard
                started = time.perf_counter()
            bfloat16 = self.settings.dtype == "bfloat16"
            with projection_in_float32(model) if bfloat16 else nullcontext():
                trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
            self.stopped, self.steps_done = watcher.stopped, trainer.state.global_step
            self.losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
            checkpoint = output / checkpoints.CHECKPOINTS / f"checkpoint-{last}"
            if self.stopped:
                break
        self.loss.scorer.anneal(1.0)
        best = self.choice.take_best(model, self.loss.scorer)
        self.kept = self.steps_done if best is None else best
        merge(adapters)
        model.eval()
        return 0.0 if started is None else time.perf_counter() - started

    def _begin(self, batch: list[Any], steps: int, origin: dict[str, Any], record: dict[str, Any] | None) -> None:
        """Choose the mini-batch, or take that of the part before; say what to expect, and keep what the run is."""
        import torch

        chosen = self.settings.mini_batch_tokens if record is None else record["mini_batch_tokens"]
        with torch.autocast(self.encoder.model.device.type, torch.bfloat16, self.settings.dtype == "bfloat16"):
            expected = preflight(self.loss, batch, steps, chosen)
        self.loss.use_mini_batches(expected.mini_batch_tokens)
        told = expected.as_dict(), {**self.settings.to_dict(), "mini_batch_tokens": expected.mini_batch_tokens}
        self.emit(Started(self.steps_done, steps, len(self.data), self.data.counts, *told))
        if is_first_process():
            checkpoints.write_origin(Path(self.settings.output), origin, expected.mini_batch_tokens, self.parts)
        if self.steps_done not in self.choice.measured:  # the start is one of the steps to choose from
            self.evaluate(self.steps_done)

    def measure(self, encoder: Encoder, measure: Measure | None) -> tuple[Score | None, Pairs | None]:
        """The development score and the vectors of some pairs, or nothing."""
        if self.development is None or not is_first_process():
            return None, None
        encoder.model.eval()
        if measure is None:
            score = score_collection(encoder, self.development, scorer=self.loss.scorer)
        else:
            score = measure(encoder, self.development, 1)
        return score, encode_pairs(encoder, self.development)

    def pool_curve(self, encoder: Encoder, measure: Measure | None) -> dict[float, Score]:
        """The development score at each pool factor of the loss, and at 1; nothing where the loss pools nothing."""
        factors = sorted({1, *self.settings.pool_factors})
        if self.development is None or not is_first_process() or factors == [1]:
            return {}
        if measure is not None:
            return {factor: measure(encoder, self.development, factor) for factor in factors}
        return pooled_scores(encoder, self.development, factors, self.loss.scorer)

    def evaluate(self, step: int) -> dict[str, float]:
        """Send the score and the pinned pairs of this step; returns the score and its interval.

        Where questions are set apart to choose a step, they are measured; otherwise the development collection is.
        """
        encoder = Encoder(self.encoder.model, self.settings.output)
        found: dict[str, float] = {}
        chooses = self.choice.collection is not None
        score = self.choice.measure(step, encoder, self.loss.scorer)
        if score is None and self.development is not None and step:
            score = score_collection(encoder, self.development, scorer=self.loss.scorer)
        if score is not None:
            self.emit(Evaluated(step, score.ndcg, score.low, score.high, len(score.per_query), chooses))
            found = {"eval_ndcg@10": score.ndcg, "eval_ndcg@10_low": score.low, "eval_ndcg@10_high": score.high}
        if self.pinned and step:
            encoder.model.eval()
            self.emit(Pinned(step, tuple(explain(encoder, question, text) for question, text in self.pinned)))
            encoder.model.train()
        return found

    def emit(self, event: Event) -> None:
        """Hand an event on, from the first process only."""
        if is_first_process():
            self.on_event(event)


def is_first_process() -> bool:
    """Whether this is the process that evaluates and writes."""
    return int(os.environ.get("RANK", "0")) == 0
