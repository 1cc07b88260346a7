"""Sweeps: many experiments that share every stage, in parallel processes when memory allows."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from workbench.elsewhere import place
from workbench.experiments import plan
from workbench.experiments.estimate import preflight
from workbench.experiments.execute import is_kept, run
from workbench.experiments.experiment import Experiment
from workbench.experiments.prepare import STAGES, Loader
from workbench.experiments.progress import Stop
from workbench.runs.record import Run
from workbench.systems.text import late, parse_system

OnRun = Callable[[int, int, Run], None]  # runs done, runs in all, the run


def sweep(
    experiment: Experiment,
    over: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
    on_run: OnRun | None = None,
    stop: Stop | None = None,
    processes: int | None = None,
    loader: Loader | None = None,
) -> list[Run]:
    """Run a grid or a list of experiments; each stage that several share is computed once.

    Runs that exist are found, so that a stopped sweep goes on where it stopped when it is started again.

    Args:
        experiment: What stays the same.
        over: See `plan.grid`.
        on_run: Called with (runs done, runs in all, run) after each.
        stop: Asked between runs, and within them in a single process; True ends the sweep.
        processes: How many at once; None lets the free memory and the cores decide, 1 stays in this process.
        loader: Collections and models that are there already, as from a `preflight`.

    Returns:
        The runs that were finished, in the order of the grid.

    Raises:
        InputError: what `grid` and `run` raise.
    """
    experiments = plan.grid(experiment, over)
    load, halt = loader or Loader(), stop or (lambda: False)
    report = on_run or (lambda done, total, found: None)
    found: dict[int, Run] = {}

    def here(number: int) -> None:
        done = run(experiments[number], None, halt, prepared=load(experiments[number]))
        if done.status == "complete":
            found[number] = done
            report(len(found), len(experiments), done)

    waiting = []
    for number, candidate in enumerate(experiments):
        if is_kept(candidate, load(candidate)):
            here(number)
        else:
            waiting.append(number)
    elsewhere = place()
    if elsewhere is not None:  # all runs are tasks, so that their times were taken alike
        _encode([experiments[number] for number in waiting], load, halt)
        if waiting and not halt():
            for number, done in elsewhere.each(run, [experiments[number] for number in waiting]):
                found[waiting[number]] = done
                report(len(found), len(experiments), done)
                if halt():
                    break
        return [found[number] for number in sorted(found)]
    # The first run of each collection and model encodes for the others, in this process.
    heads = {id(load(experiments[i])): i for i in reversed(waiting)}
    at_once = processes or (preflight([experiments[i] for i in waiting], None, load).processes if waiting else 1)
    alone = sorted(heads.values()) if at_once > 1 else waiting
    for number in alone:
        if halt():
            break
        here(number)
    rest = [number for number in waiting if number not in alone]
    if rest and not halt():
        _in_processes(experiments, rest, at_once, found, report, halt)
    return [found[number] for number in sorted(found)]


def _encode(experiments: Sequence[Experiment], load: Loader, halt: Stop) -> None:
    """Encode what runs share, so that each finds it."""
    for experiment in experiments:
        for task in STAGES:
            if not halt() and (not experiment.system or late(parse_system(experiment.system))):
                load(experiment).encode(task)


def _in_processes(
    experiments: list[Experiment], numbers: list[int], processes: int, found: dict[int, Run], report: OnRun, halt: Stop
) -> None:
    # "spawn", since a fork of a process that uses torch's or numba's threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(numbers)), context) as pool:
        futures = {pool.submit(_run_by_name, experiments[number]): number for number in numbers}
        for future in as_completed(futures):
            if future.cancelled():
                continue
            found[futures[future]] = future.result()
            report(len(found), len(experiments), found[futures[future]])
            if halt():
                pool.shutdown(wait=False, cancel_futures=True)


def _run_by_name(experiment: Experiment) -> Run:
    return run(experiment)
