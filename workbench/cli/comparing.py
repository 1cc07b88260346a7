"""The commands that measure indexes: `compare-indexes`, `recommend`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    from workbench.index_records import IndexRecord


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
    from workbench.compare_indexes import DEFAULT_INDEXES
    from workbench.compare_indexes import compare_indexes as compare
    from workbench.index_records import parse_spec, read_records, write_records

    specs = [parse_spec(text) for text in index] if index else DEFAULT_INDEXES
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
    from workbench.index_records import changes
    from workbench.index_tables import found, remarks, taken

    for table in (found(records), taken(records)):
        show_table(table.title, table.columns, table.rows)
    for line in remarks(records):
        out.print(line, markup=False, soft_wrap=True)
    if before:
        lines = changes(before, records) or ["Nothing changed in settings, versions, defaults, machine or counts."]
        out.print("\n".join(["Since the other comparison:", *lines]), markup=False, soft_wrap=True)
    versions = ", ".join(f"{name} {version}" for name, version in records[0].versions.items())
    machine = records[0].machine
    note(f"{machine['processor']}, {machine['cores']} cores; {versions}")
    if records[0].command:
        out.print(f"Again: {records[0].command}", markup=False, soft_wrap=True)


def recommend(
    collection: CollectionOption = "embedded",
    model: ModelOption = "embedded",
    max_bytes: Annotated[int | None, typer.Option("--max-bytes", help="Of the index on disk.", min=1)] = None,
    max_ms: Annotated[float | None, typer.Option("--max-ms", help="Median milliseconds of a question.")] = None,
    min_quality: Annotated[float, typer.Option("--min-quality", help="Share of exact nDCG@10 to keep.")] = 0.99,
    seconds: Annotated[float, typer.Option("--seconds", help="What the search may spend.")] = 150.0,
    as_json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Find the smallest or fastest index that keeps the quality of exact search on your own collection.

    Example: `workbench recommend --collection ../scifact --min-quality 0.99 --max-ms 5`
    """
    from dataclasses import asdict

    from workbench.advisor import recommend as search

    with progress_bars() as report:
        found = search(
            collection, max_bytes, max_ms, min_quality, seconds, model=model,
            progress=lambda what, spent, total: report("seconds", int(spent), int(total)),
        )  # fmt: skip
    if as_json or output:
        show_json(asdict(found), output)
        return
    rows = [
        tuple(f"{value:.3f}" if isinstance(value, float) else value for value in option.row().values())
        for option in found.tried
    ]
    show_table(f"{collection}: what was tried", tuple(found.tried[0].row()), rows, f"value: {found.metric}")
    out.print(found.reason, markup=False, soft_wrap=True)
    for sentence in found.skipped:
        note(sentence)
    if found.chosen is not None:
        out.print(found.code, markup=False, soft_wrap=True)
    if found.command:
        note(f"Again: {found.command}")
