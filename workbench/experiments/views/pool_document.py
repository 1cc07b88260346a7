"""The files of a pool-factor study: figures in light and dark, tables in Markdown, numbers as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import Collection, TokenEmbeddings
from engine.errors import InputError
from engine.metrics import metric_name
from engine.storage import replace_text
from workbench.experiments.views.pooling import PoolPoint, Trade, best_under, bytes_of_budget, front, trades
from workbench.experiments.views.question_groups import GroupPoint, by_document_length, by_query_type, group_curve
from workbench.exports import Strong, markdown_table

WIDTH = 640
THEMES = ("light", "dark")
METRIC, DEEP = "ndcg@10", "recall@100"
ABOUT = """`workbench pool-study --report FOLDER` writes this page: for each collection its pictures, then every
combination that was measured. MB are those of the files that a search reads, ms the median of a question; a
question got better or worse when it moved by more than .05; the difference is to factor 1 at 16 bits.
"""
PICTURES = {
    "curve": "what each pool factor changes",
    "front": "quality against the size of the index, for every factor and number of bits",
    "length": "what each factor changes for questions with short, middle and long relevant documents",
    "type": "what each factor changes for each type of question",
}


@dataclass(frozen=True, eq=False)
class Study:
    """What was measured on one collection.

    Args:
        collection: Its texts and judgements.
        documents: Its vectors before pooling.
        records: All that were measured, that of factor 1 at 16 bits first.
    """

    collection: Collection
    documents: TokenEmbeddings
    records: tuple[PoolPoint, ...]

    @property
    def model(self) -> str:
        """The name of the model that made them."""
        return self.records[0].model

    @property
    def curve(self) -> list[PoolPoint]:
        """The records of factors alone that are otherwise as the first is, factors rising."""
        alike = lambda record: (record.index, record.bits, record.method, record.dim)  # noqa: E731
        found = [record for record in self.records if alike(record) == alike(self.records[0]) and not record.pool]
        return sorted(found, key=lambda record: record.factor)

    def best_under(self, budget: str | None) -> PoolPoint | None:
        """The best record under a budget, as `bytes_of_budget` reads it; None where nothing fits, or without one."""
        if budget is None:
            return None
        return best_under(self.records, bytes_of_budget(budget, self.records[0].documents))

    def rows(self, budget: str | None = None) -> list[dict[str, Any]]:
        """Each record as JSON values; with a budget, whether it is the best under it."""
        best = self.best_under(budget)
        marked = lambda record: {} if budget is None else {"best_under_budget": record is best}  # noqa: E731
        return [numbers(record) | marked(record) for record in self.records]

    @property
    def groups(self) -> dict[str, dict[str, list[str]]]:
        """Ways to group the questions that leave at least two groups: by document length, by query type."""
        ways = {"length": by_document_length(self.collection, self.documents), "type": by_query_type(self.collection)}
        return {way: groups for way, groups in ways.items() if len(groups) > 1}


def write_report(studies: Sequence[Study], folder: str | Path) -> list[Path]:
    """Write figures, tables and numbers of a study of one or more collections.

    Args:
        studies: One a collection.
        folder: Created when absent; files of the same names are replaced.

    Returns:
        The files.

    Raises:
        InputError: the place cannot be written.
        MissingExtraError: pictures cannot be drawn here.
    """
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{target} cannot be created ({error.strerror}): choose another place.") from None
    written = [*_figures(studies, target), target / "results.md", target / "results.json"]
    replace_text(written[-2], results(studies))
    replace_text(written[-1], json.dumps([numbers(r) for study in studies for r in study.records], indent=0) + "\n")
    return written


def figure_of(studies: Sequence[Study], by_bytes: bool, budget: str | None = None) -> Any:
    """One figure of what was measured.

    Args:
        studies: At least one.
        by_bytes: Quality over bytes, for dimensions, budgets and models; else over the factors.
        budget: Marked among the bytes.

    Returns:
        A plotly figure.
    """
    from workbench import figures

    if by_bytes:
        most = None if budget is None else bytes_of_budget(budget, studies[0].records[0].documents)
        return figures.budget_curves([record for study in studies for record in study.records], most)
    if len(studies) > 1:
        return figures.group_curves(collections_curve(studies))
    return figures.pool_curve(studies[0].curve)


def _figures(studies: Sequence[Study], folder: Path) -> list[Path]:
    from workbench import figures

    drawn: dict[str | Path, Any] = {}
    for theme in THEMES:
        end = ".svg" if theme == "light" else "-dark.svg"
        if len(studies) > 1:
            title = f"What each pool factor changes on {len(studies)} collections"
            drawn[folder / f"collections{end}"] = figures.group_curves(collections_curve(studies), METRIC, title, theme)
        for study in studies:
            name = study.collection.name
            drawn[folder / f"{name}-curve{end}"] = figures.pool_curve(study.curve, theme=theme)
            drawn[folder / f"{name}-front{end}"] = figures.trade_off(study.records, theme=theme)
            for way, groups in study.groups.items():
                label = "document length" if way == "length" else "query type"
                points = group_curve(study.curve, groups)
                drawn[folder / f"{name}-{way}{end}"] = figures.group_curves(
                    points, METRIC, f"{name}: by {label}", theme
                )
    return figures.export_images(drawn, WIDTH)


def collections_curve(studies: Sequence[Study]) -> list[GroupPoint]:
    """The curve of each collection, as if it were a group of questions."""
    return [
        point
        for study in studies
        for point in group_curve(study.curve, {study.collection.name: study.collection.judged_queries})
    ]


def numbers(record: PoolPoint) -> dict[str, Any]:
    """A record without what grows with the questions, as JSON values."""
    return {
        "collection": record.collection, "method": record.method, "index": record.index, "bits": record.bits,
        "factor": "inf" if math.isinf(record.factor) else record.factor, "pool": record.pool, "dim": record.dim,
        "model": record.model, "run": record.run.id, "documents": record.documents,
        "queries": record.queries, "tokens": record.tokens, "bytes": record.bytes, "mean": record.mean,
        "interval": record.interval, "difference": record.difference, "better": len(record.better),
        "worse": len(record.worse), "latency_ms": round(record.latency_ms, 4), "pool_s": round(record.pool_s, 3),
        "build_s": round(record.build_s, 3),
    }  # fmt: skip


def results(studies: Sequence[Study]) -> str:
    """Every number of a study in Markdown, collection by collection."""
    parts = ["# Pool factors: every number\n", ABOUT]
    for study in studies:
        first = study.records[0]
        heading = f"{first.documents:,} documents, {first.tokens_full:,} vectors, {first.queries:,} judged questions"
        pictures = "\n\n".join(_picture(study.collection.name, what) for what in ("curve", "front", *study.groups))
        parts.append(f"## {study.collection.name}\n\n{heading}\n\n{pictures}\n\n{record_table(study.records)}")
        parts.append(f"### The joint front of factor and bits\n\n{front_table(study.records)}")
        if found := trades(study.records):
            parts.append(f"### Fewer vectors against fewer bits at equal bytes\n\n{trade_table(found)}")
        for way, groups in study.groups.items():
            label = "document length" if way == "length" else "query type"
            parts.append(f"### By {label}\n\n{group_table(group_curve(study.curve, groups))}")
    return "\n".join(parts)


def _picture(name: str, what: str) -> str:
    """One of the pictures of a collection, in the colours of the reader."""
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{name}-{what}-dark.svg">'
        f'<img src="{name}-{what}.svg" alt="{name}: {PICTURES[what]}" width="{WIDTH}"></picture>'
    )


def record_table(records: Sequence[PoolPoint]) -> str:
    """One row a record."""
    head = ("method", "index", "dim", "bits", "factor", "vectors", "MB", f"{metric_name(METRIC)} (95%)",
            metric_name(DEEP), "difference (95%)", "better", "worse", "ms")  # fmt: skip
    rows = [
        (
            record.method, record.index, record.dim, record.bits, record.label, f"{record.tokens:,}",
            f"{record.bytes / 1e6:.1f}",
            str(record.run.intervals[METRIC]),
            f"{record.mean[DEEP]:.3f}", record.difference.signed, len(record.better), len(record.worse),
            f"{record.latency_ms:.1f}",
        )
        for record in sorted(records, key=lambda r: (r.index, -r.dim, -r.bits, r.method, r.pool, r.factor))
    ]  # fmt: skip
    return markdown_table(head, rows)


def front_table(records: Sequence[PoolPoint]) -> str:
    """The combinations of factor and bits that no other beats, the smallest first."""
    head = ("index", "method", "dim", "bits", "factor", "MB", metric_name(METRIC), "difference (95%)")
    rows = [
        (
            r.index,
            r.method,
            r.dim,
            r.bits,
            r.label,
            f"{r.bytes / 1e6:.1f}",
            f"{r.mean[METRIC]:.3f}",
            r.difference.signed,
        )
        for r in front(records, METRIC)
    ]
    return markdown_table(head, rows)


def trade_table(found: Sequence[Trade]) -> str:
    """Each trade with the paired difference of its two sides."""
    head = ("fewer vectors", "MB", metric_name(METRIC), "fewer bits", "MB", metric_name(METRIC), "first minus second")
    rows = []
    for trade in found:
        first, second = trade.pooled, trade.fewer_bits
        rows.append(
            (
                f"factor {first.label} at {first.bits} bits", f"{first.bytes / 1e6:.1f}", f"{first.mean[METRIC]:.3f}",
                f"factor 1 at {second.bits} bits", f"{second.bytes / 1e6:.1f}", f"{second.mean[METRIC]:.3f}",
                trade.difference.signed,
            )
        )  # fmt: skip
    return markdown_table(head, rows)


def group_table(points: Sequence[GroupPoint]) -> str:
    """One row a group, one column a factor: the difference to factor 1, in bold where its interval excludes zero."""
    factors = sorted({point.factor for point in points if point.factor != 1})
    cells = {(point.group, point.factor): point for point in points}
    head = ("group", "questions", "factor 1", *("one" if math.isinf(f) else f"{f:g}" for f in factors))
    rows = []
    for group in dict.fromkeys(point.group for point in points):
        base = cells[group, 1.0]
        differences = [cells[group, factor].difference for factor in factors]
        shown = [Strong(f"{d.mean:+.3f}") if d.excludes_zero else f"{d.mean:+.3f}" for d in differences]
        rows.append((group, base.queries, f"{base.mean:.3f}", *shown))
    return markdown_table(head, rows)
