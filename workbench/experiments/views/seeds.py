"""Seed noise: how much a number moves when nothing changes but the seed, and whether a difference is larger."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.runs.record import Run


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
