"""Rankings of other programs: a TREC run file scored like a run, to stand beside the runs that are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from engine import Collection, Ranking, evaluate
from engine.collection import require_judgements
from engine.errors import InputError
from engine.evaluation import SameIds
from engine.metrics import DEFAULT_METRICS, check_metrics, same_metric
from engine.reading.trec import read_run
from engine.statistics import bootstrap
from workbench.cache import content_key
from workbench.runs.record import Run

SUFFIXES = (".trec", ".run", ".txt")


@dataclass(frozen=True, eq=False)
class ForeignRun(Run):
    """A run that another program made: in memory, not among those that are kept.

    Args:
        values: Metric -> {query: value}.
        found: Query -> ranking.
    """

    values: dict[str, dict[str, float]] = field(default_factory=dict)
    found: dict[str, Ranking] = field(default_factory=dict)

    def check(self) -> None:
        """All of it was read already."""

    def per_query(self, metric: str) -> dict[str, float]:
        """Query id -> value; see `Run.per_query`."""
        known = same_metric(metric, self.values)
        if known is None:
            raise InputError(f"{self.path} was not scored by {metric!r}, but by {', '.join(self.values)}: name these.")
        return self.values[known]

    def rankings(self) -> dict[str, Ranking]:
        """Query id -> its ranking."""
        return self.found


def read_foreign(
    path: str | Path, collection: Collection, metrics: Sequence[str] = DEFAULT_METRICS, same_ids: SameIds = "auto",
    seed: int = 0, source: str = "",
) -> ForeignRun:  # fmt: skip
    """Score the rankings of a TREC run file.

    Args:
        path: The file.
        collection: Its judgements are used; queries that the file does not answer count as 0.
        metrics: Names of metrics.
        same_ids: See `engine.evaluate`.
        seed: Of the intervals.
        source: Name of the collection for `load_collection`.

    Returns:
        The run; its warnings say what was left out.

    Raises:
        InputError: no run file, none of its queries is judged, or an unknown metric.
        NotFoundError: no such file.
    """
    names = check_metrics(metrics)
    require_judgements(collection)
    given, judged = read_run(path), collection.judged_queries
    rankings = {query: given.get(query, Ranking([], np.empty(0, np.float32))) for query in judged}
    missing, others = [q for q in judged if q not in given], [q for q in given if q not in rankings]
    if len(missing) == len(judged):
        raise InputError(
            f"{path} answers none of the {len(judged)} judged queries of {collection.name!r}: its first query is "
            f"{next(iter(given))!r}; give the run that belongs to it."
        )
    notes = (
        [f"{len(missing)} judged queries are not in {path} and count as 0, first {missing[0]!r}."] if missing else []
    )
    if others:
        notes.append(f"{len(others)} queries of {path} have no judgements and are left out, first {others[0]!r}.")
    scores = evaluate(rankings, collection, names, same_ids)
    record = {
        "id": Path(path).stem,
        "name": Path(path).stem,
        "created": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "experiment": {"collection": source or collection.name, "metrics": names},
        "collection": collection.describe() | {"judgements_fingerprint": content_key(collection.qrels)},
        "scores": {name: bootstrap(list(v.values()), seed)._asdict() for name, v in scores.per_query.items()},
        "judged": len(judged),
        "warnings": [*notes, *scores.notes],
    }
    return ForeignRun(Path(path).stem, Path(path), "complete", record, values=scores.per_query, found=rankings)
