"""One way of searching, tried with cheaper search settings first: a part of `recommend` that stands by itself."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from workbench.experiments import plan
from workbench.experiments.execute import run
from workbench.experiments.experiment import Experiment
from workbench.experiments.prepare import Loader, Prepared
from workbench.experiments.views.recommendation import Option
from workbench.runs.record import Run


@dataclass(frozen=True, eq=False)
class Climb:
    """One way of searching, to be tried with cheaper search settings first.

    Args:
        experiment: What is tried.
        exact: The run of exact search.
        metric: What quality is measured in.
        min_quality: Share of exact search's to reach.
    """

    experiment: Experiment
    exact: Run
    metric: str
    min_quality: float


def measured(experiment: Experiment) -> Run:
    """Run an experiment whose index is not kept for next time."""
    with tempfile.TemporaryDirectory(prefix="climb-") as name:
        return run(experiment, prepared=Loader()(experiment), scratch=Path(name))


def climb(asked: Climb, prepared: Prepared | None = None, scratch: Path | None = None) -> list[Option]:
    """Run an experiment up its ladder of search settings, to the first that keeps the quality.

    Args:
        asked: What is tried.
        prepared: Collection and vectors; None loads them.
        scratch: A folder for its indexes; None makes one.

    Returns:
        What was tried, in order.
    """
    ready, tried = prepared or Loader()(asked.experiment), []
    with tempfile.TemporaryDirectory(prefix="climb-") as name:
        for rung in plan.ladder(asked.experiment) or ({},):
            wanted = asked.experiment.with_(settings={**asked.experiment.settings, **rung})
            done = run(wanted, prepared=ready, scratch=scratch or Path(name))
            tried.append(Option(done, asked.exact, asked.metric))
            if tried[-1].quality >= asked.min_quality:
                break
    return tried
