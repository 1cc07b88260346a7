"""The commands over several runs: `sweep`, `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from engine.errors import InputError
from workbench.cli.options import JsonOption
from workbench.cli.output import note, out, progress_bars, show_json, show_table


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
    from workbench.experiment import Experiment
    from workbench.sweep import grid, preflight
    from workbench.sweep import sweep as execute

    base, wanted = Experiment.read(experiment), dict(_values(text) for text in over)
    costs = preflight(grid(base, wanted), processes)
    note(str(costs))
    if dry_run:
        return
    with progress_bars() as report:
        done = execute(base, wanted, lambda finished, total, run: report("runs", finished, total), processes=processes)
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
    html: Annotated[Path | None, typer.Option("--html", help="Also write the comparison to this file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare runs: corrected significance tests, intervals, wins and losses by query, overlap of the rankings.

    Example: `workbench compare 3f2a 91bc --name before --name after`
    """
    from dataclasses import asdict

    from engine.storage import replace_text
    from workbench.compare import compare as execute
    from workbench.runs import find

    comparison = execute(*(find(run) for run in runs), names=name, metrics=metric)
    if html is not None:
        replace_text(html, comparison.to_html())
        note(f"Wrote {html}.")
    if as_json:
        show_json(asdict(comparison))
        return
    if latex:
        out.print(comparison.to_latex(), markup=False, soft_wrap=True)
        return
    head, *rows = comparison.rows()
    title = f"{comparison.collection}: {comparison.queries} judged queries, {comparison.test}"
    show_table(title, tuple(head), rows, "letters: significantly above these systems, after Holm's correction")
    for pair in comparison.pairs:
        out.print(
            f"{pair.second} against {pair.first}, {pair.metric}: {pair.difference}, corrected p "
            f"{pair.p_corrected:.3g}, {len(pair.wins)} better, {len(pair.losses)} worse, overlap of the first ten "
            f"{pair.overlap:.2f}",
            markup=False,
            soft_wrap=True,
        )
