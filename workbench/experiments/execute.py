"""Execute: run experiments once and keep them, with progress, to be stopped and taken up again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from engine import Collection, Encoder, storage
from engine.collection import require_judgements
from engine.errors import CorruptDataError, InputError, NotFoundError
from engine.indexes import index_class
from engine.machine import machine, versions
from engine.maxsim import scorers
from engine.statistics import bootstrap
from workbench.cache import content_key
from workbench.environment import git_state
from workbench.experiments import plan
from workbench.experiments.child import ChildError, measure_alone
from workbench.experiments.experiment import EXACT, INDEX, Experiment
from workbench.experiments.measure import Measurement, depth_of, measure
from workbench.experiments.measure_system import measure_system
from workbench.experiments.prepare import Prepared, prepare
from workbench.experiments.progress import Progress, Steps, Stop, Stopped
from workbench.paths import data_folder
from workbench.runs.record import Run, read_record
from workbench.runs.store import abandon, begin, delete, find, finish, runs_folder
from workbench.systems.building import check, identity, packages
from workbench.systems.material import Material
from workbench.systems.text import parse_system


def run(
    experiment: Experiment,
    progress: Progress | None = None,
    stop: Stop | None = None,
    collection: Collection | None = None,
    encoder: Encoder | None = None,
    name: str = "",
    force: bool = False,
    prepared: Prepared | None = None,
    scratch: Path | None = None,
) -> Run:
    """Run an experiment, or find the run of the same experiment on the same texts and the same model.

    Args:
        experiment: What to run.
        progress: Called with (stage, done, total).
        stop: Asked often; True ends the run, and running it again takes up what is kept.
        collection: Already loaded; `experiment.collection` is then only its name.
        encoder: Already loaded; `experiment.model` is then only its name.
        name: What people call the run.
        force: Run again what is there already.
        prepared: Collection and vectors, instead of the two.
        scratch: A folder for indexes that are not kept for next time.

    Returns:
        The run: complete (`.reused` says whether it was found), or interrupted when `stop` said so.

    Raises:
        InputError: the experiment asks for metrics and the collection has no judgements.
        NotFoundError: no such collection or model.
    """
    steps = Steps.of(progress, stop)
    ready = prepared
    if ready is None:
        try:
            steps("load", 0, 1)
            ready = prepare(
                collection or experiment.collection, encoder or experiment.model,
                dtype=experiment.dtype, vectors=experiment.vectors,
            )  # fmt: skip
            steps("load", 1, 1)
        except Stopped:
            raise InputError("The run was stopped before anything was loaded: start it again.") from None
    check_fits(experiment, ready)
    ready = ready.at_dim(experiment.dim)
    run_id = run_key(experiment, ready)
    if not force and (found := _finished(run_id)) is not None:
        steps.progress("reused", 1, 1)
        return replace(found, reused=True)
    record, stale = _described(experiment, ready, name), (runs_folder() / run_id).is_dir()
    folder = begin(run_id, record)
    try:
        take = measure_system if experiment.system else measure
        return _kept(folder, record, ready, take(ready, experiment, steps, scratch), stale)
    except Stopped:
        return abandon(folder)
    except BaseException:
        if folder.exists():
            abandon(folder)
        raise


def check_fits(experiment: Experiment, prepared: Prepared) -> None:
    """Refuse an experiment that a collection and its vectors cannot be measured with, before anything is encoded.

    Raises:
        InputError: no questions, none with judgements where the experiment has metrics of them, a condition that is
            none, a dimension that the model does not have, pooling that does not go with it, or a system whose weights
            nothing can choose.
        MissingExtraError: a stage of a system needs a package that is not installed.
        NotFoundError: it needs a model that is not there.
        UnsupportedError: the model gives no importances of tokens, which the pooling asks for, or the kind of index
            cannot search among some documents, which a condition asks for.
    """
    prepared.at_dim(experiment.dim).pooler.check(experiment.pooling)
    if experiment.system:
        check(parse_system(experiment.system), Material(prepared))
    elif experiment.where:
        index_class(experiment.index, experiment.settings).check_can("subset")
    collection = prepared.where(experiment.where).collection
    if experiment.metrics:
        require_judgements(collection)
    if not collection.queries:
        raise InputError(f"{collection.name!r} has no queries, so nothing can be asked: add queries.jsonl.")


def run_key(experiment: Experiment, prepared: Prepared) -> str:
    """The name of a run: the collection's, and a hash of all that decides its numbers.

    That is the texts, those that are searched, the judgements, what decides the vectors, pooling, the index with all
    its settings, the scorer, how deep is searched, and the metrics with the seed of their intervals; not names, and not
    where it is measured.
    """
    described = experiment.to_dict()
    for name in ("collection", "model", "dtype", "vectors", "dim", "k", "settings", "where"):
        del described[name]
    part = prepared.where(experiment.where)
    if part is not prepared:  # the documents that fit, however the condition is written
        described["among"] = part.key
    if made := prepared.collection.made_record:  # records tell how many a person has confirmed
        described["made"] = made
    if experiment.same_ids == "auto":  # runs of before there was a choice are found again
        del described["same_ids"]
    if not experiment.pool:  # as before there were budgets
        del described["pool"]
    if experiment.pooling.keeps_all:  # without pooling all methods are the same
        del described["pool_method"], described["pool_protected"]
    if experiment.scorer not in (INDEX, EXACT):  # its settings in full, and a hash of weights that were learned
        described["scorer"] = [experiment.scorer, scorers.get(experiment.scorer, experiment.model).describe()]
    if not experiment.system:
        del described["system"]
    settings: Any = identity(experiment.system, prepared) if experiment.system else _settings(experiment)
    key = content_key(prepared.at_dim(experiment.dim).key, described, settings, depth_of(part, experiment))
    plain = re.sub(r"[^A-Za-z0-9]+", "-", prepared.collection.name).strip("-").lower() or "run"
    return f"{plain[:40]}-{key[:12]}"


def _settings(experiment: Experiment) -> dict[str, Any]:
    return asdict(index_class(experiment.index, experiment.settings).parse_settings(experiment.index_settings))


def is_kept(experiment: Experiment, prepared: Prepared) -> bool:
    """Whether the run of an experiment is there already."""
    return _finished(run_key(experiment, prepared)) is not None


def _finished(run_id: str) -> Run | None:
    """A finished run that can be read; one that is damaged is measured again."""
    if not (runs_folder() / run_id).is_dir():
        return None
    try:
        return find(run_id)
    except (NotFoundError, CorruptDataError):
        return None


def _described(experiment: Experiment, prepared: Prepared, name: str) -> dict[str, Any]:
    """What a run's record says before anything is measured."""
    collection, part = prepared.collection, prepared.where(experiment.where).collection
    among = {"where": experiment.where, "documents": len(part.documents), "fingerprint": part.fingerprint}
    return {
        "name": name,
        "created": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "experiment": experiment.to_dict(),
        "collection": collection.describe()
        | {"judgements_fingerprint": content_key(part.qrels)}
        | ({"among": among} if experiment.where else {}),
        "model": prepared.model,
        "versions": versions(packages(experiment.system) if experiment.system else ()),
        "machine": machine(),
        "git": git_state(),
    }


def _kept(folder: Path, described: dict[str, Any], prepared: Prepared, measured: Measurement, stale: bool) -> Run:
    """Finish the run of a measurement; one that was there before it began, which is stale, makes room."""
    asked = prepared.where(described["experiment"]["where"]).collection
    ends = {
        metric: bootstrap(list(v.values()), described["experiment"]["seed"]) for metric, v in measured.per_query.items()
    }
    built, times = measured.built, measured.searched.latencies_ms
    percentiles = zip(("p50", "p95", "p99"), np.percentile(times, [50, 95, 99]).tolist(), strict=True)
    record = described | {
        "index": built.describe,
        "sizes": {"tokens": measured.tokens, "tokens_full": measured.tokens_full, "bytes": built.bytes,
                  "documents": len(prepared.collection.documents), "dim": measured.dim},
        "scores": {metric: end._asdict() for metric, end in ends.items()},
        "judged": len(asked.judged_queries),
        "unjudged": list(measured.unjudged),
        "depth": measured.depth,
        "latency_ms": {**dict(percentiles), "queries": len(times), "each": list(times)},
        "queries_per_second": measured.searched.queries_per_second,
        "costs": {"pool_s": measured.pool_seconds, "build_s": built.seconds, "peak_bytes": built.peak_memory_bytes},
        "measured": {"where": built.where, "threads": built.threads},
        "dependency_defaults": built.dependency_defaults,
        "timings_s": measured.timings,
        "cached": list(measured.cached),
        "search_notes": sorted({note for ranking in measured.searched.rankings for note in ranking.notes}),
        "warnings": list(measured.notes),
        **({"system": {"text": described["experiment"]["system"], "stages": list(measured.stages)}}
           if measured.stages else {}),
    }  # fmt: skip
    target = folder.parent / read_record(folder)["id"]
    if stale and target.is_dir():
        old = folder.with_name(f"{folder.name}.old")
        target.rename(old)  # readers see the old one or the new one
        try:
            finished = finish(folder, record, measured.per_query, measured.rankings)
        except BaseException:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
        return finished
    return finish(folder, record, measured.per_query, measured.rankings)


@dataclass(frozen=True, eq=False)
class RunsAlone:
    """Runs that were measured in a process of their own.

    Args:
        given: With the settings of the experiment.
        tuned: With the first search settings that reach the target; None where none does, or none can be tuned.
        climbed: Whether there was a ladder to climb.
    """

    given: Run
    tuned: Run | None = None
    climbed: bool = False


def run_alone(
    experiment: Experiment, prepared: Prepared, threads: int, target: float | None, steps: Steps, force: bool = False
) -> RunsAlone:
    """Run an experiment in a process of its own, and again with search settings that reach a share of exact results.

    Args:
        experiment: What to run.
        prepared: Collection and vectors.
        threads: For every library.
        target: Share of the exact results (the first k, at most 100); None leaves the second run out.
        steps: Told of the progress.
        force: Run again what is there already.

    Returns:
        The runs; they are found again where they were measured like this before, on this machine with these versions.

    Raises:
        Stopped: the caller asked to stop; the run is left as interrupted.
        WorkbenchError: the kind is not installed, or its process failed.
        InputError: the experiment has a condition.
    """
    if experiment.where:
        raise InputError("An index is measured by itself on all documents: leave the condition out, or use `run`.")
    index_class(experiment.index, experiment.settings).check_installed()
    prepared = prepared.at_dim(experiment.dim)
    rungs = plan.ladder(experiment) if target else ()
    run_id = run_key(experiment, prepared)
    memory = data_folder("cache", "ladders") / f"{content_key(run_id, rungs, target)}.json"
    if not force and (found := _found_alone(experiment, prepared, threads, bool(rungs), memory)) is not None:
        return found
    record, stale = _described(experiment, prepared, ""), (runs_folder() / run_id).is_dir()
    folder = begin(run_id, record)
    try:
        measured = measure_alone(prepared, experiment, threads, rungs, target or 0.0, steps)
        given = _kept(folder, record, prepared, measured.given, stale)
    except ChildError:  # nothing that could be taken up
        shutil.rmtree(folder)
        raise
    except BaseException:
        if folder.exists():
            abandon(folder)
        raise
    tuned = None
    if measured.tuned is not None and measured.rung is not None:
        wanted = _tuned(experiment, measured.rung)
        record, tuned_id = _described(wanted, prepared, ""), run_key(wanted, prepared)
        stale = (runs_folder() / tuned_id).is_dir()
        tuned = _kept(begin(tuned_id, record), record, prepared, measured.tuned, stale)
    storage.replace_text(memory, json.dumps(measured.rung))
    return RunsAlone(given, tuned, bool(rungs))


def _tuned(experiment: Experiment, rung: Mapping[str, Any]) -> Experiment:
    return experiment.with_(settings={**experiment.settings, **rung})


def _found_alone(
    experiment: Experiment, prepared: Prepared, threads: int, climbed: bool, memory: Path
) -> RunsAlone | None:
    """The runs of `run_alone`, where all of them are there and were measured under the same conditions."""
    conditions = {"where": "child", "threads": threads}

    def fitting(wanted: Experiment) -> Run | None:
        found = _finished(run_key(wanted, prepared))
        alike = found is not None and (
            found.record.get("measured"), found.record["versions"], found.record["machine"]
        ) == (conditions, versions(), machine())  # fmt: skip
        return replace(found, reused=True) if found is not None and alike else None

    given = fitting(experiment)
    if given is None or not climbed:
        return None if given is None else RunsAlone(given)
    try:
        rung = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    tuned = None if rung is None else fitting(_tuned(experiment, rung))
    return None if rung is not None and tuned is None else RunsAlone(given, tuned, True)


def resume(run_id: str, progress: Progress | None = None, stop: Stop | None = None) -> Run:
    """Take up an interrupted run: what it kept is used, the rest is computed.

    Args:
        run_id: Its name, or the beginning of it.
        progress: See `run`.
        stop: See `run`.

    Returns:
        The run.

    Raises:
        NotFoundError: there is no such run, or its collection or model is none that a name finds.
    """
    interrupted = find(run_id)
    finished = run(interrupted.experiment, progress, stop, name=interrupted.record.get("name", ""))
    if finished.id != interrupted.id and interrupted.status == "interrupted":
        delete(interrupted.id)  # the texts or the model changed since: what it stood for is gone
    return finished
