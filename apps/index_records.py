"""What the index page draws, as JSON values: one row a measured index."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from apps.plotting import drawn
from apps.text import visible
from engine.errors import InputError
from engine.indexes import changed_settings
from workbench.experiments.plan import format_spec
from workbench.experiments.views.indexes import IndexRow
from workbench.figures import index_frontier, qualities

BESIDE = "Measured beside a training on this machine: alone it takes less time."


def index_row(record: IndexRow, beside: bool = False) -> dict[str, Any]:
    """One measured index.

    Args:
        record: A row of a comparison.
        beside: Whether something else kept the machine busy meanwhile.

    Returns:
        Its numbers (None where nothing was measured), promises, settings and notes.
    """
    million = record.at_a_million
    return {
        "name": name_of(record),
        "kind": record.kind,
        "matched": record.point != "as given",
        "recall_10": record.recall_10,
        "recall_100": record.recall_100,
        "metrics": record.metrics,
        "p50": record.p50_ms,
        "p95": record.p95_ms,
        "p99": record.p99_ms,
        "latencies": np.round(np.percentile(record.latencies_ms, range(0, 101, 5)), 4).tolist()
        if record.latencies_ms
        else [],
        "per_second": record.queries_per_second,
        "build": record.build_seconds,
        "memory": record.peak_memory_bytes,
        "bytes": record.bytes,
        "per_token": record.bytes_per_token,
        "million_bytes": million.get("bytes"),
        "million_build": million.get("build_seconds"),
        "spec": visible(format_spec(record.kind, record.settings)),
        "can": list(record.can),
        "cannot": list(record.cannot),
        "defaults": {name: str(value) for name, value in record.dependency_defaults.items()},
        "notes": [*map(visible, record.notes), *([BESIDE] if beside else [])],
        "error": visible(record.error),
    }


def name_of(record: IndexRow) -> str:
    """What the page calls a record: two of one kind differ in their settings."""
    chosen = visible(format_spec(record.kind, changed_settings(record.kind, record.settings)))
    return chosen if record.point == "as given" else record.name


def frontiers(records: Sequence[IndexRow]) -> list[dict[str, str]]:
    """The frontier of a comparison so far, for each quality: its "name", its "label" and the "figure" to draw."""
    names, found = [name_of(record) for record in records], []
    for quality, label in qualities(records).items():
        with contextlib.suppress(InputError):  # no record has numbers of it yet
            figure = drawn(index_frontier(records, quality, names=names))
            found.append({"name": quality, "label": label, "figure": figure})
    return found


def conditions(record: IndexRow) -> dict[str, Any]:
    """What all rows of a comparison share.

    Args:
        record: Any of its records.

    Returns:
        Counts, threads, machine and versions.
    """
    return {
        "documents": record.documents, "tokens": record.tokens, "dim": record.dim, "queries": record.queries,
        "k": record.k, "target": record.target, "threads": record.threads, "command": visible(record.command),
        "machine": {name: str(value) for name, value in record.machine.items()}, "versions": dict(record.versions),
    }  # fmt: skip
