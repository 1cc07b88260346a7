"""Whole systems on the command line: `compare-systems`, and what `trace` prints of a system."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

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
    Several,
)
from workbench.cli.output import note, out, progress_bars, show_json, show_table, until_stopped

if TYPE_CHECKING:
    from workbench.systems import System


def compare_systems(
    collection: CollectionOption = "embedded",
    model: ModelOption = "embedded",
    system: Annotated[
        Several,
        Option(help='Repeatable: bm25, "bm25 + single", "bm25:k=1000 > maxsim", ...; a usual set if not given.'),
    ] = None,
    k: KOption = 100,
    metric: Annotated[
        Several, Option(help="Repeatable: nDCG@10 and recall@100 if not given; the first one decides.")
    ] = None,
    max_queries: MaxQueriesOption = None,
    figure: FigureOption = None,
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
    from engine.metrics import DEFAULT_METRICS, check_metrics
    from workbench import figures
    from workbench.experiments.prepare import prepare
    from workbench.experiments.system_studies import compare_systems as compare
    from workbench.experiments.system_studies import compared
    from workbench.systems.text import parse_system

    metrics = tuple(check_metrics(metric or DEFAULT_METRICS))
    for text in system or ():
        parse_system(text)  # a mistake is known before anything is loaded
    prepared = prepare(collection, model, device=device)
    with progress_bars() as report:
        measured = compare(prepared, system, k, metrics, max_queries, report, force=force)
        rows = until_stopped(measured, lambda row: (row.text, row.error))
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


def trace_one(system: System, question: str, document: str, k: int, as_json: bool) -> None:
    """Print the way of one document through a system."""
    from workbench.systems import trace

    found = trace(system, question, document, k)
    if as_json:
        show_json({"system": system.text, **asdict(found)})
        return
    rows = [
        (
            stage.stage, f"{stage.entered:,}", f"{stage.sent:,}", "" if stage.score is None else f"{stage.score:.3f}",
            stage.rank, "stays" if stage.survived else "is cut" if stage.came else "did not come",
        )
        for stage in found.stages
    ]  # fmt: skip
    columns = ("stage", "documents\nin", "out", "its\nscore", "its\nrank", f"document\n{document}")
    show_table(question, columns, rows)
    out.print(str(found), soft_wrap=True)


def trace_all(system: System, k: int, as_json: bool) -> None:
    """Print where the relevant documents that a system does not return were lost."""
    from workbench.experiments.progress import Steps
    from workbench.systems import losses

    with progress_bars() as report:
        found = losses(system, k, steps=Steps(report))
    if as_json:
        show_json({"system": system.text, **asdict(found)})
        return
    rows = [
        (stage.stage, f"{stage.lost:,}", f"{stage.share:.1%}", f"{stage.queries:,}", f"{stage.back:,}",
         "" if stage.depth is None else f"{stage.depth:,}")
        for stage in found.stages
    ]  # fmt: skip
    columns = ("lost at", "documents", "of all\nrelevant", "questions", "results if\nall are sent on",
               "depth for\nhalf of those")  # fmt: skip
    show_table(f"{system.collection.name}: relevant documents that are not among the first {k}", columns, rows)
    out.print(str(found), soft_wrap=True)
