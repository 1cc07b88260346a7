"""Seed noise: how much a number moves when nothing changes but the seed, and whether a difference is larger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import InputError
from workbench.experiments.experiment import Experiment
from workbench.runs.record import Run
from workbench.sweep import OnRun, sweep


@dataclass(frozen=True)
class SeedNoise:
    """One experiment under several seeds.

    Args:
        metric: What was measured.
        values: Seed -> average over the queries.
        runs: The runs.
    """

    metric: str
    values: dict[int, float]
    runs: tuple[Run, ...]

    @property
    def deviation(self) -> float:
        """Standard deviation over the seeds."""
        return float(np.std(list(self.values.values()), ddof=1))

    @property
    def spread(self) -> float:
        """Largest minus smallest."""
        return max(self.values.values()) - min(self.values.values())

    def exceeded_by(self, difference: float) -> bool:
        """Whether a difference between two systems is larger than any that seeds alone made."""
        return abs(difference) > self.spread

    def __str__(self) -> str:
        return (
            f"{self.metric} over {len(self.values)} seeds: {min(self.values.values()):.4f} to "
            f"{max(self.values.values()):.4f}, standard deviation {self.deviation:.4f}."
        )


def seed_noise(
    experiment: Experiment,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    metric: str | None = None,
    on_run: OnRun | None = None,
    processes: int | None = None,
) -> SeedNoise:
    """Run an experiment under several seeds.

    Args:
        experiment: Its own seed is replaced; a `seed` in its settings would hide them and is refused.
        seeds: Two or more, all different.
        metric: One of the experiment's; its first when None.
        on_run: See `sweep`.
        processes: See `sweep`.

    Returns:
        The noise.

    Raises:
        InputError: fewer than two seeds, a fixed seed in the settings, or a metric that is not the experiment's.
    """
    chosen = metric or experiment.metrics[0]
    if chosen not in experiment.metrics:
        raise InputError(f"The experiment has no metric {chosen!r}: it has {', '.join(experiment.metrics)}.")
    if len(set(seeds)) < 2:
        raise InputError(f"Expected two different seeds or more, got {list(seeds)}: add one.")
    if "seed" in experiment.settings:
        raise InputError("The settings of the index fix its seed: remove it from the settings.")
    runs = sweep(experiment, {"seed": list(dict.fromkeys(seeds))}, on_run, processes=processes)
    return SeedNoise(chosen, {run.experiment.seed: run.mean[chosen] for run in runs}, tuple(runs))
