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


def as_runs(settings: TrainSettings, collection: str = "") -> Measure:
    """How `fine_tune` measures before and after, so that both are found among the runs, with intervals and tests.

    It is what `workbench evaluate --index exact` does with the scorer of the training, in float32 as the model is
    trained; a scorer whose weights come from this training is MaxSim before it.

    Args:
        settings: Of the training.
        collection: What `load_collection` takes for the development collection, where something does.

    Returns:
        What `fine_tune` takes as `measure`; each score names its run.
    """

    def measure(encoder: Encoder, development: Collection) -> Score:
        wanted = Experiment(
            collection=collection or development.name or "collection", model=encoder.name, dtype=encoder.dtype,
            scorer=_scorer(settings.scorer, encoder.name),
        )  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="training-") as scratch:
            found = run(wanted, collection=development, encoder=encoder, scratch=Path(scratch))
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
