"""The commands of experiments: `run` and `runs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.errors import InputError
from workbench.cli.options import JsonOption, SplitOption
from workbench.cli.output import note, out, progress_bars, show_json, show_table
from workbench.runs import Run


def run(
    experiment: Annotated[Path, typer.Argument(help="A YAML file; `workbench run --example` prints one.")] = Path("-"),
    name: Annotated[str, typer.Option("--name", help="What to call the run.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Run again what is there already.")] = False,
    split: SplitOption = None,
    example: Annotated[bool, typer.Option("--example", help="Print an experiment with every setting.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run an experiment and keep it; what was computed before is not computed again.

    Example: `workbench run --example > exp.yaml && workbench run exp.yaml`
    """
    from engine.reading import with_split
    from workbench.experiments.execute import run as execute
    from workbench.experiments.experiment import Experiment

    if example:
        out.print(Experiment().to_yaml(every=True))
        return
    if str(experiment) == "-":
        raise InputError("Expected a file with an experiment: `workbench run --example > exp.yaml` makes one.")
    wanted = Experiment.read(experiment)
    wanted = wanted.with_(collection=with_split(wanted.collection, split))
    with progress_bars() as report:
        finished = execute(wanted, report, name=name, force=force)
    if as_json:
        show_json(finished.record)
    else:
        show_run(finished)
    if finished.reused:
        note("This run was there already: nothing was computed.")


def show_run(run: Run) -> None:
    """Print one run: scores with intervals, then its settings that matter."""
    from engine.evaluation import metric_name

    rows = [
        (metric_name(metric), f"{i.mean:.4f}", f"{i.low:.4f} to {i.high:.4f}") for metric, i in run.intervals.items()
    ]
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
        list_all(None, None)


@runs.command("list")
def list_all(
    collection: Annotated[str | None, typer.Option("--collection", help="Only runs on this collection.")] = None,
    status: Annotated[str | None, typer.Option("--status", help="complete, running, interrupted, unreadable.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="Rows of the table; 0 shows all.", min=0)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List runs, the newest first.

    Example: `workbench runs list --collection embedded`
    """
    from engine.evaluation import metric_name
    from workbench.runs import list_runs

    found = list_runs(collection, status)
    if as_json:
        show_json([{"id": run.id, "name": run.name, "status": run.status, "mean": run.mean} for run in found])
        return
    shown = found[: limit or None]
    metrics = list(dict.fromkeys(metric for run in shown for metric in run.mean))[:4]
    rows = [
        (run.id, run.name, run.status, *(f"{run.mean[m]:.4f}" if m in run.mean else "" for m in metrics))
        for run in shown
    ]
    heads = (metric_name(metric).replace("@", "\n@") for metric in metrics)
    show_table(f"{len(found):,} runs", ("run", "what", "state", *heads), rows)
    if len(shown) < len(found):
        note(f"The newest {len(shown)} are shown: --limit 0 shows all.")
    for run in shown:
        if run.status == "interrupted":
            note(f"{run.id} was interrupted: `workbench runs resume {run.id}` takes it up, `runs delete` removes it.")
        if run.problem:
            note(f"{run.id}: {run.problem} `workbench runs delete {run.id}` removes it.")


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


@runs.command("resume")
def resume(
    run_id: Annotated[str, typer.Argument(help="An interrupted run, or the beginning of its name.")],
    as_json: JsonOption = False,
) -> None:
    """Take up an interrupted run: what it kept is used, the rest is computed.

    Example: `workbench runs resume cranfield-3f2a`
    """
    from workbench.experiments.execute import resume as take_up

    with progress_bars() as report:
        finished = take_up(run_id, report)
    if as_json:
        show_json(finished.record)
    else:
        show_run(finished)


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

    imported = import_zip(path)
    note(f"Run {imported.id} is here already." if imported.reused else f"Imported run {imported.id}.")
