"""One run: data and settings in, a trained model and what it changed out, with events on the way."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace as changed_copy
from pathlib import Path
from typing import Any

from engine.collection import Collection, require_judgements
from engine.encoder import Encoder
from engine.nested import remember
from engine.statistics import p_value
from engine.training import checkpoints
from engine.training.axes import begin_projection
from engine.training.checks import check_fit, check_texts
from engine.training.data import TrainingData
from engine.training.development import Measure, Score, most_changed
from engine.training.dropout import fast_dropout_on_cpu
from engine.training.events import Evaluated, Finished, OnEvent, Saved, Stop
from engine.training.frozen import remembered_backbone
from engine.training.loop import Run, is_first_process
from engine.training.model import cut_at, has_new_projection, load_for_training, require_training_packages
from engine.training.report import ALREADY, Report
from engine.training.saving import load_report, save_model, save_report
from engine.training.settings import TrainSettings
from engine.training.targets import sampled_noise
from engine.training.validation import Choice, set_apart


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
    choosing: Collection | None = None,
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
        choosing: Judged questions that choose the step that is kept, as `judged_apart` takes them; without them the
            share `settings.validation` of the rows does.

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
    check_fit(settings, data)
    for judged in (development, choosing):
        if judged is not None:
            require_judgements(judged)
    output = Path(settings.output)
    record, finished = None, False
    if resume:
        record, finished = checkpoints.find_resumable(output)
    else:
        checkpoints.check_new(output, replace)
    emit: OnEvent = on_event or (lambda event: None)
    encoder = load_for_training(settings)
    encoder.model.eval()
    data = data.check(encoder, development, cut_at(encoder.model, settings))
    if choosing is not None:
        data = data.check(None, choosing)
    with remembered_backbone(encoder.model) if settings.train_only == "head" else nullcontext():
        if has_new_projection(encoder):
            encoder = begin_projection(encoder, data.columns["positive"], settings.seed)
        origin = checkpoints.origin_of(settings, data, encoder.fingerprint, choosing)
        if record is not None:
            checkpoints.check_same(output, record, origin)
            if finished:
                report = changed_copy(load_report(output, settings.device), reason=ALREADY)
                emit(Finished(report.steps, ALREADY))
                return report
        check_texts(encoder, data)
        noise = sampled_noise(encoder.encode_document, data.columns["positive"], settings.bits)
        rows, apart = (data, choosing) if choosing is not None else set_apart(data, settings.validation, settings.seed)
        choice = Choice(apart, output, settings.pool_factors, settings.patience)
        run = Run(settings, rows, encoder, development, emit, stop or Stop(), tuple(pinned), choice, noise)
        with checkpoints.begun(output) if is_first_process() else nullcontext():
            return _complete(run, origin, record, measure)


def _complete(run: Run, origin: dict[str, Any], record: dict[str, Any] | None, measure: Measure | None) -> Report:
    """Measure, train, save, and measure again."""
    settings, data, development, encoder = run.settings, run.data, run.development, run.encoder
    before, pairs = run.measure(encoder, measure)
    curves = {"before": run.pool_curve(encoder, measure)}
    if before is not None and run.choice.collection is None:
        run.emit(Evaluated(0, before.ndcg, before.low, before.high, len(before.per_query)))
    with fast_dropout_on_cpu(encoder.model):
        seconds = run.train(origin, record)
    remember(encoder.model, run.loss.targets.dimensions)
    trained = Encoder(encoder.model, settings.output)
    if is_first_process():
        save_model(trained, settings, run.loss.scorer)
    after, pairs_after = run.measure(trained, measure)
    curves = {when: curve for when, curve in (*curves.items(), ("after", run.pool_curve(trained, measure))) if curve}
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
        noise=run.loss.targets.noise,
        kept=run.kept,
        measured=run.choice.measured,
        chosen_on="" if run.choice.collection is None else run.choice.collection.name,
        curves=curves,
        encoder=trained,
    )
    if is_first_process():
        save_report(report)
    run.emit(Saved(run.steps_done, settings.output))
    run.emit(Finished(run.steps_done, report.reason))
    return report


def _p_value(before: Score, after: Score) -> float:
    values = [[score.per_query[name] for name in before.per_query] for score in (before, after)]
    return p_value(values[0], values[1], "randomization")
