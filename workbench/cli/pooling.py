"""The command `pool-study`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from engine.errors import InputError
from workbench.cli.options import (
    DeviceOption,
    FigureOption,
    ForceOption,
    JsonOption,
    ModelOption,
    OutputOption,
    SeedOption,
    Several,
)
from workbench.cli.output import note, out, progress_bars, show_json, show_table, show_warnings
from workbench.experiments.progress import Steps

if TYPE_CHECKING:
    from engine import Encoder
    from workbench.experiments.views.pool_document import Study
    from workbench.experiments.views.pooling import PoolPoint


def pool_study(
    collection: Annotated[
        Several,
        Option(help="Repeatable: a BEIR folder, a folder of texts, a table, a name, ...; embedded if not given."),
    ] = None,
    model: ModelOption = "embedded",
    against: Annotated[
        str | None, Option(help="Another model, measured in the same way and drawn beside the first.")
    ] = None,
    pool: Annotated[
        Several,
        Option(
            help="Repeatable: factor=2 keeps half of the vectors and factor=inf one, some from 1 to inf if not given; "
            "or a budget beside the factors: tokens=64, once, distance=.3, ..."
        ),
    ] = None,
    factor: Annotated[Several, Option(hidden=True)] = None,
    method: Annotated[
        Several, Option(help="Repeatable: hierarchical (what is alike merges) or sequential (neighbours do).")
    ] = None,
    dims: Annotated[
        Several, Option(help="Leading dimensions to keep, 32,64,96: each with each factor and bits; for nested models.")
    ] = None,
    bits: Annotated[
        Several, Option(help="Bits a dimension, 16,4,2: 32 and 16 are exact search, 8, 4, 2 and 1 are PLAID.")
    ] = None,
    budget: Annotated[str | None, Option(help="Mark the best measured point under it: 2MB, 256B/document.")] = None,
    report: Annotated[
        Path | None,
        Option(help="Folder for figures, tables and numbers; also measures both methods and 8, 4, 2 and 1 bits."),
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    force: ForceOption = False,
    as_json: JsonOption = False,
    output: OutputOption = None,
    figure: FigureOption = None,
) -> None:
    """Measure what fewer token vectors cost: quality with intervals, questions won and lost, bytes, milliseconds.

    What is measured is kept: a study that was stopped goes on where it stopped.

    Example: `workbench pool-study --collection ../scifact --dims 32,64,96,128 --bits 16,4,2 --budget 256B/document`
    """
    from engine import Encoder
    from workbench import figures
    from workbench.experiments.views.pool_document import figure_of, write_report
    from workbench.experiments.views.pooling import bytes_of_budget

    asked = _asked([*(factor or ()), *(pool or ())], method, dims, bits, report is not None)
    if budget is not None:
        bytes_of_budget(budget, 1)
    encoders = [Encoder.load(name, device=device) for name in dict.fromkeys(filter(None, (model, against)))]
    studies = [_study(name, encoder, asked, seed, force) for name in collection or ["embedded"] for encoder in encoders]
    if report is not None:
        written = write_report(studies[:: len(encoders)], report)  # of the first model
        note(f"Wrote {len(written)} files into {report}.")
    if figure is not None:
        by_bytes = bool(asked["dims"] or asked["pools"] or against)
        note(f"Wrote {figures.export(figure_of(studies, by_bytes, budget), figure)}.")
    if as_json or output:
        show_json([row for entry in studies for row in entry.rows(budget)], output)
        return
    for entry in studies:
        _show(entry, budget)


def _asked(pools: list[str], methods: Several, dims: Several, bits: Several, reported: bool) -> dict[str, Any]:
    """What is to be measured, as `pool_study` takes it; a report has both methods and several bits where it can.

    Raises:
        InputError: what cannot be, before anything is loaded.
    """
    from engine.pooling import PoolSettings, parse_pool
    from workbench.experiments import plan
    from workbench.experiments.experiment import Experiment
    from workbench.experiments.pool_studies import planned

    ways = {text: parse_pool(text) for text in pools}
    factors = [way.factor for way in ways.values() if way == PoolSettings(way.factor)]
    budgets = [text for text, way in ways.items() if way != PoolSettings(way.factor)]
    full = reported and not (dims or budgets)
    asked: dict[str, Any] = {
        "factors": factors or None,
        "methods": methods or (["hierarchical", "sequential"] if full else ["hierarchical"]),
        "bits": _whole_numbers("--bits", bits) if bits else (list(plan.BITS) if full else []),
        "dims": _whole_numbers("--dims", dims or []),
        "pools": budgets,
    }
    planned(Experiment(), joint_factors=plan.JOINT_FACTORS, **asked)
    return asked


def _study(name: str, encoder: Encoder, asked: dict[str, Any], seed: int, force: bool) -> Study:
    """Measure one collection, or find what was measured before."""
    from engine.collection import require_judgements
    from engine.pooling import parse_pool
    from workbench.experiments.pool_studies import pool_study as study
    from workbench.experiments.prepare import prepare
    from workbench.experiments.views.pool_document import Study

    prepared = prepare(name, encoder)
    require_judgements(prepared.collection)
    for dim in asked["dims"]:
        prepared.at_dim(dim)
    for text in asked["pools"]:
        prepared.pooler.check(parse_pool(text))
    _warn_of_dimensions(encoder, asked["dims"])
    title = prepared.collection.name
    with progress_bars() as show:
        prepared.encode("document", Steps(lambda stage, done, total: show(f"{title}: {stage}", done, total)))
        points = tuple(
            study(
                prepared, **asked, seed=seed, force=force,
                progress=lambda stage, done, total: show(f"{title}: {stage.partition(',')[0]}", done, total),
            )
        )  # fmt: skip
    show_warnings(points[0].run, prepared)
    known = sum(point.run.reused for point in points)
    note(f"{title}: {len(points) - known} measured, {known} were there already." if known < len(points)
         else f"{title}: nothing was measured, all {known} were there already.")  # fmt: skip
    return Study(prepared.collection, prepared.documents, points)


def _warn_of_dimensions(encoder: Encoder, dims: list[int]) -> None:
    untrained = sorted({*dims} - {*encoder.nested, encoder.dim})
    if untrained:
        names = ", ".join(map(str, untrained))
        note(f"{encoder.name} was not trained for {names} of its {encoder.dim} dimensions: they may be poor vectors.")


def _show(entry: Study, budget: str | None) -> None:
    from workbench.experiments.views.pooling import sentence

    best = entry.best_under(budget)
    columns = ("pool\nfactor", "vectors", "nDCG@10", "95%", "recall\n@100", "better /\nworse", "MB", "ms")
    first = entry.records[0]
    title = f"{entry.collection.name}: {first.queries:,} judged questions, {entry.model}, {first.method} pooling"
    show_table(title, columns, [_row(record, first, record is best) for record in entry.records])
    if budget is not None:
        found = "nothing that was measured fits." if best is None else f"{best.name}. {sentence(best)}"
        out.print(f"Best under {budget}: {found}", soft_wrap=True)
    elif len(entry.curve) > 1:
        out.print(sentence(entry.curve[-1]), soft_wrap=True)


def _row(record: PoolPoint, first: PoolPoint, best: bool) -> tuple[str, ...]:
    low, high = record.interval["ndcg@10"]
    bits = f"\n{record.bits} bits" if record.bits != first.bits else ""
    method = f"\n{record.method}" if record.method != first.method else ""
    dim = f"\n{record.dim} dimensions" if record.dim != first.dim else ""
    settings = f"{'> ' if best else ''}{record.label}{method}{dim}{bits}"
    return (
        settings, f"{record.tokens:,}", f"{record.mean['ndcg@10']:.3f}",
        f"{low:.3f} to {high:.3f}", f"{record.mean['recall@100']:.3f}", f"{len(record.better)} / {len(record.worse)}",
        f"{record.bytes / 1e6:.1f}", f"{record.latency_ms:.1f}",
    )  # fmt: skip


def _whole_numbers(option: str, texts: list[str]) -> list[int]:
    try:
        return [int(part) for text in texts for part in text.split(",")]
    except ValueError:
        raise InputError(f"Expected {option} as whole numbers, got {', '.join(texts)!r}: write 16,4,2.") from None
