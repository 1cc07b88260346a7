"""The commands that measure indexes: `compare-indexes`, `recommend`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from typer import Option

from workbench.cli.options import (
    CollectionOption,
    DeviceOption,
    FigureOption,
    ForceOption,
    JsonOption,
    KOption,
    MaxQueriesOption,
    ModelOption,
    OutputOption,
    PoolOption,
    Several,
)
from workbench.cli.output import note, out, progress_bars, show_json, show_table, until_stopped

if TYPE_CHECKING:
    from workbench.experiments.views.indexes import IndexRow
    from workbench.experiments.views.recommendation import Recommendation


def compare_indexes(
    collection: CollectionOption = "embedded",
    model: ModelOption = "embedded",
    index: Annotated[
        Several,
        Option(
            help="Repeatable: plaid, or plaid:bits=2,n_probe=8, ...; exact, plaid, hnsw and fast-plaid if not given."
        ),
    ] = None,
    pool: PoolOption = "",
    k: KOption = 100,
    matched: Annotated[
        float, Option(help="Also try the fastest settings that find this share of what exact search finds; 0 does not.")
    ] = 0.95,
    threads: Annotated[int | None, Option(help="Threads of every index; all of the machine if not given.")] = None,
    max_queries: MaxQueriesOption = None,
    figure: FigureOption = None,
    against: Annotated[
        Path | None, Option(help="A file that --output wrote before: say what has changed since.")
    ] = None,
    device: DeviceOption = "auto",
    force: ForceOption = False,
    as_json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Measure indexes on identical vectors: time, bytes, recall against exact MaxSim, quality against judgements.

    Ctrl-C stops; what was finished is kept and shown.

    Example: `workbench compare-indexes --collection ../scifact --index exact --index plaid --index hnsw`
    """
    from engine.pooling import parse_pool
    from workbench import figures
    from workbench.experiments.plan import default_indexes, parse_spec
    from workbench.experiments.prepare import prepare
    from workbench.experiments.studies import compare_indexes as compare
    from workbench.experiments.views.indexes import read_rows

    specs = [parse_spec(text) for text in index] if index else default_indexes()
    parse_pool(pool)
    before = read_rows(against) if against is not None else []
    prepared = prepare(collection, model, device=device)
    with progress_bars() as report:
        measured = compare(
            prepared, specs, k, matched or None, max_queries, threads, progress=report, force=force, pool=pool
        )
        rows = until_stopped(measured, lambda row: (row.name, row.error))
    if figure is not None and any(not row.error for row in rows):
        note(f"Wrote {figures.export(figures.index_frontier(rows), figure)}.")
    if output is not None or as_json:
        show_json([row.values for row in rows], output)
    if rows and not (as_json and output is None):
        show_comparison(rows, before)


def show_comparison(records: list[IndexRow], before: list[IndexRow]) -> None:
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
    max_bytes: Annotated[
        int | None, Option(help="At most so many bytes in the files that a search reads.", min=1)
    ] = None,
    max_ms: Annotated[float | None, Option(help="At most so many milliseconds for a question, in the median.")] = None,
    min_quality: Annotated[float, Option(help="Share of exact search's nDCG@10 to keep, 0 to 1.")] = 0.99,
    prefer: Annotated[
        str | None, Option(help="small or fast; if not given, fast with --max-bytes and small otherwise.")
    ] = None,
    index: Annotated[Several, Option(help="Repeatable: kinds to try; exact, plaid and hnsw if not given.")] = None,
    system: Annotated[
        Several, Option(help='Repeatable: whole systems to try, "bm25 + single"; a few if no --index is given.')
    ] = None,
    seconds: Annotated[float, Option(help="Seconds that trying may take, after encoding.")] = 120.0,
    k: KOption = 100,
    pool: Annotated[
        Several, Option(help="Repeatable: fewer vectors a document to try too, tokens=64, once, distance=.3, ...")
    ] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Find the smallest or fastest index, or system, that keeps the quality of exact search on your own collection.

    Example: `workbench recommend --collection ../scifact --min-quality 0.99 --max-ms 5`
    """
    from engine.pooling import parse_pool
    from workbench.experiments.plan import RECOMMENDED, TRIED_SYSTEMS
    from workbench.experiments.prepare import prepare
    from workbench.experiments.studies import recommend as search
    from workbench.experiments.system_studies import installed
    from workbench.systems.text import parse_system

    for text in pool or ():
        parse_pool(text)
    for text in system or ():
        parse_system(text)
    prepared = prepare(collection, model, device=device)
    systems = system or ([] if index else installed(TRIED_SYSTEMS, prepared))
    with progress_bars() as report:
        found = search(
            prepared, max_bytes, max_ms, min_quality, seconds, cast(Any, prefer),
            index or RECOMMENDED if index or not system else (), k, progress=report, pools=pool or (), systems=systems,
        )  # fmt: skip
    if as_json or output:
        show_json(found.to_dict(), output)
    else:
        _show_recommendation(found, collection)


def _show_recommendation(found: Recommendation, collection: str) -> None:
    """Print what was tried, the choice, its code and how to repeat it."""
    from workbench.experiments.views.recommendation import options_table

    table = options_table(found, collection)
    show_table(table.title, table.columns, table.rows, f"quality: {found.metric}")
    out.print(found.reason, soft_wrap=True)
    if found.skipped:
        note(f"Not tried, for lack of time: {'; '.join(found.skipped)}.")
    if found.chosen is not None:
        out.print(found.code, soft_wrap=True)
    if found.command:
        note(f"Again: {found.command}")
