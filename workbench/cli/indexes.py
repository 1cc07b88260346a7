"""The commands that measure indexes: `compare-indexes`, `recommend`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from workbench.cli.options import (
    CollectionOption,
    JsonOption,
    KOption,
    ModelOption,
    OutputOption,
)
from workbench.cli.output import note, out, progress_bars, show_json, show_table

if TYPE_CHECKING:
    from workbench.experiments.views.indexes import IndexRecord


def compare_indexes(
    collection: CollectionOption = "embedded",
    model: ModelOption = "embedded",
    index: Annotated[
        list[str] | None, typer.Option("--index", help="Repeatable: plaid, or plaid:bits=2,n_probe=8.")
    ] = None,
    k: KOption = 100,
    matched: Annotated[
        float, typer.Option("--matched", help="Also tune each index to this share of exact results; 0 does not.")
    ] = 0.95,
    threads: Annotated[int | None, typer.Option("--threads", help="For every library; all if not given.")] = None,
    max_queries: Annotated[int | None, typer.Option("--max-queries", help="Ask only the first so many.")] = None,
    figure: Annotated[Path | None, typer.Option("--figure", help="Also draw it: an .html, .svg or .png file.")] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="A file of --output: say what changed since."),
    ] = None,
    as_json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Measure indexes on identical vectors: time, bytes, recall against exact MaxSim, quality against judgements.

    Ctrl-C stops; what was finished is kept and shown.

    Example: `workbench compare-indexes --collection ../scifact --index exact --index plaid --index hnsw`
    """
    from dataclasses import asdict

    from workbench import figures
    from workbench.compare_indexes import compare_indexes as compare
    from workbench.compare_indexes import default_indexes
    from workbench.experiments.views.indexes import parse_spec, read_records, write_records

    specs = [parse_spec(text) for text in index] if index else default_indexes()
    before = read_records(against) if against is not None else []
    if figure is not None:
        figures.check_place(figure)
    records = []
    try:
        with progress_bars() as report:
            for record in compare(
                collection, specs, model, k=k, matched=matched or None, threads=threads, max_queries=max_queries,
                progress=report,
            ):  # fmt: skip
                records.append(record)
                note(f"{record.name}: {record.error or 'measured'}")
    except KeyboardInterrupt:
        note("Stopped: what follows was finished.")
    if figure is not None and any(not record.error for record in records):
        note(f"Wrote {figures.export(figures.index_frontier(records), figure)}.")
    if output is not None:
        note(f"Wrote {write_records(records, output)}.")
    elif as_json:
        show_json([asdict(record) for record in records])
        return
    if records:
        show_comparison(records, before)


def show_comparison(records: list[IndexRecord], before: list[IndexRecord]) -> None:
    """Print a comparison: tables, settings and remarks, what changed since another one, and how to repeat it."""
    from workbench.experiments.views.index_tables import found, remarks, taken
    from workbench.experiments.views.indexes import changes

    for table in (found(records), taken(records)):
        show_table(table.title, table.columns, table.rows)
    for line in remarks(records):
        out.print(line, soft_wrap=True)
    if before:
        lines = changes(before, records) or ["Nothing changed in settings, versions, defaults, machine or counts."]
        out.print("\n".join(["Since the other comparison:", *lines]), soft_wrap=True)
    versions = ", ".join(f"{name} {version}" for name, version in records[0].versions.items())
    machine = records[0].machine
    note(f"{machine['processor']}, {machine['cores']} cores; {versions}")
    if records[0].command:
        out.print(f"Again: {records[0].command}", soft_wrap=True)


def recommend(
    collection: CollectionOption = "embedded",
    model: ModelOption = "embedded",
    max_bytes: Annotated[int | None, typer.Option("--max-bytes", help="Of the index on disk.", min=1)] = None,
    max_ms: Annotated[float | None, typer.Option("--max-ms", help="Median milliseconds of a question.")] = None,
    min_quality: Annotated[float, typer.Option("--min-quality", help="Share of exact nDCG@10 to keep.")] = 0.99,
    prefer: Annotated[str | None, typer.Option("--prefer", help="small or fast; the limits decide.")] = None,
    index: Annotated[
        list[str] | None, typer.Option("--index", help="Repeatable, kinds to try: exact, plaid and hnsw if not given.")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="What the search may spend, after encoding.")] = 120.0,
    as_json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Find the smallest or fastest index that keeps the quality of exact search on your own collection.

    Example: `workbench recommend --collection ../scifact --min-quality 0.99 --max-ms 5`
    """
    from dataclasses import asdict

    from engine.evaluation import metric_name
    from workbench.experiments.studies import KINDS
    from workbench.experiments.studies import recommend as search
    from workbench.experiments.views.index_tables import number
    from workbench.experiments.views.indexes import format_spec

    with progress_bars() as report:
        found = search(
            collection, max_bytes, max_ms, min_quality, seconds, cast(Any, prefer), index or KINDS, model,
            progress=lambda what, spent, total: report(what if what.startswith("encode") else "seconds", spent, total),
        )  # fmt: skip
    if as_json or output:
        show_json(asdict(found), output)
        return
    columns = ("index", "pool\nfactor", "MB", "p50\nms", metric_name(found.metric).replace("@", "\n@"), "of exact",
               "difference\n(95%)", "R@10", "build\ns")  # fmt: skip
    rows = [
        (
            ("> " if option is found.chosen else "") + format_spec(option.kind, option.changed).replace(":", ":\n", 1),
            f"{option.factor:g}", number(option.bytes / 1e6), number(option.p50_ms), f"{option.value:.3f}",
            f"{option.quality:.1%}", f"{option.difference.mean:+.3f}\n({option.difference.low:+.3f} to "
            f"{option.difference.high:+.3f})", f"{option.recall_10:.3f}", number(option.build_seconds),
        )
        for option in found.tried
    ]  # fmt: skip
    show_table(
        f"{collection}: {len(rows)} ways tried in {found.seconds:.0f} s", columns, rows, f"quality: {found.metric}"
    )
    out.print(found.reason, soft_wrap=True)
    if found.skipped:
        note(f"Not tried, for lack of time: {'; '.join(found.skipped)}.")
    if found.chosen is not None:
        out.print(found.code, soft_wrap=True)
    if found.command:
        note(f"Again: {found.command}")
