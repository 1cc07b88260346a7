"""Sweeps: many experiments that share every stage, in parallel processes when memory allows."""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import psutil

from engine import Collection, Encoder, load_collection
from engine.errors import InputError
from workbench.cache import embeddings_folder
from workbench.experiment import Experiment
from workbench.running import run, run_key
from workbench.runs.record import Run
from workbench.runs.store import runs_folder

TOKENS_PER_SECOND = 4000  # of encoding on two cores, measured with the embedded model; a preflight says "about"
CHARACTERS_PER_TOKEN = 4.5
COPIES = 4  # of the vectors that one run holds at its peak: stored, pooled, as float32, and in the index
PROCESS_BYTES = 900 << 20  # torch, numba and the model
MEMORY_SHARE = 0.7  # of what is free now

OnRun = Callable[[int, int, Run], None]  # runs done, runs in all, the run


@dataclass(frozen=True)
class Preflight:
    """What a sweep will cost, before it starts.

    Args:
        experiments: What will be run.
        known: How many of them are there already.
        encode_tokens: About how many document tokens must be encoded first.
        encode_s: About how long that takes.
        run_bytes: About the memory of one run.
        processes: How many run at once.
    """

    experiments: tuple[Experiment, ...]
    known: int
    encode_tokens: int
    encode_s: float
    run_bytes: int
    processes: int

    def __str__(self) -> str:
        encoding = (
            f"about {self.encode_s / 60:.0f} min of encoding first" if self.encode_tokens else "nothing to encode"
        )
        return (
            f"{len(self.experiments)} experiments, {self.known} known; {encoding}; about {self.run_bytes / 2**30:.1f} "
            f"GiB a run, {self.processes} at once."
        )


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


def preflight(experiments: Sequence[Experiment], processes: int | None = None) -> Preflight:
    """Estimate time and memory of a sweep.

    Args:
        experiments: From `grid`.
        processes: How many at once; None lets the free memory and the cores decide.

    Returns:
        The estimate.

    Raises:
        InputError: fewer than one process.
    """
    return _preflight(experiments, processes, _Loaded())


def _preflight(experiments: Sequence[Experiment], processes: int | None, loaded: _Loaded) -> Preflight:
    if processes is not None and processes < 1:
        raise InputError(f"Expected 1 process or more, got {processes}: leave it out to let memory decide.")
    known = tokens = largest = 0
    seen: set[tuple[str, str, str, str]] = set()
    for experiment in experiments:
        collection, encoder = loaded.collection(experiment), loaded.encoder(experiment)
        known += (runs_folder() / run_key(experiment, collection, encoder)).is_dir()
        texts = list(collection.documents.values())
        limit = encoder.max_length("document") if isinstance(encoder, Encoder) else None
        estimate = sum(min(int(len(text) / CHARACTERS_PER_TOKEN) + 2, limit or 1 << 30) for text in texts)
        largest = max(largest, estimate * encoder.dim * 2 * COPIES)
        key = (experiment.collection, experiment.model, experiment.dtype, experiment.vectors)
        if key not in seen:
            seen.add(key)
            if not (embeddings_folder(encoder, texts, "document", experiment.vectors) / "manifest.json").exists():
                tokens += estimate
    run_bytes = largest + PROCESS_BYTES
    free = psutil.virtual_memory().available
    fit = max(int(free * MEMORY_SHARE // run_bytes), 1)
    chosen = processes or min(fit, os.cpu_count() or 1, max(len(experiments) - known, 1))
    return Preflight(tuple(experiments), known, tokens, tokens / TOKENS_PER_SECOND, run_bytes, chosen)


def sweep(
    experiment: Experiment,
    over: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
    on_run: OnRun | None = None,
    stop: Callable[[], bool] | None = None,
    processes: int | None = None,
) -> list[Run]:
    """Run a grid or a list of experiments; each stage that several share is computed once.

    Runs that exist are found, so that a stopped sweep goes on where it stopped when it is started again.

    Args:
        experiment: What stays the same.
        over: See `grid`.
        on_run: Called with (runs done, runs in all, run) after each.
        stop: Asked between runs, and within them in a single process; True ends the sweep.
        processes: How many at once; None lets the free memory and the cores decide, 1 stays in this process.

    Returns:
        The runs that were finished, in the order of the grid.

    Raises:
        InputError: what `grid` and `run` raise.
    """
    experiments = grid(experiment, over)
    loaded = _Loaded()
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
    at_once = processes or (_preflight([experiments[i] for i in waiting], None, loaded).processes if waiting else 1)
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


class _Loaded:
    """Collections and models of a sweep, each loaded once."""

    def __init__(self) -> None:
        self.collections: dict[str, Collection] = {}
        self.encoders: dict[tuple[str, str], Encoder] = {}

    def collection(self, experiment: Experiment) -> Collection:
        if experiment.collection not in self.collections:
            self.collections[experiment.collection] = load_collection(experiment.collection)
        return self.collections[experiment.collection]

    def encoder(self, experiment: Experiment) -> Encoder:
        key = (experiment.model, experiment.dtype)
        if key not in self.encoders:
            self.encoders[key] = Encoder.load(experiment.model, dtype=experiment.dtype)
        return self.encoders[key]
