"""Training measured as everything else is: the base and the trained model each give a run."""

from __future__ import annotations

import tempfile
from pathlib import Path

from engine import Collection, Encoder
from engine.errors import InputError
from engine.maxsim import scorers
from engine.training.development import METRIC, Measure, Score
from engine.training.settings import TrainSettings
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
