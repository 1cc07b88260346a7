"""The command that measures whole systems: `compare-systems`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.options import (
    CollectionOption,
    DeviceOption,
    ForceOption,
    JsonOption,
    KOption,
    ModelOption,
    OutputOption,
)
from workbench.cli.output import note, out, progress_bars, show_json, show_table


def compare_systems(
    collection: CollectionOption = "embedded",
    model: ModelOption = "embedded",
    system: Annotated[
        list[str] | None,
        typer.Option("--system", help='Repeatable: bm25, "bm25 + single", "bm25:k=1000 > maxsim", ...; a set if none.'),
    ] = None,
    k: KOption = 100,
    metric: Annotated[list[str] | None, typer.Option("--metric", help="Repeatable; the first decides.")] = None,
    max_queries: Annotated[int | None, typer.Option("--max-queries", help="Ask only the first so many.", min=1)] = None,
    figure: Annotated[Path | None, typer.Option("--figure", help="Also draw it: an .html, .svg or .png file.")] = None,
    device: DeviceOption = "auto",
    force: ForceOption = False,
    as_json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Measure whole systems on your own collection, and say whether late interaction is worth it there.

    Quality with intervals, milliseconds by stage, bytes and build time; each is a run, and found again when it is
    there. Ctrl-C stops; what was finished is kept and shown.

    Example: `workbench compare-systems --collection ../scifact --system bm25 --system "bm25:k=1000 > maxsim"`
    """
    from engine.evaluation import DEFAULT_METRICS, check_metrics
    from workbench import figures
    from workbench.experiments.prepare import prepare
    from workbench.experiments.system_studies import compare_systems as compare
    from workbench.experiments.system_studies import compared
    from workbench.experiments.views.systems import SystemRow
    from workbench.systems.text import parse_system

    metrics = tuple(check_metrics(metric or DEFAULT_METRICS))
    for text in system or ():
        parse_system(text)  # a mistake is known before anything is loaded
    if figure is not None:
        figures.check_place(figure)
    prepared, rows = prepare(collection, model, device=device), list[SystemRow]()
    try:
        with progress_bars() as report:
            for row in compare(prepared, system, k, metrics, max_queries, report, force=force):
                rows.append(row)
                note(f"{row.text}: {row.error or 'measured'}")
    except KeyboardInterrupt:
        note("Stopped: what follows was finished.")
    found = compared(prepared, rows, metrics, k, max_queries)
    if figure is not None and found.measured:
        note(f"Wrote {figures.export(figures.system_frontier(found), figure)}.")
    if as_json or output:
        show_json(found.to_dict(), output)
        return
    show(found)


def show(found: object) -> None:
    """Print a comparison: the tables, then the sentence that answers."""
    from workbench.experiments.views.systems import SystemComparison, pairs_table, stages_table, systems_table

    assert isinstance(found, SystemComparison)
    for table in (systems_table(found), stages_table(found), pairs_table(found) if found.metric else None):
        if table is not None and table.rows:
            show_table(table.title, table.columns, table.rows)
    for row in found.rows:
        if row.error:
            note(f"{row.text}: {row.error}")
    out.print(found.answer, soft_wrap=True)
    if found.command:
        note(f"Again: {found.command}")
