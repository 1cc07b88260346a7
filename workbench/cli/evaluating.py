"""The command that scores: `evaluate`, by a run of its own or of the rankings in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from engine.errors import InputError
from workbench.cli.options import (
    CollectionOption,
    DeviceOption,
    ForceOption,
    IndexOption,
    JsonOption,
    KOption,
    ModelOption,
    OutputOption,
    PoolOption,
    SameIdsOption,
    ScorerOption,
    Several,
    SystemOption,
    WhereOption,
    check_place,
    given_ones,
    search_fields,
)
from workbench.cli.output import note, progress_bars, say_reused, show_json, show_table, show_warnings

if TYPE_CHECKING:
    from workbench.experiments.prepare import Prepared
    from workbench.runs import Run

SEARCHING = ("model", "index", "k", "scorer", "system", "where", "pool", "device", "force")


def evaluate(
    context: typer.Context,
    collection: CollectionOption = "embedded",
    model: ModelOption = "embedded",
    index: IndexOption = "plaid",
    k: KOption = 100,
    metric: Annotated[
        Several,
        Option(
            help="Repeatable: a name of ranx (ndcg@10) or ir-measures (nDCG@10); nDCG@10 and recall@100 if not given."
        ),
    ] = None,
    scorer: ScorerOption = "index",
    same_ids: SameIdsOption = "auto",
    system: SystemOption = "",
    where: WhereOption = "",
    pool: PoolOption = "",
    device: DeviceOption = "auto",
    force: ForceOption = False,
    run_file: Annotated[
        Path | None, Option("--run", help="Score the rankings of this TREC run file instead of searching.")
    ] = None,
    save_run: Annotated[
        Path | None, Option(help="Write the rankings as a TREC run file.", callback=check_place)
    ] = None,
    save_qrels: Annotated[
        Path | None, Option(help="Write the judgements as a TREC file.", callback=check_place)
    ] = None,
    as_json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Score a model and an index, or a TREC run file, against a collection's judgements.

    A model and an index make a run, which is found again when it is there.

    Example: `workbench evaluate --collection ../scifact --metric nDCG@10 --metric R@100 --save-run mine.trec`
    """
    from engine.collection import require_judgements
    from engine.metrics import DEFAULT_METRICS, check_metrics
    from engine.reading.trec import check_ids, write_qrels, write_run
    from workbench.experiments.execute import run
    from workbench.experiments.experiment import Experiment
    from workbench.experiments.prepare import prepare

    if run_file is not None:
        _score_file(context, run_file, collection, metric, same_ids, save_qrels, as_json, output)
        return
    metrics = tuple(check_metrics(metric or DEFAULT_METRICS))
    asked: dict[str, Any] = {"metrics": metrics, "same_ids": same_ids, "where": where}
    asked |= search_fields(context, index, system, scorer, pool, k)
    Experiment(**asked)  # a mistake is known before anything is loaded
    prepared = prepare(collection, model, device=device)
    require_judgements(prepared.collection)
    if save_run is not None:
        check_ids([*prepared.collection.queries, *prepared.collection.documents])
    if save_qrels is not None:
        check_ids(name for query, grades in prepared.collection.qrels.items() for name in (query, *grades))
    with progress_bars() as report:
        found = run(prepared.experiment(**asked), report, prepared=prepared, force=force)
    if save_run is not None:
        note(f"Wrote {write_run(found.rankings(), save_run, found.id)}.")
    if save_qrels is not None:
        note(f"Wrote {write_qrels(prepared.collection.qrels, save_qrels)}.")
    _show(found, prepared, metrics, asked["system"] or f"{index} index", where, as_json, output)


def _show(
    found: Run, prepared: Prepared, metrics: tuple[str, ...], searched: str, where: str, as_json: bool,
    output: Path | None,
) -> None:  # fmt: skip
    """Print a run's scores, or write all of it as JSON."""
    from engine.metrics import metric_name

    milliseconds, mean = 1e3 / found.record["queries_per_second"], {name: found.mean[name] for name in metrics}
    if as_json or output:
        record = {
            "run": found.id,
            "collection": found.record["collection"],
            "encoder": found.record["model"],
            "index": found.record["index"],
            "k": found.record["depth"],
            "mean": mean,
            "per_query": {name: found.per_query(name) for name in metrics},
            "unjudged": found.record["unjudged"],
            "exact": {name: value for name, value in found.mean.items() if name not in mean},
            "milliseconds_per_query": milliseconds,
            "notes": found.warnings,
        }
        show_json(record, output)
        return
    described = found.record["collection"]
    counted = f"{described['documents']:,} documents"
    if where:
        counted = f"{described['among']['documents']:,} of {counted} ({where})"
    made = ", made ones among them" if described.get("made") else ""
    title = f"{described['name']}: {counted}, {found.record['judged']} judged queries{made}"
    rows = [(metric_name(name), f"{value:.4f}") for name, value in mean.items()]
    depth = found.record["depth"]
    caption = f"{searched}, {depth} results, {milliseconds:.1f} ms a query in one batch; run {found.id}"
    show_table(title, ("metric", "mean"), rows, caption)
    show_warnings(found, prepared)
    say_reused(found)


def _score_file(
    context: typer.Context, path: Path, source: str, metric: Several, same_ids: Any, save_qrels: Path | None,
    as_json: bool, output: Path | None,
) -> None:  # fmt: skip
    """Score a TREC run file."""
    from engine import load_collection
    from engine.metrics import DEFAULT_METRICS, metric_name
    from engine.reading.trec import write_qrels
    from workbench.runs.foreign import read_foreign

    if wrong := given_ones(context, *SEARCHING, "save_run"):
        raise InputError(f"A run file holds its rankings, so {wrong} beside --run means nothing: leave it out.")
    collection = load_collection(source)
    found = read_foreign(path, collection, metric or DEFAULT_METRICS, same_ids, source=source)
    if save_qrels is not None:
        note(f"Wrote {write_qrels(collection.qrels, save_qrels)}.")
    if as_json or output:
        record = {
            "run": str(path), "collection": found.record["collection"], "mean": found.mean,
            "intervals": {name: list(interval[1:]) for name, interval in found.intervals.items()},
            "per_query": found.values, "notes": found.warnings,
        }  # fmt: skip
        show_json(record, output)
        return
    rows = [(metric_name(name), f"{i.mean:.4f}", f"{i.low:.4f} to {i.high:.4f}") for name, i in found.intervals.items()]
    title = f"{collection.name}: {found.record['judged']} judged queries, rankings of {path}"
    show_table(title, ("metric", "mean", "95% interval"), rows)
    for sentence in found.warnings:
        note(sentence)
