"""The command `pool-study`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import InputError
from workbench.cli.options import DeviceOption, ForceOption, JsonOption, ModelOption, OutputOption, SeedOption
from workbench.cli.output import note, out, progress_bars, show_json, show_table, show_warnings
from workbench.experiments.progress import Steps

if TYPE_CHECKING:
    from engine import Encoder
    from workbench.experiments.views.pool_document import Study
    from workbench.experiments.views.pooling import PoolPoint


def pool_study(
    collection: Annotated[
        list[str] | None, typer.Option("--collection", help="Repeatable: a BEIR folder, a file of texts, a name, ...")
    ] = None,
    model: ModelOption = "embedded",
    factor: Annotated[list[str] | None, typer.Option("--factor", help="Repeatable; a number or inf.")] = None,
    method: Annotated[list[str] | None, typer.Option("--method", help="hierarchical, sequential; repeatable.")] = None,
    bits: Annotated[
        list[int] | None, typer.Option("--bits", help="Repeatable: also factors at these bits in a PLAID index.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Folder for figures, tables and numbers; both methods and 8, 4, 2, 1 bits."),
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    force: ForceOption = False,
    as_json: JsonOption = False,
    output: OutputOption = None,
    figure: Annotated[Path | None, typer.Option("--figure", help="Also draw it: an .html, .svg or .png file.")] = None,
) -> None:
    """Measure what fewer token vectors cost: quality with intervals, questions won and lost, bytes, milliseconds.

    What is measured is kept: a study that was stopped goes on where it stopped.

    Example: `workbench pool-study --collection ../scifact --factor 1 --factor 2 --factor 4`
    """
    from engine import Encoder
    from workbench import figures
    from workbench.experiments import plan
    from workbench.experiments.views.pool_document import collections_curve, numbers, write_report

    if figure is not None:
        figures.check_place(figure)
    factors = [_number(value) for value in factor] if factor else plan.FACTORS
    methods = method or (["hierarchical", "sequential"] if report else ["hierarchical"])
    widths = bits if bits is not None else (list(plan.BITS) if report else [])
    encoder = Encoder.load(model, device=device)
    studies = [_study(name, encoder, factors, methods, widths, seed, force) for name in collection or ["embedded"]]
    if report is not None:
        written = write_report(studies, report)
        note(f"Wrote {len(written)} files into {report}.")
    if figure is not None:
        several = len(studies) > 1
        drawn = figures.group_curves(collections_curve(studies)) if several else figures.pool_curve(studies[0].curve)
        note(f"Wrote {figures.export(drawn, figure)}.")
    if as_json or output:
        show_json([numbers(record) for entry in studies for record in entry.records], output)
        return
    for entry in studies:
        _show(entry)


def _study(
    name: str, encoder: Encoder, factors: Any, methods: list[str], bits: list[int], seed: int, force: bool
) -> Study:
    """Measure one collection, or find what was measured before."""
    from engine.collection import require_judgements
    from workbench.experiments.prepare import prepare
    from workbench.experiments.studies import pool_study as study
    from workbench.experiments.views.pool_document import Study

    prepared = prepare(name, encoder)
    require_judgements(prepared.collection)
    title = prepared.collection.name
    with progress_bars() as show:
        prepared.encode("document", Steps(lambda stage, done, total: show(f"{title}: {stage}", done, total)))
        points = tuple(
            study(
                prepared, factors, methods, bits=bits, seed=seed, force=force,
                progress=lambda stage, done, total: show(f"{title}: {stage.partition(',')[0]}", done, total),
            )
        )  # fmt: skip
    show_warnings(points[0].run, prepared)
    known = sum(point.run.reused for point in points)
    note(f"{title}: {len(points) - known} measured, {known} were there already." if known < len(points)
         else f"{title}: nothing was measured, all {known} were there already.")  # fmt: skip
    return Study(prepared.collection, prepared.documents, points)


def _show(entry: Study) -> None:
    from workbench.experiments.views.pooling import sentence

    columns = ("pool\nfactor", "vectors", "nDCG@10", "95%", "recall\n@100", "better /\nworse", "MB", "ms")
    first = entry.records[0]
    title = f"{entry.collection.name}: {first.queries:,} judged questions"
    show_table(f"{title}, {first.method} pooling", columns, [_row(record, first.method) for record in entry.records])
    if len(entry.curve) > 1:
        out.print(sentence(entry.curve[-1]), soft_wrap=True)


def _row(record: PoolPoint, usual: str) -> tuple[str, ...]:
    low, high = record.interval["ndcg@10"]
    bits = f"\n{record.bits} bits" if record.index != "exact" else ""
    method = f"\n{record.method}" if record.method != usual else ""
    return (
        f"{record.label}{method}{bits}", f"{record.tokens:,}", f"{record.mean['ndcg@10']:.3f}",
        f"{low:.3f} to {high:.3f}", f"{record.mean['recall@100']:.3f}", f"{len(record.better)} / {len(record.worse)}",
        f"{record.bytes / 1e6:.1f}", f"{record.latency_ms:.1f}",
    )  # fmt: skip


def _number(value: str) -> float:
    try:
        return math.inf if value in ("inf", "one") else float(value)
    except ValueError:
        raise InputError(f"Expected --factor as a number or inf, got {value!r}: 2 halves the vectors.") from None
