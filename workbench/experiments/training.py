"""Training measured as everything else is: the base and the trained model each give a run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from engine import Collection, Encoder
from engine.errors import InputError
from engine.maxsim import scorers
from engine.training import Report, TrainingData, TrainSettings, document_pairs
from engine.training.development import METRIC, Measure, Score
from engine.training.validation import judged_apart
from workbench.embedded.train_questions import train_questions
from workbench.experiments.execute import run
from workbench.experiments.experiment import INDEX, Experiment
from workbench.experiments.prepare import Prepared, prepare


def as_runs(settings: TrainSettings, collection: str = "") -> Measure:
    """How `fine_tune` measures before and after, so that both are found among the runs, with intervals and tests.

    It is what `workbench evaluate --index exact` does with the scorer of the training, in float32 as the model is
    trained, and what `workbench pool-study` does at the pool factors of the training; a scorer whose weights come from
    this training is MaxSim before it.

    Args:
        settings: Of the training.
        collection: What `load_collection` takes for the development collection, where something does.

    Returns:
        What `fine_tune` takes as `measure`; each score names its run.
    """
    prepared: list[Prepared] = []  # the last one, whose vectors and linkage all factors share

    def measure(encoder: Encoder, development: Collection, factor: float) -> Score:
        if not prepared or prepared[0].encoder is not encoder or prepared[0].collection is not development:
            prepared[:] = [prepare(development, encoder)]
        scorer = _scorer(settings.scorer, encoder.name)
        pooled = factor != 1 and scorer != INDEX  # a scorer reranks on all vectors, a system on those that it holds
        wanted = Experiment(
            collection=collection or development.name or "collection", model=encoder.name, dtype=encoder.dtype,
            pool_factor=factor, scorer=INDEX if pooled else scorer, system=f"exact > {scorer}" if pooled else "",
        )  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="training-") as scratch:
            found = run(wanted, prepared=prepared[0], scratch=Path(scratch))
        return Score(*found.intervals[METRIC], found.per_query(METRIC), found.id)

    return measure


def _scorer(name: str, model: str) -> str:
    """What an experiment calls the scorer, where the model has the weights for it."""
    if name == scorers.DEFAULT:
        return INDEX
    try:
        scorers.get(name, model)
    except InputError:
        return INDEX
    return name


def own_texts(
    collection: Collection | None, settings: TrainSettings
) -> tuple[TrainingData, Collection | None, Collection]:
    """Rows to train on where nobody gives pairs: a collection's training questions, else its own texts.

    Args:
        collection: With judgements.
        settings: Of the training.

    Returns:
        The rows, the part of the collection whose questions choose the step (None where rows do), and the part that
        measures.

    Raises:
        InputError: no collection.
    """
    if collection is None:
        raise InputError("There is nothing to train on: give pairs with --data, or texts with --collection.")
    if (questions := train_questions(collection)) is not None:
        return questions, None, collection
    choosing, measuring = judged_apart(collection, settings.seed) if settings.validation else (None, collection)
    return document_pairs(collection), choosing, measuring


def values_of(done: Report) -> dict[str, Any]:
    """What a training came to, as JSON values."""
    record, scores = done.as_dict(), done.scores
    same = ("reason", "steps", "seconds", "losses", "p_value", "better", "worse", "kept", "measured", "counts",
            "settings", "versions")  # fmt: skip
    return {
        "folder": done.folder,
        **{name: record[name] for name in same},
        "ndcg@10": {name: scores[name].ndcg if name in scores else None for name in ("before", "after")},
        "runs": {name: score.run for name, score in scores.items()},
        "pool_factors": {
            when: {f"{factor:g}": score.ndcg for factor, score in curve.items()} for when, curve in done.curves.items()
        },
    }
