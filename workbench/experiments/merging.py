"""What a model gains on new text and keeps of old text at every share between its base and its training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine import Collection
from engine.errors import InputError
from engine.statistics import Interval, p_value, paired
from engine.training.development import Score
from engine.training.interpolation import Interpolation, check_shares
from engine.training.settings import TrainSettings
from workbench.experiments.training import as_runs

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class MergePoint:
    """One share, measured.

    Args:
        share: Of the way from the base to the trained model.
        scores: Collection -> nDCG@10 with its interval, and the name of its run.
        differences: Collection -> paired difference to the base, with its interval.
        p_values: Collection -> chance of such a difference where there is none, by a randomisation test.
    """

    share: float
    scores: dict[str, Score]
    differences: dict[str, Interval]
    p_values: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The values as JSON has them."""
        collections = {
            name: {
                "ndcg@10": score.ndcg, "low": score.low, "high": score.high, "run": score.run,
                "difference": list(self.differences[name]), "p_value": self.p_values[name],
            }
            for name, score in self.scores.items()
        }  # fmt: skip
        return {"share": self.share, "collections": collections}


def merge_curve(
    between: Interpolation,
    collections: Sequence[Collection],
    shares: Sequence[float] = SHARES,
    on_point: Callable[[int, int], None] | None = None,
) -> list[MergePoint]:
    """Measure a model at several shares, each a run as `as_runs` makes them; the base is always among them.

    Args:
        between: The two models.
        collections: With judgements: the new domain, and what the base knew before.
        shares: From 0 to 1.
        on_point: Called with (points done, points in all).

    Returns:
        One point a share, ascending.

    Raises:
        InputError: a share outside 0 to 1, or two collections of one name.
    """
    wanted, points = check_shares([0.0, *shares]), []
    names = [collection.name for collection in collections]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"Expected collections of different names, got {twice!r} twice: rename or leave one out.")
    first: dict[str, Score] = {}
    with between.same_backbone():
        for number, share in enumerate(wanted, start=1):
            points.append(_point(between, collections, share, first))
            if on_point is not None:
                on_point(number, len(wanted))
    return points


def _point(
    between: Interpolation, collections: Sequence[Collection], share: float, first: dict[str, Score]
) -> MergePoint:
    """One share measured; the first one fills `first`."""
    encoder, measure = between.at(share), as_runs(TrainSettings())
    scores = {collection.name: measure(encoder, collection, 1) for collection in collections}
    first.update({name: score for name, score in scores.items() if name not in first})
    values = {name: (list(first[name].per_query.values()), list(scores[name].per_query.values())) for name in scores}
    return MergePoint(
        share,
        scores,
        {name: paired(first[name].per_query, score.per_query) for name, score in scores.items()},
        {name: p_value(*pair, "randomization") for name, pair in values.items()},
    )
