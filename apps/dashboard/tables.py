"""What the dashboard shows, as tables: the leaderboard, what differs between runs, and questions of two runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from engine.errors import CorruptDataError
from engine.statistics import paired
from workbench.runs.record import Run


def per_question(runs: Sequence[Run], metric: str) -> tuple[dict[str, dict[str, float]], list[str]]:
    """What each run scored for each question, as far as the runs can be read.

    Args:
        runs: Finished runs.
        metric: Runs without it are left out.

    Returns:
        Id of a run -> query -> value; and a sentence for each run that is damaged.
    """
    values, problems = {}, []
    for run in (run for run in runs if metric in run.mean):
        try:
            values[run.id] = run.per_query(metric)
        except CorruptDataError as error:
            problems.append(str(error))
    return values, problems


def leaderboard(
    runs: Sequence[Run], values: Mapping[str, Mapping[str, float]], metric: str, baseline: Run | None
) -> pd.DataFrame:
    """Finished runs, the best first.

    Args:
        runs: Finished runs; those without values are left out.
        values: What `per_question` gave.
        metric: To sort by.
        baseline: Differences are paired with this one by question; None leaves them out.

    Returns:
        One row a run that computed the metric: name, mean, interval, difference with its interval, and id.
    """
    rows = []
    reference = values.get(baseline.id) if baseline is not None else None
    for run in (run for run in runs if run.id in values):
        interval = run.intervals[metric]
        row: dict[str, Any] = {
            "run": short(run), metric: interval.mean, "low": interval.low, "high": interval.high,
            **{name: value for name, value in run.mean.items() if name != metric},
        }  # fmt: skip
        if reference is not None:
            own = values[run.id]
            shared = [query for query in own if query in reference]
            if shared and run.id != (baseline.id if baseline else None):
                difference = paired(reference, {query: own[query] for query in shared})
                row |= {"difference": difference.mean, "real": difference.excludes_zero}
        row |= {
            "ms": run.record.get("latency_ms", {}).get("p50"),
            "MB": (run.record.get("sizes", {}).get("bytes") or 0) / 1e6,
        }
        rows.append({**row, "started": run.created[:16].replace("T", " "), "id": run.id})
    table = pd.DataFrame(rows)
    if not len(table):
        return table
    last = [name for name in ("ms", "MB", "started", "id") if name in table]
    table = table.reindex(columns=[name for name in table if name not in last] + last)
    return table.sort_values([metric, "id"], ascending=[False, True], ignore_index=True)


def short(run: Run) -> str:
    """A run's name without that of its collection, which the page says once."""
    collection = str(run.record.get("collection", {}).get("name", ""))
    return run.name.removeprefix(f"{collection}, ") or run.name


def traits(run: Run) -> dict[str, str]:
    """What runs are filtered by: model, index, pooling, bits and scorer, as text."""
    experiment = run.record.get("experiment", {})
    bits = experiment.get("settings", {}).get("bits", "")
    return {
        "model": str(experiment.get("model", "")), "index": str(experiment.get("index", "")),
        "pool factor": str(experiment.get("pool_factor", "")), "pool method": str(experiment.get("pool_method", "")),
        "pool budget": str(experiment.get("pool", "")), "dimensions": str(experiment.get("dim") or "all"),
        "bits": str(bits) if bits != "" else "default", "scorer": str(experiment.get("scorer", "")),
    }  # fmt: skip


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as one level of dotted names."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + str(name)] = str(value)
    return found


def differing(runs: Sequence[Run]) -> pd.DataFrame:
    """Settings of several runs side by side, only those that differ.

    Args:
        runs: Two or more.

    Returns:
        One row a setting, one column a run.
    """
    columns = {f"{run.name} ({run.id[:8]})": flat(run.record.get("experiment", {})) for run in runs}
    names = sorted({name for column in columns.values() for name in column})
    kept = [name for name in names if len({column.get(name) for column in columns.values()}) > 1]
    return pd.DataFrame({title: [column.get(name, "") for name in kept] for title, column in columns.items()}, kept)


def by_question(before: Run, after: Run, metric: str, texts: Mapping[str, str]) -> pd.DataFrame:
    """The questions that two runs share.

    Args:
        before: A run.
        after: Another.
        metric: A metric that both computed.
        texts: Query id -> text, as far as known.

    Returns:
        Query, question, both values and the difference; largest loss first.
    """
    first, second = before.per_query(metric), after.per_query(metric)
    rows = [
        {"query": name, "question": texts.get(name, name), "before": first[name], "after": second[name],
         "difference": second[name] - first[name]}
        for name in first if name in second
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["query", "question", "before", "after", "difference"])
    return table.sort_values(["difference", "query"], ignore_index=True)
