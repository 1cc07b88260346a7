"""The commands over several runs: `sweep`, `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from engine.errors import CorruptDataError, InputError
from workbench.cli.options import JsonOption, check_place
from workbench.cli.output import note, out, progress_bars, show_json, show_table, write_text

if TYPE_CHECKING:
    from workbench.experiments.views.comparison import Comparison
    from workbench.runs import Run


def sweep(
    experiment: Annotated[Path, typer.Argument(help="A YAML file with what stays the same.", exists=True)],
    over: Annotated[list[str], typer.Option("--over", help="Repeatable: name=value,value; every combination is run.")],
    processes: Annotated[int | None, typer.Option("--processes", help="At once; memory and cores decide.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, run nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run every combination of some settings; stages that runs share are computed once, finished runs are found again.

    Example: `workbench sweep exp.yaml --over pool_factor=1,2,4 --over index=exact,plaid`
    """
    from workbench.experiments.experiment import Experiment
    from workbench.experiments.plan import grid
    from workbench.experiments.preflight import preflight
    from workbench.experiments.prepare import Loader
    from workbench.experiments.sweep import sweep as execute

    base, wanted = Experiment.read(experiment), dict(_values(text) for text in over)
    loader = Loader()
    costs = preflight(grid(base, wanted), processes, loader)
    note(str(costs))
    if dry_run:
        return
    with progress_bars() as report:
        done = execute(
            base,
            wanted,
            lambda finished, total, run: report("runs", finished, total),
            processes=processes,
            loader=loader,
        )
    reused = sum(run.reused for run in done)
    note(f"{len(done) - reused} run, {reused} were there already." if reused < len(done)
         else f"All {len(done)} runs were there already: nothing was computed.")  # fmt: skip
    if as_json:
        show_json([run.record for run in done])
        return
    metrics = list(base.metrics)
    rows = [(run.name, run.id, *(f"{run.mean[metric]:.4f}" for metric in metrics)) for run in done]
    show_table(f"{len(done)} runs", ("what", "run", *metrics), rows)


def _values(text: str) -> tuple[str, list[Any]]:
    name, _, values = text.partition("=")
    if not name or not values:
        raise InputError(f"Expected --over as name=value,value, got {text!r}: try pool_factor=1,2,4.")
    return name, [yaml.safe_load(value) for value in values.split(",")]


def compare(
    runs: Annotated[list[str], typer.Argument(help="Two or more runs, or the beginnings of their names.")],
    name: Annotated[list[str] | None, typer.Option("--name", help="Repeatable, what to call them, in order.")] = None,
    metric: Annotated[list[str] | None, typer.Option("--metric", help="Repeatable; all that they share.")] = None,
    latex: Annotated[bool, typer.Option("--latex", help="Print a LaTeX table.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write the comparison to this file.", callback=check_place)
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", help="Also run each under so many seeds: is a difference more than seed noise?")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare runs: corrected significance tests, intervals, wins and losses by query, overlap of the rankings.

    Example: `workbench compare 3f2a 91bc --name before --name after`
    """
    from dataclasses import asdict

    from workbench.experiments.views.comparison import compare as execute
    from workbench.experiments.views.comparison_page import comparison_page

    if name is not None and len(name) != len(runs):
        raise InputError(f"Expected {len(runs)} names, one a run, got {len(name)}: name each.")
    found, names = _readable(runs, name)
    comparison = execute(*found, names=names, metrics=metric)
    if html is not None:
        write_text(html, comparison_page(comparison, _queries_of(found[0])))
        note(f"Wrote {html}.")
    if as_json:
        show_json(asdict(comparison))
        return
    if latex:
        out.print(comparison.to_latex(), soft_wrap=True)
        return
    head, *rows = comparison.rows()
    title = f"{comparison.collection}: {comparison.queries} judged queries, {comparison.test}"
    show_table(title, tuple(head), rows, "letters: significantly above these systems, after Holm's correction")
    for pair in comparison.pairs:
        out.print(
            f"{pair.second} against {pair.first}, {pair.metric}: {pair.difference}, corrected p "
            f"{pair.p_corrected:.3g}, {len(pair.wins)} better, {len(pair.losses)} worse, overlap of the first ten "
            f"{pair.overlap:.2f}",
            soft_wrap=True,
        )
    if seeds:
        _show_noise(found, list(comparison.scores), comparison, seeds)


def _readable(runs: list[str], names: list[str] | None) -> tuple[list[Run], list[str] | None]:
    """The runs that can be read, with their names; the others are told about, unless fewer than two would be left."""
    from workbench.runs import find

    kept, problems = [], []
    for position, wanted in enumerate(runs):
        try:
            run = find(wanted)
            run.check()
            kept.append((position, run))
        except CorruptDataError as error:
            problems.append(error)
    if problems and len(kept) < 2:
        raise problems[0]
    for problem in problems:
        note(f"Left out: {problem}")
    return [run for _, run in kept], None if names is None else [names[position] for position, _ in kept]


def _queries_of(run: Run) -> dict[str, str]:
    """The texts of a run's queries, where its collection is still there."""
    from engine import load_collection
    from engine.errors import WorkbenchError

    try:
        return load_collection(run.experiment.collection).queries
    except WorkbenchError:
        return {}


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
