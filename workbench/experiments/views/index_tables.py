"""A comparison of indexes as a person reads it: what each finds, how fast, what it takes, with which settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.indexes import changed_settings
from engine.metrics import metric_name
from workbench.experiments.plan import format_spec
from workbench.experiments.views.indexes import IndexRow
from workbench.exports import markdown_table


@dataclass(frozen=True)
class Table:
    """A table of strings.

    Args:
        title: What it shows.
        columns: Heads; a line break where a narrow screen may break.
        rows: One tuple of cells a row.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def to_markdown(self) -> str:
        """The table in Markdown, without its title; no cell has a line break."""
        head = [column.replace("\n@", "@").replace("\n", " ") for column in self.columns]
        return markdown_table(head, self.rows).rstrip()


def found(records: Sequence[IndexRow]) -> Table:
    """What each index finds, and how long a question takes."""
    metrics = list(dict.fromkeys(name for record in records for name in record.metrics))
    columns = ("index", "R@10", "R@100", *(metric_name(m).replace("@", "\n@") for m in metrics), "p50\nms", "p95\nms",
               "p99\nms")  # fmt: skip
    rows = tuple(
        (
            record.name.replace(", ", ",\n"), share(record.recall_10), share(record.recall_100),
            *(share(record.metrics.get(metric)) for metric in metrics),
            number(record.p50_ms), number(record.p95_ms), number(record.p99_ms),
        )
        for record in records
        if not record.error
    )  # fmt: skip
    return Table(heading(records[0]), columns, rows)


def taken(records: Sequence[IndexRow]) -> Table:
    """What each index takes: throughput, build, memory, bytes, and the same at a million documents."""
    columns = ("index", "queries\na second", "build\ns", "memory\nMB", "bytes a\ntoken", "GB at 1 M\ndocuments",
               "hours to\nbuild 1 M")  # fmt: skip
    rows = []
    for record in records:
        if record.error:
            continue
        again = record.point != "as given"  # the same build
        million = {} if again else record.at_a_million
        memory = None if again or record.peak_memory_bytes is None else record.peak_memory_bytes / 1e6
        rows.append(
            (
                record.name.replace(", ", ",\n"), number(record.queries_per_second),
                "" if again else number(record.build_seconds), number(memory),
                "" if again else number(record.bytes_per_token),
                number(million["bytes"] / 1e9 if million else None),
                number(million["build_seconds"] / 3600 if million else None),
            )
        )  # fmt: skip
    return Table("What they take", columns, tuple(rows))


def heading(record: IndexRow) -> str:
    """What all records of a comparison share, in a line."""
    return (
        f"{record.collection}: {record.documents:,} documents, {record.tokens:,} vectors of {record.dim} dimensions, "
        f"{record.queries:,} questions, k = {record.k}, {record.threads} threads"
    )


def remarks(records: Sequence[IndexRow]) -> list[str]:
    """A line a record: settings that are not defaults, what searches did beyond them, why one has no numbers."""
    lines = []
    for record in records:
        if record.error:
            lines.append(f"{record.name}: {record.error}")
            continue
        spec = format_spec(record.kind, changed_settings(record.kind, record.settings))
        settings = "default settings" if spec == record.kind else spec.partition(":")[2]
        lines.append("; ".join([f"{record.name}: {settings}", *record.notes]))
    return lines


def as_markdown(records: Sequence[IndexRow]) -> str:
    """Both tables and the remarks in Markdown."""
    parts = [f"{heading(records[0])}."] if records else []
    if records:
        parts += [found(records).to_markdown(), taken(records).to_markdown()]
    parts.append("\n".join(f"- {line}" for line in remarks(records)))
    return "\n\n".join(parts)


def share(value: float | None) -> str:
    """A share or a metric with three decimals; nothing for None."""
    return "" if value is None else f"{value:.3f}"


def number(value: float | None) -> str:
    """A measured number in about three digits; nothing for None."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
