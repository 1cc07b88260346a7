"""One run: data and settings in, a trained model and what it changed out, with events on the way."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace as changed_copy
from pathlib import Path
from typing import Any

from engine.collection import Collection, require_judgements
from engine.encoder import Encoder
from engine.errors import InputError
from engine.explain import explain
from engine.files import file_lock
from engine.statistics import p_value
from engine.training import checkpoints
from engine.training.data import TrainingData
from engine.training.development import Measure, Pairs, Score, encode_pairs, most_changed, score_collection
from engine.training.dropout import fast_dropout_on_cpu
from engine.training.events import Evaluated, Event, Finished, OnEvent, Pinned, Saved, Started, Stop
from engine.training.losses import LOSSES, LateInteractionLoss
from engine.training.model import (
    build_loss,
    load_for_training,
    merge,
    prepare,
    projection_in_float32,
    require_training_packages,
)
from engine.training.probe import preflight
from engine.training.refresh import negatives_at, segments
from engine.training.report import ALREADY, Report, where
from engine.training.saving import load_report, save_model, save_report
from engine.training.settings import TrainSettings


def fine_tune(
    settings: TrainSettings,
    data: TrainingData,
    on_event: OnEvent | None = None,
    development: Collection | None = None,
    resume: bool = False,
    stop: Stop | None = None,
    pinned: Sequence[tuple[str, str]] = (),
    replace: bool = False,
    measure: Measure | None = None,
) -> Report:
    """Train a late-interaction model and say what changed.

    Args:
        settings: What to train and how.
        data: Rows; those that leak from the development collection are left out and counted.
        on_event: Called from this thread with each event.
        development: Evaluated before, after and every `evaluate_every` steps.
        resume: Go on from the last checkpoint in `settings.output`; the result is that of a run never interrupted. A
            run that is finished is left as it is, and its report says so.
        stop: Ends the run within a step when set; the model of that step is kept.
        pinned: (question, text) pairs explained at each evaluation.
        replace: A model or checkpoints in `settings.output` may go; the model goes when the new one is there.
        measure: Scores a model on `development` before and after, when it is in its folder; `score_collection` with the
            scorer of the run when None.

    Returns:
        The report, with the trained encoder.

    Raises:
        InputError: settings and data do not fit together, nothing is judged in `development`, the folder holds a model
            and neither `resume` nor `replace` was asked for, or what is resumed was started with something else.
        BusyError: another run writes to the folder.
        StorageError: the disk is full, read-only or gone.
        NotFoundError: nothing to resume from.
        TrainingError: a loss that is not finite, stays zero or explodes.
        MissingExtraError: the trainer's packages are not installed.
    """
    require_training_packages()
    _check(settings, data)
    if development is not None:
        require_judgements(development)
    output = Path(settings.output)
    record, finished = None, False
    if resume:
        record, finished = checkpoints.find_resumable(output)
    else:
        checkpoints.check_new(output, replace)
    emit: OnEvent = on_event or (lambda event: None)
    encoder = load_for_training(settings)
    encoder.model.eval()
    data = data.check(encoder, development)
    origin = checkpoints.origin_of(settings, data, encoder.fingerprint)
    if record is not None:
        checkpoints.check_same(output, record, origin)
        if finished:
            report = changed_copy(load_report(output, settings.device), reason=ALREADY)
            emit(Finished(report.steps, ALREADY))
            return report
    _check_texts(encoder, data)
    run = Run(settings, data, encoder, development, emit, stop or Stop(), tuple(pinned))
    with file_lock(output / checkpoints.LOCK, 0.0) if is_first_process() else nullcontext():
        return _complete(run, origin, record, measure)


def _complete(run: Run, origin: dict[str, Any], record: dict[str, Any] | None, measure: Measure | None) -> Report:
    """Measure, train, save, and measure again."""
    settings, data, development, encoder = run.settings, run.data, run.development, run.encoder
    before, pairs = run.measure(encoder, measure)
    if before is not None:
        run.emit(Evaluated(0, before.ndcg, before.low, before.high, len(before.per_query)))
    with fast_dropout_on_cpu(encoder.model):
        seconds = run.train(origin, record)
    trained = Encoder(encoder.model, settings.output)
    if is_first_process():
        save_model(trained, settings, run.loss.scorer)
    after, pairs_after = run.measure(trained, measure)
    changed = []
    if development is not None and pairs is not None and pairs_after is not None:
        changed = most_changed(trained, development, pairs, pairs_after)
    report = Report(
        folder=settings.output,
        reason="stopped" if run.stopped else "complete",
        steps=run.steps_done,
        seconds=seconds,
        losses=run.losses,
        before=before,
        after=after,
        p_value=None if before is None or after is None else _p_value(before, after),
        changed=changed,
        counts=data.counts,
        data_name=data.name,
        development=None if development is None else development.name,
        settings={**settings.to_dict(), "mini_batch_tokens": run.loss.mini_batch_tokens},
        origin=origin,
        parts=run.parts,
        encoder=trained,
    )
    if is_first_process():
        save_report(report)
    run.emit(Saved(run.steps_done, settings.output))
    run.emit(Finished(run.steps_done, report.reason))
    return report


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
        self.development, self.on_event, self.stop, self.pinned = development, on_event, stop, pinned
        self.loss: LateInteractionLoss = build_loss(encoder.model, settings)
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
        for first, last in segments(steps, self.settings.mine_every, self.steps_done):
            rows = self.data
            if record is None and started is None and is_first_process():
                checkpoints.start_anew(output)
            if self.settings.mine_every:
                folder = output / checkpoints.CHECKPOINTS
                rows = negatives_at(first, folder, Encoder(model, self.settings.output), self.data)
            watcher = Watcher(guard, self.emit, self.stop, self.settings.evaluate_every, self.evaluate, last)
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

    def measure(self, encoder: Encoder, measure: Measure | None) -> tuple[Score | None, Pairs | None]:
        """The development score and the vectors of some pairs, or nothing."""
        if self.development is None or not is_first_process():
            return None, None
        encoder.model.eval()
        if measure is None:
            score = score_collection(encoder, self.development, scorer=self.loss.scorer)
        else:
            score = measure(encoder, self.development)
        return score, encode_pairs(encoder, self.development)

    def evaluate(self, step: int) -> dict[str, float]:
        """Send the development score and the pinned pairs of this step; returns the score and its interval."""
        encoder = Encoder(self.encoder.model, self.settings.output)
        found: dict[str, float] = {}
        if self.development is not None:
            score = score_collection(encoder, self.development, scorer=self.loss.scorer)
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


def _p_value(before: Score, after: Score) -> float:
    values = [[score.per_query[name] for name in before.per_query] for score in (before, after)]
    return p_value(values[0], values[1], "randomization")


def _check(settings: TrainSettings, data: TrainingData) -> None:
    scored = LOSSES[settings.loss].loss.scored
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


def _check_texts(encoder: Encoder, data: TrainingData) -> None:
    """Name a text of punctuation alone of which nothing is scored; the loss finds the rare others when they come."""
    for column, texts in data.columns.items():
        suspects = [i for i, text in enumerate(texts) if text and not any(map(str.isalnum, text))]
        if suspects:
            encode = encoder.encode_query if column == "query" else encoder.encode_document
            lengths = encode([texts[i] for i in suspects]).lengths
            for i, length in zip(suspects, lengths, strict=True):
                if not length:
                    raise InputError(
                        f"Nothing of the {column} {texts[i][:80]!r} of {data.name} is left to score, since the model "
                        "scores none of its tokens: remove this row."
                    )
