"""The commands on runs that are kept: `runs`, `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from engine.errors import CorruptDataError, InputError
from workbench.cli.options import JsonOption, Several, check_place
from workbench.cli.output import note, out, progress_bars, show_json, show_table, write_text

if TYPE_CHECKING:
    from workbench.experiments.views.comparison import Comparison
    from workbench.runs import Run


def show_run(run: Run) -> None:
    """Print one run: scores with intervals, then its settings that matter."""
    from engine.metrics import metric_name

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
    collection: Annotated[str | None, Option(help="Only runs on this collection, by its name.")] = None,
    status: Annotated[
        str | None, Option(help="Only runs in this state: complete, running, interrupted or unreadable.")
    ] = None,
    limit: Annotated[int, Option(help="Rows of the table; 0 shows all.", min=0)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List runs, the newest first.

    Example: `workbench runs list --collection embedded`
    """
    from engine.metrics import metric_name
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
    run_id: Annotated[str, Argument(help="A run, or the beginning of its name.")], as_json: JsonOption = False
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
    run_id: Annotated[str, Argument(help="An interrupted run, or the beginning of its name.")],
    as_json: JsonOption = False,
) -> None:
    """Take up an interrupted run: what it kept is used, the rest is computed.

    Example: `workbench runs resume 3f2a`
    """
    from workbench.experiments.execute import resume as take_up

    with progress_bars() as report:
        finished = take_up(run_id, report)
    if as_json:
        show_json(finished.record)
    else:
        show_run(finished)


@runs.command("delete")
def delete(run_id: Annotated[str, Argument(help="The whole name of a run.")]) -> None:
    """Delete a run.

    Example: `workbench runs delete 3f2a91c0b7d4e5f6`
    """
    from workbench.runs import delete as remove

    remove(run_id)
    note(f"Deleted run {run_id}.")


@runs.command("export")
def export(
    run_id: Annotated[str, Argument(help="A run, or the beginning of its name.")],
    path: Annotated[Path, Argument(help="A .zip for another machine, or a .trec file of its rankings.")],
) -> None:
    """Write a run to a file: a zip that another machine imports, or rankings in TREC format.

    Example: `workbench runs export 3f2a run.zip`
    """
    from workbench.runs import export as write_zip
    from workbench.runs import to_trec

    written = to_trec(run_id, path) if path.suffix in (".trec", ".run", ".txt") else write_zip(run_id, path)
    note(f"Wrote {written}.")


@runs.command("import")
def import_run(path: Annotated[Path, Argument(help="A zip from `workbench runs export`.", exists=True)]) -> None:
    """Import a run that another machine exported.

    Example: `workbench runs import run.zip`
    """
    from workbench.runs import import_zip

    imported = import_zip(path)
    note(f"Run {imported.id} is here already." if imported.reused else f"Imported run {imported.id}.")


def compare(
    runs: Annotated[list[str], Argument(help="Two or more: runs, beginnings of their names, TREC run files.")],
    name: Annotated[Several, Option(help="Repeatable: what to call the runs, in their order.")] = None,
    metric: Annotated[
        Several, Option(help="Repeatable: what to compare; all metrics that the runs share if not given.")
    ] = None,
    test: Annotated[
        str, Option(help="Significance test, paired by query: student (t-test) or randomization.")
    ] = "student",
    correction: Annotated[
        str, Option(help="Correction of p for the number of comparisons: holm, bonferroni or none.")
    ] = "holm",
    collection: Annotated[
        str, Option(help="Collection by which TREC run files are judged; that of the first run if not given.")
    ] = "",
    latex: Annotated[bool, Option("--latex", help="Print a LaTeX table.")] = False,
    html: Annotated[Path | None, Option(help="Also write the comparison to this file.", callback=check_place)] = None,
    seeds: Annotated[
        int,
        Option(help="Also repeat each run under so many seeds, to see whether a difference is more than their noise."),
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare runs: corrected significance tests, intervals, wins and losses by query, overlap of the rankings.

    A file of a TREC run stands beside the runs that are kept, judged by the same collection.

    Example: `workbench compare 3f2a 91bc other.trec --name before --name after --name theirs`
    """
    from dataclasses import asdict

    from workbench.experiments.views.comparison import compare as execute
    from workbench.experiments.views.comparison_page import comparison_page
    from workbench.runs.foreign import ForeignRun

    if name is not None and len(name) != len(runs):
        raise InputError(f"Expected {len(runs)} names, one a run, got {len(name)}: name each.")
    found, names = _readable(runs, name, collection, metric)
    if seeds and any(isinstance(run, ForeignRun) for run in found):
        raise InputError("A run file has no seeds that it could be run under: leave --seeds or the file out.")
    comparison = execute(*found, names=names, metrics=metric, test=test, correction=correction)
    if html is not None:
        write_text(html, comparison_page(comparison, _queries_of(found[0])))
        note(f"Wrote {html}.")
    if as_json:
        show_json(asdict(comparison))
    elif latex:
        out.print(comparison.to_latex(), soft_wrap=True)
    else:
        _show_comparison(comparison)
        if seeds:
            _show_noise(found, list(comparison.scores), comparison, seeds)


def _show_comparison(comparison: Comparison) -> None:
    """Print the table, then a sentence a pair."""
    head, *rows = comparison.rows()
    title = f"{comparison.collection}: {comparison.queries} judged queries, {comparison.test}"
    show_table(title, tuple(head), rows, f"letters: significantly above these systems, {comparison.corrected}")
    for pair in comparison.pairs:
        out.print(str(pair), soft_wrap=True)


def _readable(
    runs: list[str], names: list[str] | None, collection: str, metrics: list[str] | None
) -> tuple[list[Run], list[str] | None]:
    """The runs that can be read, with their names; the others are told about, unless fewer than two would be left."""
    from workbench.runs import find
    from workbench.runs.foreign import SUFFIXES

    files = [text for text in runs if Path(text).suffix in SUFFIXES and Path(text).is_file()]
    if collection and not files:
        raise InputError("Runs that are kept have their collection, so --collection means nothing: leave it out.")
    kept, problems = [], []
    for position, wanted in enumerate(runs):
        if wanted in files:
            continue
        try:
            run = find(wanted)
            run.check()
            kept.append((position, run))
        except CorruptDataError as error:
            problems.append(error)
    if problems and len(kept) + len(files) < 2:
        raise problems[0]
    for problem in problems:
        note(f"Left out: {problem}")
    if files:
        scored = _scored(files, collection, kept[0][1] if kept else None, metrics)
        kept += [(position, scored[wanted]) for position, wanted in enumerate(runs) if wanted in files]
        kept.sort(key=lambda entry: entry[0])
    return [run for _, run in kept], None if names is None else [names[position] for position, _ in kept]


def _scored(files: list[str], source: str, beside: Run | None, metrics: list[str] | None) -> dict[str, Run]:
    """TREC run files, scored as a run that is kept was, or by a collection that was named."""
    from engine import load_collection
    from engine.metrics import DEFAULT_METRICS
    from workbench.runs.foreign import read_foreign

    if beside is None and not source:
        raise InputError("Expected a collection to judge run files by: name it with --collection.")
    source = source or (beside.experiment.collection if beside is not None else "")
    collection = load_collection(source)
    wanted = metrics or (beside.judged_metrics if beside is not None else DEFAULT_METRICS)
    rule = beside.experiment.same_ids if beside is not None else "auto"
    return {path: read_foreign(path, collection, wanted, rule, source=source) for path in files}


def _queries_of(run: Run) -> dict[str, str]:
    """The texts of a run's queries; where its collection is gone or has changed, none, and a note says so."""
    from engine import load_collection
    from engine.errors import WorkbenchError

    try:
        collection = load_collection(run.experiment.collection)
    except WorkbenchError as error:
        note(f"The page names queries without their texts: {error}")
        return {}
    if collection.fingerprint != run.record["collection"]["fingerprint"]:
        note(f"The page names queries without their texts: {collection.name} has changed since it was measured.")
        return {}
    return collection.queries


def _show_noise(found: list[Run], names: list[str], comparison: Comparison, seeds: int) -> None:
    """Say of each difference whether it is larger than what seeds alone make of either system."""
    from workbench.experiments.studies import seed_noise

    for metric in next(iter(comparison.scores.values())):
        with progress_bars() as report:
            noises = {
                name: seed_noise(
                    run.experiment, range(seeds), metric, lambda done, total, _, name=name: report(name, done, total), 1
                )
                for name, run in zip(names, found, strict=True)
            }
        for name, noise in noises.items():
            out.print(f"{name}, {noise}", soft_wrap=True)
        for pair in comparison.pairs:
            if pair.metric == metric:
                widest = max((noises[pair.first], noises[pair.second]), key=lambda noise: noise.spread)
                verdict = "larger" if widest.exceeded_by(pair.difference.mean) else "not larger"
                out.print(
                    f"{pair.second} against {pair.first}, {metric}: {pair.difference.mean:+.4f} is {verdict} than what "
                    f"{seeds} seeds alone make ({widest.spread:.4f}).",
                    soft_wrap=True,
                )  # fmt: skip
