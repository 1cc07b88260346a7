"""Run an experiment: only what is not kept from before, with progress, to be stopped and taken up again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

import numpy as np

from engine import Collection, Encoder, TokenEmbeddings, evaluate, load_collection, rerank
from engine.errors import InputError
from engine.indexes import Index
from engine.machine import machine, versions
from engine.retrieval import Ranking
from engine.statistics import bootstrap
from workbench.cache import cached_embeddings, cached_index, cached_pooled, content_key, embeddings_folder
from workbench.environment import git_state
from workbench.experiments.experiment import Experiment
from workbench.runs.record import Run
from workbench.runs.store import abandon, begin, delete, find, finish, runs_folder

STAGES = ("load", "encode documents", "encode queries", "pool", "index", "search", "evaluate")
TIMED_QUERIES = 50
NAMED = 5  # ids that a warning names


@dataclass(frozen=True)
class RunEvent:
    """Progress of a run.

    Args:
        stage: One of STAGES, or "reused" or "done".
        done: How much of the stage.
        total: Of how much.
        cached: Whether the stage took its result from before.
        seconds: How long the stage took, at its end.
    """

    stage: str
    done: int
    total: int
    cached: bool = False
    seconds: float | None = None


OnEvent = Callable[[RunEvent], None]


class _Stopped(Exception):
    """The caller asked to stop; never leaves this module."""


@dataclass
class _Job:
    """What one run knows while it goes on."""

    experiment: Experiment
    on_event: OnEvent
    stop: Callable[[], bool]
    timings: dict[str, float] = field(default_factory=dict)
    cached: list[str] = field(default_factory=list)

    def report(self, stage: str, done: int, total: int) -> None:
        if self.stop():
            raise _Stopped
        self.on_event(RunEvent(stage, done, total))

    @contextmanager
    def stage(self, name: str, total: int = 1) -> Iterator[None]:
        """Time a stage and report its beginning and its end."""
        self.report(name, 0, total)
        start = time.perf_counter()
        yield
        self.timings[name] = time.perf_counter() - start
        self.on_event(RunEvent(name, total, total, name in self.cached, self.timings[name]))


def run(
    experiment: Experiment,
    on_event: OnEvent | None = None,
    stop: Callable[[], bool] | None = None,
    collection: Collection | None = None,
    encoder: Encoder | None = None,
    name: str = "",
    force: bool = False,
) -> Run:
    """Run an experiment, or find the run of the same experiment on the same texts and the same model.

    Args:
        experiment: What to run.
        on_event: Called with each RunEvent.
        stop: Asked often; True ends the run, and running it again takes up what is kept.
        collection: Already loaded; `experiment.collection` is then only its name.
        encoder: Already loaded; `experiment.model` is then only its name.
        name: What people call the run.
        force: Run again what is there already.

    Returns:
        The run: complete (`.reused` says whether it was found), or interrupted when `stop` said so.

    Raises:
        InputError: the collection has no judgements.
        NotFoundError: no such collection or model.
    """
    job = _Job(experiment, on_event or (lambda event: None), stop or (lambda: False))
    try:
        with job.stage("load"):
            loaded = collection or load_collection(experiment.collection)
            if not loaded.judged_queries:
                raise InputError(f"{loaded.name!r} has no judgements, so nothing can be evaluated: add qrels.")
            model = encoder or Encoder.load(experiment.model, dtype=experiment.dtype)
    except _Stopped:
        raise InputError("The run was stopped before anything was loaded: start it again.") from None
    run_id = run_key(experiment, loaded, model)
    if not force and (runs_folder() / run_id).is_dir():
        job.on_event(RunEvent("reused", 1, 1, cached=True))
        return replace(find(run_id), reused=True)
    if force and (runs_folder() / run_id).is_dir():
        delete(run_id)
    return _execute(job, run_id, loaded, model, name)


def run_key(experiment: Experiment, collection: Collection, encoder: Encoder) -> str:
    """The name of a run: the collection's, and a hash of the experiment, the texts, the judgements and the model."""
    described = experiment.to_dict() | {"collection": collection.fingerprint, "model": encoder.fingerprint}
    plain = re.sub(r"[^A-Za-z0-9]+", "-", collection.name).strip("-").lower() or "run"
    key = content_key(described, experiment.index_settings, encoder.dtype, encoder.device.partition(":")[0])
    return f"{plain[:40]}-{key[:12]}"


def _execute(job: _Job, run_id: str, collection: Collection, encoder: Encoder, name: str) -> Run:
    record = {
        "name": name,
        "created": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "experiment": job.experiment.to_dict(),
        "collection": collection.describe() | {"judgements_fingerprint": content_key(collection.qrels)},
        "model": encoder.describe(),
        "versions": versions(),
        "machine": machine(),
        "git": git_state(),
    }
    folder = begin(run_id, record)
    try:
        results, scores, rankings = _stages(job, collection, encoder)
    except _Stopped:
        return abandon(folder)
    except BaseException:
        abandon(folder)
        raise
    finished = finish(folder, record | results, scores, rankings)
    job.on_event(RunEvent("done", 1, 1))
    return finished


def _stages(
    job: _Job, collection: Collection, encoder: Encoder
) -> tuple[dict[str, Any], dict[str, dict[str, float]], dict[str, Ranking]]:
    """Encode, pool, index, search and evaluate; the rest of the record, the scores and the rankings."""
    experiment = job.experiment
    full, queries = [_encoded(job, collection, encoder, task) for task in ("document", "query")]
    texts = list(collection.documents.values())
    source = embeddings_folder(encoder, texts, "document", experiment.vectors).name
    with job.stage("pool"):
        shape = (experiment.pool_factor, experiment.pool_method, experiment.pool_protected)
        documents, kept = cached_pooled(full, source, *shape)
        if kept:
            job.cached.append("pool")
    with job.stage("index"):
        ids = list(collection.documents)
        index, kept = cached_index(experiment.index, ids, documents, **experiment.index_settings)
        if kept:
            job.cached.append("index")
    with job.stage("search", len(queries)):
        rankings, latencies = _search(job, index, queries)
        if experiment.scorer == "exact":
            rankings = rerank(queries, [ranking.ids for ranking in rankings], ids, full, experiment.k)
    found = dict(zip(collection.queries, rankings, strict=True))
    with job.stage("evaluate"):
        scores = evaluate(found, collection, experiment.metrics)
        ends = {m: bootstrap(list(v.values()), experiment.seed) for m, v in scores.per_query.items()}
    p50, p95 = np.percentile(latencies, [50, 95])
    results = {
        "index": index.describe(),
        "sizes": {"tokens": documents.n_tokens, "tokens_full": full.n_tokens, "bytes": index.describe()["bytes"]},
        "scores": {metric: end._asdict() for metric, end in ends.items()},
        "judged": len(next(iter(scores.per_query.values()))),
        "unjudged": list(scores.unjudged),
        "latency_ms": {"p50": float(p50), "p95": float(p95), "queries": len(latencies)},
        "timings_s": job.timings,
        "cached": job.cached,
        "warnings": _warnings(collection, full, queries, scores.unjudged, found),
    }
    return results, scores.per_query, found


def _encoded(job: _Job, collection: Collection, encoder: Encoder, task: Any) -> TokenEmbeddings:
    texts = list((collection.documents if task == "document" else collection.queries).values())
    name = "encode documents" if task == "document" else "encode queries"
    with job.stage(name, len(texts)):
        worked: list[int] = []

        def progress(done: int, total: int) -> None:
            worked.append(done)
            job.report(name, done, total)

        embeddings = cached_embeddings(encoder, texts, task, progress, job.experiment.vectors)
        if not worked:
            job.cached.append(name)
    return embeddings


def _search(job: _Job, index: Index, queries: TokenEmbeddings) -> tuple[list[Ranking], list[float]]:
    """All rankings, and the milliseconds of the first questions asked one at a time."""
    k, latencies = job.experiment.k, []
    for position in range(min(TIMED_QUERIES, len(queries))):
        single = queries.select([position])
        if position == 0:
            index.search(single, k=k)  # memory is mapped and kernels are compiled before the clock starts
        start = time.perf_counter()
        index.search(single, k=k)
        latencies.append(1000 * (time.perf_counter() - start))
        job.report("search", position, len(queries))
    return index.search(queries, k=k), latencies


def _warnings(
    collection: Collection,
    documents: TokenEmbeddings,
    queries: TokenEmbeddings,
    unjudged: tuple[str, ...],
    rankings: dict[str, Ranking],
) -> list[str]:
    found = list(collection.notes)
    for kind, vectors in (("documents", documents), ("queries", queries)):
        if vectors.truncated:
            found.append(f"{vectors.truncated} of {len(vectors)} {kind} were cut at the model's maximum length.")
    if unjudged:
        named = ", ".join(unjudged[:NAMED]) + (", ..." if len(unjudged) > NAMED else "")
        found.append(f"{len(unjudged)} queries have no judgements and are left out of the scores: {named}.")
    empty = [query for query, ranking in rankings.items() if not len(ranking)]
    if empty:
        found.append(f"{len(empty)} queries found nothing and count as 0: {', '.join(empty[:NAMED])}.")
    return found + sorted({note for ranking in rankings.values() for note in ranking.notes})


def resume(run_id: str, on_event: OnEvent | None = None, stop: Callable[[], bool] | None = None) -> Run:
    """Take up an interrupted run: what it kept is used, the rest is computed.

    Args:
        run_id: Its name, or the beginning of it.
        on_event: See `run`.
        stop: See `run`.

    Returns:
        The run.

    Raises:
        NotFoundError: there is no such run.
    """
    interrupted = find(run_id)
    finished = run(interrupted.experiment, on_event, stop, name=interrupted.record.get("name", ""))
    if finished.id != interrupted.id and interrupted.status == "interrupted":
        delete(interrupted.id)  # the texts or the model changed since: what it stood for is gone
    return finished
