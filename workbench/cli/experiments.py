"""The commands of experiments: `run`, `runs`, `pool-study`."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from engine.errors import InputError
from workbench.cli.options import CollectionOption, DeviceOption, JsonOption, ModelOption, OutputOption, SeedOption
from workbench.cli.output import note, out, progress_bars, show_json, show_table
from workbench.runs import Run


def run(
    experiment: Annotated[Path, typer.Argument(help="A YAML file; `workbench run --example` prints one.")] = Path("-"),
    name: Annotated[str, typer.Option("--name", help="What to call the run.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Run again what is there already.")] = False,
    example: Annotated[bool, typer.Option("--example", help="Print an experiment with every setting.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run an experiment and keep it; what was computed before is not computed again.

    Example: `workbench run --example > exp.yaml && workbench run exp.yaml`
    """
    from workbench.experiment import Experiment
    from workbench.running import RunEvent
    from workbench.running import run as execute

    if example:
        out.print(Experiment().to_yaml(every=True), markup=False)
        return
    if str(experiment) == "-":
        raise InputError("Expected a file with an experiment: `workbench run --example > exp.yaml` makes one.")
    wanted = Experiment.read(experiment)
    with progress_bars() as report:

        def show(event: RunEvent) -> None:
            report(event.stage + (" (kept)" if event.cached else ""), event.done, event.total)

        finished = execute(wanted, show, name=name, force=force)
    if as_json:
        show_json(finished.record)
        return
    show_run(finished)
    if finished.reused:
        note("This run was there already: nothing was computed.")


def show_run(run: Run) -> None:
    """Print one run: scores with intervals, then its settings that matter."""
    rows = [(metric, f"{i.mean:.4f}", f"{i.low:.4f} to {i.high:.4f}") for metric, i in run.intervals.items()]
    show_table(f"{run.id}  {run.name}", ("metric", "mean", "95% interval"), rows, f"{run.status}, {run.created}")
    for warning in run.warnings:
        note(warning)


runs = typer.Typer(help="List, show, delete and exchange runs. Example: `workbench runs list`", no_args_is_help=False)


@runs.callback(invoke_without_command=True)
def runs_default(context: typer.Context) -> None:
    """List, show, delete and exchange runs; without an action, list them.

    Example: `workbench runs`
    """
    if context.invoked_subcommand is None:
        list_all(None, None, False)


@runs.command("list")
def list_all(
    collection: Annotated[str | None, typer.Option("--collection", help="Only runs on this collection.")] = None,
    status: Annotated[str | None, typer.Option("--status", help="complete, running, interrupted, unreadable.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List runs, the newest first.

    Example: `workbench runs list --collection embedded`
    """
    from workbench.runs import list_runs

    found = list_runs(collection, status)
    if as_json:
        show_json([{"id": run.id, "name": run.name, "status": run.status, "mean": run.mean} for run in found])
        return
    metrics = list(dict.fromkeys(metric for run in found for metric in run.mean))[:4]
    rows = [
        (run.id, run.name, run.status, *(f"{run.mean[m]:.4f}" if m in run.mean else "" for m in metrics))
        for run in found
    ]
    show_table(f"{len(found)} runs", ("run", "what", "state", *metrics), rows)


@runs.command("show")
def show(
    run_id: Annotated[str, typer.Argument(help="A run, or the beginning of its name.")], as_json: JsonOption = False
) -> None:
    """Show one run.

    Example: `workbench runs show 3f2a`
    """
    from workbench.runs import find

    found = find(run_id)
    if as_json:
        show_json(found.record)
    else:
        show_run(found)


@runs.command("delete")
def delete(run_id: Annotated[str, typer.Argument(help="The whole name of a run.")]) -> None:
    """Delete a run.

    Example: `workbench runs delete 3f2a91c0b7d4e5f6`
    """
    from workbench.runs import delete as remove

    remove(run_id)
    note(f"Deleted run {run_id}.")


@runs.command("export")
def export(
    run_id: Annotated[str, typer.Argument(help="A run, or the beginning of its name.")],
    path: Annotated[Path, typer.Argument(help="A .zip for another machine, or a .trec file of its rankings.")],
) -> None:
    """Write a run to a file: a zip that another machine imports, or rankings in TREC format.

    Example: `workbench runs export 3f2a run.zip`
    """
    from workbench.runs import export as write_zip
    from workbench.runs import to_trec

    written = to_trec(run_id, path) if path.suffix in (".trec", ".run", ".txt") else write_zip(run_id, path)
    note(f"Wrote {written}.")


@runs.command("import")
def import_run(path: Annotated[Path, typer.Argument(help="A zip from `workbench runs export`.", exists=True)]) -> None:
    """Import a run that another machine exported.

    Example: `workbench runs import run.zip`
    """
    from workbench.runs import import_zip

    note(f"Imported run {import_zip(path).id}.")


def pool_study(
    collection: CollectionOption = "embedded",
    model: ModelOption = "embedded",
    factor: Annotated[list[str] | None, typer.Option("--factor", help="Repeatable; a number or inf.")] = None,
    method: Annotated[list[str] | None, typer.Option("--method", help="hierarchical, sequential; repeatable.")] = None,
    index: Annotated[str, typer.Option("--index", help="Kind of index.")] = "exact",
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    output: OutputOption = None,
    figure: Annotated[Path | None, typer.Option("--figure", help="Also write the figure to this .html file.")] = None,
) -> None:
    """Measure what fewer token vectors cost: quality with intervals, questions won and lost, bytes, milliseconds.

    Example: `workbench pool-study --collection ../scifact --factor 1 --factor 2 --factor 4`
    """
    from engine import load_collection
    from workbench import pool_study as study
    from workbench.cache import cached_embeddings
    from workbench.workspace import load_encoder

    factors = [_number(value) for value in factor] if factor else study.FACTORS
    loaded = load_collection(collection)
    encoder = load_encoder(model, device)
    with progress_bars() as report:
        documents = cached_embeddings(
            encoder, list(loaded.documents.values()), "document", lambda done, total: report("encode", done, total)
        )
        queries = cached_embeddings(encoder, list(loaded.queries.values()), "query", dtype="float32")
        records = list(
            study.pool_study(
                loaded, documents, queries, factors, cast(Any, method or ["hierarchical"]), index=index, seed=seed,
                progress=lambda done, total, text: report("factors", done, total),
            )
        )  # fmt: skip
    if figure is not None:
        from workbench import figures

        figures.export_html(figures.pool_curve([r for r in records if r.method == records[0].method]), figure)
        note(f"Wrote {figure}.")
    if as_json or output:
        show_json([asdict(record) for record in records], output)
        return
    rows = []
    for record in records:
        low, high = record.interval["ndcg@10"]
        rows.append(
            (
                f"{record.method} {record.label}",
                f"{record.tokens:,}",
                f"{record.mean['ndcg@10']:.4f}",
                f"{low:.3f} to {high:.3f}",
                f"{record.mean['recall@100']:.4f}",
                f"{len(record.better)} / {len(record.worse)}",
                f"{record.bytes / 1e6:.1f}",
                f"{record.latency_ms:.1f}",
            )
        )
    columns = ("method and factor", "vectors", "nDCG@10", "95%", "recall@100", "better / worse", "MB", "ms")
    show_table(f"{loaded.name}: {len(loaded.judged_queries)} judged questions", columns, rows)
    out.print(study.sentence(records[-1]), markup=False)


def _number(value: str) -> float:
    try:
        return math.inf if value in ("inf", "one") else float(value)
    except ValueError:
        raise InputError(f"Expected --factor as a number or inf, got {value!r}: 2 halves the vectors.") from None
