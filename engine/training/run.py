"""One run: data and settings in, a trained model and what it changed out, with events on the way."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from engine.collection import Collection
from engine.encoder import Encoder
from engine.errors import InputError, NotFoundError
from engine.explain import explain
from engine.training.data import TrainingData
from engine.training.dropout import fast_dropout_on_cpu
from engine.training.evaluation import Pairs, Score, encode_pairs, most_changed, p_value, score_collection
from engine.training.events import Evaluated, Event, Finished, OnEvent, Pinned, Saved, Started, Stop
from engine.training.model import (
    load_for_training,
    merge,
    prepare,
    projection_in_float32,
    require_training_packages,
)
from engine.training.refresh import negatives_at, segments
from engine.training.report import Report, versions
from engine.training.settings import TrainSettings

WEIGHTS = "weights.safetensors"  # of a checkpoint: exactly what is trained, adapters included
CHECKPOINTS = "checkpoints"


def fine_tune(
    settings: TrainSettings,
    data: TrainingData,
    on_event: OnEvent | None = None,
    development: Collection | None = None,
    resume: bool = False,
    stop: Stop | None = None,
    pinned: Sequence[tuple[str, str]] = (),
) -> Report:
    """Train a late-interaction model and say what changed.

    Args:
        settings: Of the run.
        data: Rows; those that leak from the development collection are left out and counted.
        on_event: Called from this thread with each event.
        development: Evaluated before, after and every `evaluate_every` steps.
        resume: Go on from the last checkpoint in `settings.output`; the result is that of a run never interrupted.
        stop: Ends the run within a step when set; the model of that step is kept.
        pinned: (question, text) pairs explained at each evaluation.

    Returns:
        The report, with the trained encoder.

    Raises:
        InputError: settings and data do not fit together.
        NotFoundError: nothing to resume from.
        TrainingError: a loss that is not finite, stays zero or explodes.
        MissingExtraError: the trainer's packages are not installed.
    """
    require_training_packages()
    _check(settings, data)
    output = Path(settings.output)
    checkpoint = _last_checkpoint(output) if resume else None
    if not resume:
        _refuse_foreign(output)
    emit: OnEvent = on_event or (lambda event: None)
    encoder = load_for_training(settings)
    encoder.model.eval()
    data = data.check(encoder, development)
    before, pairs = _measure(encoder, development)
    run = Run(settings, data, encoder, development, emit, stop or Stop(), tuple(pinned))
    if before is not None:
        emit(Evaluated(0, before.ndcg, before.low, before.high, len(before.per_query)))
    with fast_dropout_on_cpu(encoder.model):
        seconds = run.train(checkpoint)
    trained = Encoder(encoder.model, settings.output)
    after, pairs_after = _measure(trained, development)
    changed = []
    if development is not None and pairs is not None and pairs_after is not None:
        changed = most_changed(trained, development, pairs, pairs_after)
    report = Report(
        folder=str(output),
        reason="stopped" if run.stopped else "complete",
        steps=run.steps_done,
        seconds=seconds,
        losses=run.losses,
        before=before,
        after=after,
        p_value=None if before is None or after is None else p_value(before.per_query, after.per_query),
        changed=changed,
        counts=data.counts,
        data_name=data.name,
        development=None if development is None else development.name,
        settings=settings.to_dict(),
        versions=versions(),
        encoder=trained,
    )
    if is_first_process():
        report.save(output)
        emit(Saved(run.steps_done, str(output)))
    emit(Finished(run.steps_done, report.reason))
    return report


class Run:
    """The trainer of sentence-transformers, set up from our settings.

    Args:
        settings: Of the run.
        data: Checked rows.
        encoder: The model that is trained in place.
        development: See `fine_tune`.
        on_event: See `fine_tune`.
        stop: See `fine_tune`.
        pinned: See `fine_tune`.
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
    ) -> None:
        self.settings, self.data, self.encoder = settings, data, encoder
        self.rows = data  # with the negatives of the moment
        self.development, self.on_event, self.stop, self.pinned = development, on_event, stop, pinned
        self.stopped = False
        self.steps_done = 0
        self.losses: list[float] = []

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

    def train(self, checkpoint: Path | None) -> float:
        """Train in place.

        Args:
            checkpoint: To resume from, or None.

        Returns:
            Seconds spent in the trainer.
        """
        import torch

        from engine.training.preflight import preflight
        from engine.training.trainer import build_loss, build_trainer, describe_batch, typical_batch
        from engine.training.watch import Guard, Watcher

        model, steps, folder = self.encoder.model, self.steps, Path(self.settings.output) / CHECKPOINTS
        adapters = prepare(model, self.settings)
        loss = build_loss(model, self.settings)
        guard = Guard(lambda columns: describe_batch(model, columns))
        started = None
        for first, last in segments(steps, self.settings.mine_every, _steps_of(checkpoint)):
            if self.settings.mine_every:
                self.rows = negatives_at(first, folder, Encoder(model, self.settings.output), self.data)
            watcher = Watcher(guard, self.emit, self.stop, self.settings.evaluate_every, self.evaluate, last)
            trainer = build_trainer(self, loss, watcher, steps)
            if started is None:
                with torch.autocast(model.device.type, torch.bfloat16, self.settings.dtype == "bfloat16"):
                    expected = preflight(loss, typical_batch(trainer), steps, self.settings.mini_batch_tokens)
                loss.use_mini_batches(expected.mini_batch_tokens)
                loss.watch = guard
                told = expected.as_dict(), self.settings.to_dict()
                self.emit(Started(0, steps, len(self.data), self.data.counts, *told))
                started = time.perf_counter()
            bfloat16 = self.settings.dtype == "bfloat16"
            with projection_in_float32(model) if bfloat16 else nullcontext():
                trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
            self.stopped, self.steps_done = watcher.stopped, trainer.state.global_step
            self.losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
            checkpoint = folder / f"checkpoint-{last}"
            if self.stopped:
                break
        merge(adapters)
        model.eval()
        return 0.0 if started is None else time.perf_counter() - started

    def evaluate(self, step: int) -> dict[str, float]:
        """Send the development score and the pinned pairs of this step; returns the score and its interval."""
        encoder = Encoder(self.encoder.model, self.settings.output)
        found: dict[str, float] = {}
        if self.development is not None:
            score = score_collection(encoder, self.development)
            self.emit(Evaluated(step, score.ndcg, score.low, score.high, len(score.per_query)))
            found = {"eval_ndcg@10": score.ndcg, "eval_ndcg@10_low": score.low, "eval_ndcg@10_high": score.high}
        if self.pinned:
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


def _check(settings: TrainSettings, data: TrainingData) -> None:
    scored = settings.loss in ("distillation", "margin-mse")
    if scored and (data.scores is None or len(data.columns) < 3):
        raise InputError(
            f"Loss {settings.loss!r} needs scores for two or more documents a row, got {data.kind}: add teacher scores "
            "or choose a contrastive loss."
        )
    if scored and settings.mine_every:
        raise InputError(f"mine_every replaces negatives, and {settings.loss!r} needs the scored ones: set it to 0.")
    if len(data) < 2:
        raise InputError(f"Expected two rows or more, got {len(data)}: add data.")
    if not math.isfinite(settings.learning_rate):
        raise InputError("Expected a finite learning rate: correct it.")


def _measure(encoder: Encoder, development: Collection | None) -> tuple[Score | None, Pairs | None]:
    if development is None or not is_first_process():
        return None, None
    encoder.model.eval()
    return score_collection(encoder, development), encode_pairs(encoder, development)


def _last_checkpoint(output: Path) -> Path:
    found = [path for path in (output / CHECKPOINTS).glob("checkpoint-*") if (path / "trainer_state.json").exists()]
    complete = [path for path in found if (path / WEIGHTS).exists() and (path / "optimizer.pt").exists()]
    if not complete:
        raise NotFoundError(f"{output} has no checkpoint to resume from: start anew, or set save_every.")
    return max(complete, key=_steps_of)


def _steps_of(checkpoint: Path | None) -> int:
    return 0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])


def _refuse_foreign(output: Path) -> None:
    ours = {CHECKPOINTS, "report.json", "README.md", "modules.json"}
    if output.exists() and (not output.is_dir() or (any(output.iterdir()) and not ours & set(os.listdir(output)))):
        raise InputError(f"{output} holds something else than a model: give another output folder.")
