"""A comparison of systems as a person reads it: quality, time and bytes, who wins where, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import InputError
from engine.metrics import metric_name
from workbench.experiments.views.comparison import Comparison, Pair, compare
from workbench.experiments.views.index_tables import Table, number
from workbench.experiments.views.pareto import pareto_front
from workbench.runs.record import Run
from workbench.systems.text import late, parse_system
from workbench.systems.worth import worth


@dataclass(frozen=True, eq=False)
class SystemRow:
    """One system of a comparison.

    Args:
        text: The one text that stands for it.
        run: What was measured; None where nothing was.
        error: Why nothing was measured, or empty.
    """

    text: str
    run: Run | None
    error: str = ""

    @property
    def name(self) -> str:
        """The text."""
        return self.text

    @property
    def per_query(self) -> dict[str, dict[str, float]]:
        """Metric -> {query: value}; empty where nothing was measured."""
        return {} if self.run is None else {metric: self.run.per_query(metric) for metric in self.run.judged_metrics}

    @property
    def p50_ms(self) -> float | None:
        """Median milliseconds of a question, without encoding it."""
        return None if self.run is None else self.run.p50_ms

    @property
    def bytes(self) -> int | None:
        """Of all that a search reads."""
        return None if self.run is None else self.run.bytes

    @property
    def late(self) -> bool:
        """Whether it scores token vectors somewhere."""
        return late(parse_system(self.text))

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it: metrics by name, times, bytes, and a stage each."""
        head = {"name": self.text, "late": self.late, "error": self.error}
        if self.run is None:
            return head
        record, intervals = self.run.record, self.run.intervals
        return head | {
            "run": self.run.id, **self.run.mean,
            "intervals": {metric: [entry.low, entry.high] for metric, entry in intervals.items()},
            "p50_ms": record["latency_ms"]["p50"], "p95_ms": record["latency_ms"]["p95"], "bytes": self.run.bytes,
            "build_s": record["costs"]["build_s"], "stages": self.run.stages, "notes": record["search_notes"],
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class SystemComparison:
    """Several systems on one collection.

    Args:
        collection: Its name.
        documents: How many it has.
        queries: Query id -> text.
        rows: The systems in the order of the comparison.
        metric: What decides; empty without judgements.
        tests: Every pair on every metric; None where fewer than two were measured, or without judgements.
        answer: Whether late interaction is worth it here, in a sentence with its uncertainty.
        frontier: Names of the systems that no other one beats in both quality and time.
        command: Repeats the comparison; empty for vectors that only exist in memory.
    """

    collection: str
    documents: int
    queries: Mapping[str, str]
    rows: tuple[SystemRow, ...]
    metric: str
    tests: Comparison | None
    answer: str
    frontier: tuple[str, ...] = ()
    command: str = ""

    @property
    def measured(self) -> dict[str, Run]:
        """Text -> run of the systems that were measured."""
        return {row.text: row.run for row in self.rows if row.run is not None}

    def pair(self, first: str, second: str) -> Pair:
        """Two systems on the metric that decides, as `second` against `first`.

        Raises:
            InputError: there is no such pair.
        """
        if self.tests is None:
            raise InputError("Two systems are compared by judgements, and there are none, or fewer systems: add some.")
        return self.tests.pair(first, second, self.metric)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON has it."""
        pairs = [] if self.tests is None else [
            {
                "first": pair.first, "second": pair.second, "metric": pair.metric, "difference": pair.difference.mean,
                "low": pair.difference.low, "high": pair.difference.high, "p": pair.p_corrected,
                "first_wins": list(pair.losses), "second_wins": list(pair.wins), "overlap": pair.overlap,
            }
            for pair in self.tests.pairs
        ]  # fmt: skip
        return {
            "collection": self.collection, "documents": self.documents, "queries": len(self.queries),
            "metric": self.metric, "answer": self.answer, "systems": [row.to_dict() for row in self.rows],
            "frontier": list(self.frontier), "pairs": pairs, "command": self.command,
        }  # fmt: skip


def system_comparison(
    collection: str, documents: int, queries: Mapping[str, str], rows: Sequence[SystemRow], metrics: Sequence[str],
    command: str = "",
) -> SystemComparison:  # fmt: skip
    """Put a comparison together from what was measured.

    Args:
        collection: Its name.
        documents: How many it has.
        queries: Query id -> text.
        rows: The systems.
        metrics: Against judgements, the first decides; none without judgements.
        command: Repeats it.

    Returns:
        The comparison.
    """
    measured = {row.text: row.run for row in rows if row.run is not None}
    tests = None
    if metrics and len(measured) > 1:
        tests = compare(*measured.values(), metrics=list(metrics), names=list(measured))
    metric = metrics[0] if metrics else ""
    return SystemComparison(
        collection, documents, queries, tuple(rows), metric, tests, answer(rows, metric),
        frontier(measured, metric) if metric else (), command,
    )  # fmt: skip


def frontier(measured: Mapping[str, Run], metric: str) -> tuple[str, ...]:
    """Names of the systems that no other one beats in both quality and time, fastest first."""
    names = sorted(measured)
    front = pareto_front([measured[name].p50_ms for name in names], [measured[name].mean[metric] for name in names])
    return tuple(names[i] for i in front)


def answer(rows: Sequence[SystemRow], metric: str) -> str:
    """Whether late interaction is worth it here, in words with their uncertainty, and what a last stage adds."""
    if not metric:
        return "Without judgements nothing says which system finds more: judge some questions, then compare again."
    found = worth(rows, metric)
    if found is None:
        return (
            "Compare a system with late interaction and one without, such as exact and bm25 + single, to see its worth."
        )
    return str(found)


def systems_table(found: SystemComparison) -> Table:
    """Quality with intervals, milliseconds, bytes and build time, a row a system."""
    shown = [row for row in found.rows if row.run is not None]
    metrics = list(shown[0].run.judged_metrics) if shown and shown[0].run is not None else []
    columns = ("system", *(f"{metric_name(m)} (95%)".replace("@", "\n@") for m in metrics), "p50\nms", "p95\nms", "MB",
               "build\ns")  # fmt: skip
    cells = []
    for row in shown:
        assert row.run is not None
        times, build = row.run.record["latency_ms"], row.run.record["costs"]["build_s"]
        cells.append((
            row.text.replace(" > ", "\n> "), *(str(row.run.intervals[m]) for m in metrics), number(times["p50"]),
            number(times["p95"]), number((row.run.bytes or 0) / 1e6), number(build),
        ))  # fmt: skip
    title = f"{found.collection}: {found.documents:,} documents, {len(found.queries):,} questions"
    return Table(title, columns, tuple(cells))


def stages_table(found: SystemComparison) -> Table:
    """What each stage takes and sends on, medians of single questions."""
    columns = ("stage", "documents\nin", "out", "p50\nms", "MB")
    rows = []
    for row in found.rows:
        if row.run is None or len(row.run.stages) < 2:
            continue
        rows.append((row.text, "", "", "", ""))
        for stage in row.run.stages:
            rows.append((f"  {stage['stage']}", number(stage["entered"]), number(stage["sent"]),
                         number(stage["p50_ms"]), number(stage["bytes"] / 1e6)))  # fmt: skip
    return Table("What stages take and send on", columns, tuple(rows))


def pairs_table(found: SystemComparison) -> Table:
    """Differences of every pair on the metric that decides, and how many questions each of the two wins."""
    columns = ("second against first", "difference (95%)", "corrected\np", "second\nwins", "first\nwins")
    rows = tuple(
        (f"{pair.second}\nagainst {pair.first}", pair.difference.signed, f"{pair.p_corrected:.3g}",
         str(len(pair.wins)), str(len(pair.losses)))
        for pair in (found.tests.pairs if found.tests is not None else ())
        if pair.metric == found.metric
    )  # fmt: skip
    return Table(f"Two by two, {metric_name(found.metric)}", columns, rows)


def as_markdown(found: SystemComparison) -> str:
    """The answer and the tables in Markdown."""
    parts = [found.answer]
    for table in (systems_table(found), stages_table(found)):
        if table.rows:
            parts.append(f"{table.title}.\n\n{table.to_markdown()}")
    return "\n\n".join(parts)
