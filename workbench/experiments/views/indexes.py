"""A comparison of indexes: runs as rows of a table, with what each costs and finds, and what changed between two."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import InputError, NotFoundError
from engine.storage import replace_text
from workbench.experiments.experiment import Experiment
from workbench.experiments.prepare import TRUTH_DEPTH, Prepared
from workbench.runs.record import Run

MILLION = 1_000_000
GIVEN, MATCHED = "as given", "matched"


@dataclass(frozen=True, eq=False)
class IndexRow:
    """One run of a comparison, flat, as JSON and tables hold it; its values are read like attributes.

    Args:
        values: What was measured, by name.

    Attributes:
        run: Name of the run; empty if it failed.
        kind: Of index.
        point: "as given", or "matched": with search settings that reach `target`.
        settings: All of them, defaults too.
        collection, documents, tokens, dim, queries, k: What was measured on; `tokens` are vectors in the index.
        target: Share of the exact results (the first k, at most 100) that a matched point has to reach.
        recall_10, recall_100: Share of the ten or hundred best documents of exact MaxSim that are among as many found
            (of k, when k is less); None if it failed.
        metrics: Metric against judgements -> mean, such as "ndcg@10"; empty without judgements.
        per_query: Metric -> {query: value}.
        latencies_ms: Wall milliseconds of single queries, of the first 100.
        p50_ms, p95_ms, p99_ms: Their percentiles.
        queries_per_second: With the others handed over at once.
        build_seconds: Of adding all documents to an empty index.
        peak_memory_bytes: How far building and searching raised the resident memory of the index's own process.
        bytes, bytes_per_token: Of the files that a search reads.
        at_a_million: Estimated "bytes" and "build_seconds" of a million documents of this length, in proportion to
            documents; "p50_ms" for exact search only, where it is in proportion too.
        can, cannot: What it promises, and what not.
        versions, machine, threads: Where it was measured.
        dependency_defaults: Defaults of the library below, by name.
        command: Repeats the measurement; empty for vectors that only exist in memory.
        notes: What searches did beyond the settings, and what was left out.
        error: Why nothing was measured, or empty.
    """

    values: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        if name == "values" or name not in self.values:
            raise AttributeError(name)
        return self.values[name]

    @property
    def name(self) -> str:
        """Kind, and whether the point is at matched recall."""
        return self.values["kind"] if self.values["point"] == GIVEN else f"{self.values['kind']}, matched"


def index_row(run: Run, point: str = GIVEN, notes: Sequence[str] = (), **shared: Any) -> IndexRow:
    """A run as a row.

    Args:
        run: Finished.
        point: "as given" or "matched".
        notes: Beside those of the run.
        shared: What the whole comparison shares: "k", "target", "command".

    Returns:
        The row.
    """
    record = run.record
    sizes, described, costs = record["sizes"], record["index"], record["costs"]
    elsewhere = described.get("elsewhere")
    judged = {metric: run.mean[metric] for metric in run.judged_metrics}
    more = [f"its bytes are on {elsewhere} and were not measured"] if elsewhere else []
    if not judged:
        more.append("without judgements there is no nDCG")
    values = {
        **_failed(run.experiment, point, sizes, record["collection"], **shared),
        "run": run.id, "k": record["depth"], "settings": run.settings, "queries": record["collection"]["queries"],
        "recall_10": run.found_exact(10), "recall_100": run.found_exact(TRUTH_DEPTH), "metrics": judged,
        "per_query": {metric: run.per_query(metric) for metric in judged}, "latencies_ms": list(run.latencies_ms),
        "queries_per_second": record["queries_per_second"], "build_seconds": costs["build_s"],
        "peak_memory_bytes": costs["peak_bytes"], "bytes": run.bytes, "can": described["can"],
        "cannot": described["cannot"], "versions": record["versions"], "machine": record["machine"],
        "threads": record["measured"]["threads"], "dependency_defaults": record["dependency_defaults"],
        "notes": [*notes, *record["search_notes"], *more], "error": "",
    }  # fmt: skip
    return IndexRow(derived(values))


def failed_row(experiment: Experiment, prepared: Prepared, error: str, point: str = GIVEN, **shared: Any) -> IndexRow:
    """An index that gave no numbers.

    Args:
        experiment: What was to be measured.
        prepared: On what.
        error: Why it was not.
        point: "as given" or "matched".
        shared: See `index_row`.

    Returns:
        The row.
    """
    sizes = {"documents": len(prepared.documents), "tokens": prepared.documents.n_tokens, "dim": prepared.documents.dim}
    values = _failed(experiment, point, sizes, prepared.collection.describe(), **shared)
    return IndexRow(derived({**values, "error": error}))


def _failed(
    experiment: Experiment, point: str, sizes: Mapping[str, Any], collection: Mapping[str, Any], **shared: Any
) -> dict[str, Any]:
    """Every name, with what is known before anything is measured."""
    return {
        "run": "", "kind": experiment.index, "point": point, "settings": experiment.index_settings,
        "collection": collection["name"], "documents": sizes["documents"], "tokens": sizes["tokens"],
        "dim": sizes["dim"], "queries": collection["queries"], "k": experiment.k, "target": 0.0, "recall_10": None,
        "recall_100": None, "metrics": {}, "per_query": {}, "latencies_ms": [], "queries_per_second": None,
        "build_seconds": None, "peak_memory_bytes": None, "bytes": None, "can": [], "cannot": [], "versions": {},
        "machine": {}, "threads": 0, "dependency_defaults": {}, "command": "", "notes": [], "error": "", **shared,
    }  # fmt: skip


def derived(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values with what follows from them: percentiles, bytes a token, the cost of a million documents."""
    times, size, build = values["latencies_ms"], values["bytes"], values["build_seconds"]
    p50, p95, p99 = np.percentile(times, [50, 95, 99]).tolist() if len(times) else (None, None, None)
    million: dict[str, float] = {}
    if size is not None and build is not None and values["documents"]:
        scale = MILLION / values["documents"]
        million = {"bytes": size * scale, "build_seconds": build * scale}
        if values["kind"] == "exact" and p50 is not None:
            million["p50_ms"] = p50 * scale
    each = size / values["tokens"] if size is not None and values["tokens"] else None
    return {**values, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "bytes_per_token": each, "at_a_million": million}


def differences(before: IndexRow, after: IndexRow) -> list[str]:
    """What may explain that two rows of one kind differ: settings, versions, and defaults of the library below.

    Args:
        before: A row.
        after: Another of the same kind.

    Returns:
        One sentence a difference.
    """
    found = []
    pairs = (
        ("Number of", _counts(before), _counts(after)),
        ("Setting", before.settings, after.settings),
        ("Version of", before.versions, after.versions),
        ("Default", before.dependency_defaults, after.dependency_defaults),
        ("Machine:", before.machine, after.machine),
    )
    for label, old, new in pairs:
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                found.append(f"{label} {name} changed from {old.get(name)!r} to {new.get(name)!r}.")
    return found


def _counts(row: IndexRow) -> dict[str, int]:
    return {name: row.values[name] for name in ("documents", "tokens", "dim", "queries", "k", "threads")}


def changes(before: Sequence[IndexRow], after: Sequence[IndexRow]) -> list[str]:
    """What may explain that numbers of two comparisons differ, index by index; nothing where nothing changed."""
    earlier = {row.name: row for row in before}
    found = []
    for row in after:
        if row.name in earlier:
            found += [f"{row.name}: {line}" for line in differences(earlier[row.name], row)]
    return found


def write_rows(rows: Sequence[IndexRow], path: str | Path) -> Path:
    """Write rows as JSON, for `read_rows`."""
    replace_text(Path(path), json.dumps([dict(row.values) for row in rows], indent=1, ensure_ascii=False) + "\n")
    return Path(path)


def read_rows(path: str | Path) -> list[IndexRow]:
    """Read what `write_rows` or `workbench compare-indexes --output` wrote.

    Raises:
        NotFoundError: there is no such file.
        InputError: it holds no comparison.
    """
    try:
        rows = json.loads(Path(path).read_text(encoding="utf-8"))
        needed = ("kind", "point", "settings", "collection", "documents", "k", "notes", "error")
        if any(name not in row for row in rows for name in needed):
            raise ValueError("a name is missing")
        return [IndexRow(derived({"run": "", **row})) for row in rows]
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {path}: give one that compare-indexes --output wrote.") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} holds no comparison of indexes ({error}): write it with --output.") from None
