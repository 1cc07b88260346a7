"""How far the build of an index is, told on the way by the kinds that know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BuildProgress:
    """How far a build is.

    Args:
        stage: "k-means", "encode" or "inverted lists" of PLAID, "graph" of HNSW.
        done: Steps of the stage that are done: passes, tokens, or entries.
        total: How many there are.
        share: Share of the whole build that is done, by cost.
        seconds_left: What the rest takes at the pace so far.
    """

    stage: str
    done: int
    total: int
    share: float
    seconds_left: float
