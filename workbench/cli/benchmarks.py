"""The command that runs benchmarks by name: `benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from engine.errors import InputError, NotFoundError
from workbench.cli.options import (
    DeviceOption,
    ForceOption,
    IndexOption,
    JsonOption,
    KOption,
    ModelOption,
    OutputOption,
    PoolOption,
    ScorerOption,
    Several,
    SystemOption,
    check_place,
    search_fields,
)
from workbench.cli.output import note, progress_bars, show_json, show_table, write_text

if TYPE_CHECKING:
    from workbench.benchmarks.run import TaskResult


def _check_report(path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in (".md", ".json"):
        raise InputError(f"Expected a file ending in .md or .json, got {str(path)!r}: change the name.")
    return check_place(path)


def benchmark(
    context: typer.Context,
    name: Annotated[str, Argument(help="nanobeir, beir, bright, longembed, vidore, mteb:TASK or irds:NAME.")],
    tasks: Annotated[
        Several, Option(help="Only these tasks, scifact,nfcorpus; repeatable. All of the benchmark if not given.")
    ] = None,
    model: ModelOption = "embedded",
    index: IndexOption = "exact",
    system: SystemOption = "",
    scorer: ScorerOption = "index",
    pool: PoolOption = "",
    k: KOption = 100,
    metric: Annotated[
        Several, Option(help="Repeatable: nDCG@10, R@100, ...; those of the benchmark if not given.")
    ] = None,
    data: Annotated[
        str, Option(help="Where the data is, in the benchmark's layout: a folder, or an owner or dataset on the hub.")
    ] = "",
    device: DeviceOption = "auto",
    dry_run: Annotated[bool, Option("--dry-run", help="Say what would be fetched, and run nothing.")] = False,
    force: ForceOption = False,
    report: Annotated[
        Path | None,
        Option(help="Also write a .md or .json file from which others can repeat it.", callback=_check_report),
    ] = None,
    as_json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Run a benchmark by name: what is fetched is named first, and each task is a run that is found again.

    Example: `workbench benchmark nanobeir --tasks scifact,nfcorpus --index plaid --report nanobeir.md`
    """
    from engine.metrics import check_metrics
    from workbench.benchmarks.catalogue import choose_tasks, find_benchmark
    from workbench.benchmarks.report import columns, rows, sentences, write_report
    from workbench.benchmarks.run import BenchmarkResult, run_tasks
    from workbench.experiments.experiment import Experiment

    chosen = find_benchmark(name)
    names, choice = choose_tasks(chosen, tasks), search_fields(context, index, system, scorer, pool, k)
    Experiment(**choice, metrics=tuple(check_metrics(metric or chosen.metrics)))  # a mistake is known before the work
    _say_downloads(chosen, names, data)
    if dry_run:
        return
    with progress_bars() as told:
        results = run_tasks(chosen, names, model, choice, metric, data, device, told, force)
        done = BenchmarkResult(chosen, choice, model, tuple(map(_said, results)))
    if report is not None:
        write_text(report, write_report(done, _command(context, name), report))
        note(f"Wrote {report}.")
    if as_json or output:
        show_json(done.to_dict(), output)
    else:
        show_table(f"{name}: {model}, {choice['system'] or index}", columns(done), rows(done))
        for sentence in sentences(done):
            note(sentence)
    if all(result.problem for result in done.tasks):
        raise NotFoundError(f"No task of {name} could be measured: connect once, or give its data with --data.")


def _said(result: TaskResult) -> TaskResult:
    """The result of a task, once it is told."""
    if result.problem:
        note(f"{result.task} was not measured: {result.problem}")
    elif result.interval is not None:
        note(f"{result.task}: {result.interval} (run {result.run.id if result.run else ''})")
    return result


def _say_downloads(chosen: Any, names: tuple[str, ...], data: str) -> None:
    """Name each dataset that the tasks read, once, with its size."""
    from workbench.benchmarks.downloads import look_up

    wanted: dict[str, set[str]] = {}
    for task in names:
        for dataset, parts in chosen.datasets(task, data):
            wanted.setdefault(dataset, set()).update(parts)
    if not wanted:
        note(f"{chosen.name} knows itself what it fetches, and keeps it.")
    for dataset, parts in wanted.items():
        note(str(look_up(dataset, sorted(parts))))


def _command(context: typer.Context, name: str) -> list[str]:
    """The words that repeat a call: what was typed, without what only decides where the result goes."""
    words = ["workbench", "benchmark", name]
    for parameter, value in context.params.items():
        source = context.get_parameter_source(parameter)
        if parameter in ("name", "report", "as_json", "output", "force", "dry_run") or source is None:
            continue
        if source.name == "COMMANDLINE":
            option = f"--{parameter.replace('_', '-')}"
            words += [word for entry in (value if isinstance(value, (list, tuple)) else [value])
                      for word in (option, str(entry))]  # fmt: skip
    return words
