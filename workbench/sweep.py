"""Sweeps: many experiments that share every stage, in parallel processes when memory allows."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from engine.errors import InputError
from workbench.experiments.execute import run, run_key
from workbench.experiments.experiment import Experiment
from workbench.experiments.preflight import Loaded, preflight
from workbench.runs.record import Run
from workbench.runs.store import runs_folder

OnRun = Callable[[int, int, Run], None]  # runs done, runs in all, the run


def grid(experiment: Experiment, over: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]) -> list[Experiment]:
    """All experiments of a sweep.

    Args:
        experiment: What stays the same.
        over: Field -> values, every combination ({"pool_factor": [1, 2], "settings.bits": [2, 4]}); or a list of
            changes, one an experiment.

    Returns:
        The experiments without repetitions, the last field changing fastest.

    Raises:
        InputError: an unknown field, an impossible value, or nothing to vary.
    """
    if isinstance(over, Mapping):
        for name, values in over.items():
            if isinstance(values, (str, bytes)) or not isinstance(values, Sequence) or not values:
                raise InputError(f"Expected a list of values for {name}, got {values!r}: write [..., ...].")
        changes = [dict(zip(over, values, strict=True)) for values in itertools.product(*over.values())]
    else:
        changes = [dict(change) for change in over]
    if not changes or changes == [{}]:
        raise InputError("Expected something to vary, got nothing: name a field and its values.")
    found: list[Experiment] = []
    for change in changes:
        candidate = experiment.with_(**change)
        if candidate not in found:
            found.append(candidate)
    return found


def sweep(
    experiment: Experiment,
    over: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
    on_run: OnRun | None = None,
    stop: Callable[[], bool] | None = None,
    processes: int | None = None,
    loaded: Loaded | None = None,
) -> list[Run]:
    """Run a grid or a list of experiments; each stage that several share is computed once.

    Runs that exist are found, so that a stopped sweep goes on where it stopped when it is started again.

    Args:
        experiment: What stays the same.
        over: See `grid`.
        on_run: Called with (runs done, runs in all, run) after each.
        stop: Asked between runs, and within them in a single process; True ends the sweep.
        processes: How many at once; None lets the free memory and the cores decide, 1 stays in this process.
        loaded: Collections and models that are there already, as from a `preflight`.

    Returns:
        The runs that were finished, in the order of the grid.

    Raises:
        InputError: what `grid` and `run` raise.
    """
    experiments = grid(experiment, over)
    loaded = loaded or Loaded()
    halt = stop or (lambda: False)
    report = on_run or (lambda done, total, found: None)
    found: dict[int, Run] = {}
    waiting: list[int] = []
    for number, candidate in enumerate(experiments):
        if (runs_folder() / run_key(candidate, loaded.collection(candidate), loaded.encoder(candidate))).is_dir():
            found[number] = run(candidate, None, None, loaded.collection(candidate), loaded.encoder(candidate))
            report(len(found), len(experiments), found[number])
        else:
            waiting.append(number)
    # The first run of each collection and model encodes for the others, in this process.
    heads = {(experiments[i].collection, experiments[i].model, experiments[i].dtype): i for i in reversed(waiting)}
    at_once = processes or (preflight([experiments[i] for i in waiting], None, loaded).processes if waiting else 1)
    alone = sorted(heads.values()) if at_once > 1 else waiting
    for number in alone:
        if halt():
            break
        candidate = experiments[number]
        done = run(candidate, None, halt, loaded.collection(candidate), loaded.encoder(candidate))
        if done.status == "complete":
            found[number] = done
            report(len(found), len(experiments), done)
    rest = [number for number in waiting if number not in alone]
    if rest and not halt():
        _in_processes(experiments, rest, at_once, found, report, halt)
    return [found[number] for number in sorted(found)]


def _in_processes(
    experiments: list[Experiment], numbers: list[int], processes: int, found: dict[int, Run], report: OnRun,
    halt: Callable[[], bool],
) -> None:  # fmt: skip
    # "spawn", since a fork of a process that uses torch's or numba's threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(numbers)), context) as pool:
        futures = {pool.submit(_run_alone, experiments[number]): number for number in numbers}
        for future in as_completed(futures):
            if future.cancelled():
                continue
            found[futures[future]] = future.result()
            report(len(found), len(experiments), found[futures[future]])
            if halt():
                pool.shutdown(wait=False, cancel_futures=True)


def _run_alone(experiment: Experiment) -> Run:
    return run(experiment)
