"""Measure: one experiment on prepared vectors to one `Measurement`, by one protocol wherever it is asked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engine import Ranking, TokenEmbeddings, evaluate, rerank
from engine.evaluation import search_depth
from engine.maxsim import scorers
from engine.simd.threads import thread_count
from workbench.cache import cached_index, searched_bytes
from workbench.experiments.experiment import EXACT as EXACT_SCORER
from workbench.experiments.experiment import INDEX, Experiment
from workbench.experiments.prepare import STAGES, TRUTH_DEPTH, Prepared
from workbench.experiments.progress import SILENT, Steps
from workbench.experiments.unread import cut_note
from workbench.runs.record import EXACT

WARM_UP = 8  # searches before the clock counts: files are read, codes that pay only for several queries are built
TIMED = 100  # queries asked one at a time, for latencies; the others are handed over at once, for throughput
BATCH = 64  # queries that throughput is measured with at least, where there are as many
NAMED = 5  # ids that a warning names


@dataclass(frozen=True, eq=False)
class Built:
    """An index that was built, and what that took.

    Args:
        describe: See `Index.describe`.
        bytes: Of the files that a search reads; None where they are on another machine.
        seconds: Of adding all documents to an empty index; None for one that was found and nobody knows any more.
        peak_memory_bytes: How far building and searching raised the resident memory of the index's own process; None
            when it had none of its own.
        dependency_defaults: Defaults of the library below, by name.
        threads: How many each library was told to use.
        where: "here", or "child": in a process of its own.
    """

    describe: dict[str, Any]
    bytes: int | None
    seconds: float | None
    peak_memory_bytes: int | None = None
    dependency_defaults: dict[str, Any] = field(default_factory=dict)
    threads: int = 0
    where: str = "here"


@dataclass(frozen=True, eq=False)
class Searched:
    """What searching all queries gave.

    Args:
        rankings: One a query.
        latencies_ms: Wall milliseconds of single queries, of the first 100.
        queries_per_second: With the others handed over at once (with the first 64 where fewer are left).
    """

    rankings: tuple[Ranking, ...]
    latencies_ms: tuple[float, ...]
    queries_per_second: float


@dataclass(frozen=True, eq=False)
class Measurement:
    """What one experiment gave.

    Args:
        built: The index.
        searched: Its answers and how long they took.
        depth: Documents a query that were searched for: k, or as many as a metric looks at.
        rankings: Query -> ranking, after the scorer.
        per_query: Metric -> {query: value}: of the judged queries; and "exact@10", "exact@100" of all queries, the
            share of the best documents by exact MaxSim that were found.
        unjudged: Queries that were left out of the judged metrics.
        tokens: Vectors in the index.
        tokens_full: Vectors before pooling.
        dim: Their dimension.
        pool_seconds: Of pooling; None for pooled vectors that were found and nobody knows any more.
        timings: Stage -> seconds in this process.
        cached: Stages that took their result from before.
        notes: What a reader of the numbers has to know.
        stages: Of a system: what each stage is, holds and takes; see `workbench.systems.system.stage_table`.
    """

    built: Built
    searched: Searched
    depth: int
    rankings: dict[str, Ranking]
    per_query: dict[str, dict[str, float]]
    unjudged: tuple[str, ...]
    tokens: int
    tokens_full: int
    dim: int
    pool_seconds: float | None
    timings: dict[str, float]
    cached: tuple[str, ...]
    notes: tuple[str, ...]
    stages: tuple[dict[str, Any], ...] = ()


class Searcher(Protocol):
    """What is measured: an index, or a system, with queries that can be counted and selected."""

    def search(self, queries: Any, k: int, subset: Sequence[str] | None, /) -> list[Ranking]:
        """One ranking a query, among some ids or all."""
        ...


class Clock:
    """Times the stages of a measurement, and tells of their beginning and end.

    Args:
        steps: Told of each.
    """

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.timings: dict[str, float] = {}
        self.cached: list[str] = []

    @contextmanager
    def stage(self, name: str, total: int = 1) -> Iterator[None]:
        """Time what happens within."""
        self.steps(name, 0, total)
        start = time.perf_counter()
        yield
        self.timings[name] = time.perf_counter() - start
        self.steps(name, total, total)


def measure(
    prepared: Prepared, experiment: Experiment, steps: Steps = SILENT, scratch: Path | None = None
) -> Measurement:
    """Build the index of an experiment, or open the one kept, and measure it in this process.

    Args:
        prepared: Collection and vectors.
        experiment: What to do with them.
        steps: Told of the progress.
        scratch: A folder for the index, instead of keeping it for next time.

    Returns:
        The measurement.

    Raises:
        Stopped: the caller asked to stop.
    """
    clock, part = Clock(steps), prepared.where(experiment.where)
    subset = list(part.collection.documents) if experiment.where else None
    documents, pool_seconds = ready_documents(prepared, experiment, clock, keep=scratch is None)
    with clock.stage("index", len(documents)):
        names, settings = list(prepared.collection.documents), experiment.index_settings
        told = partial(steps, "index")
        index, seconds, kept = cached_index(experiment.index, names, documents, scratch, told, **settings)
        if kept:
            clock.cached.append("index")
    with clock.stage("search", len(part.queries)):
        searched = search(index, part.queries, depth_of(part, experiment), steps, subset)
    built = Built(index.describe(), searched_bytes(index), seconds, None, index.dependency_defaults(), thread_count())
    measured = assess(part, experiment, built, searched, documents, pool_seconds, clock)
    return replace(measured, tokens_full=prepared.documents.n_tokens)


def ready_documents(
    prepared: Prepared, experiment: Experiment, clock: Clock, keep: bool = True
) -> tuple[TokenEmbeddings, float | None]:
    """Encode and pool what an experiment needs; its documents, and the seconds that pooling took."""
    for task, name in STAGES.items():
        texts = prepared.collection.documents if task == "document" else prepared.collection.queries
        with clock.stage(name, len(texts)):
            if prepared.encode(task, clock.steps)[1]:
                clock.cached.append(name)
    with clock.stage("pool"):
        documents, seconds, kept = prepared.pooled(experiment.pooling, keep, clock.steps)
        if kept and not experiment.pooling.keeps_all:
            clock.cached.append("pool")
    return documents, seconds


def depth_of(prepared: Prepared, experiment: Experiment) -> int:
    """How many documents a query an experiment searches for: as deep as its metrics look."""
    return search_depth(experiment.metrics, experiment.k, prepared.collection, experiment.same_ids)


def search(
    index: Searcher, queries: Any, k: int, steps: Steps = SILENT, subset: Sequence[str] | None = None
) -> Searched:
    """Search all queries: after a warm-up the first hundred one at a time on the clock, the others at once.

    Args:
        index: The index, or a system.
        queries: m queries, or what `System.ask` made of them.
        k: Documents a query.
        steps: Told of the progress.
        subset: Ids to search among; None searches all.

    Returns:
        Rankings and times.
    """
    total, timed = len(queries), min(TIMED, len(queries))
    milliseconds, rankings = time_single(index, queries.select(np.arange(timed)), k, steps, subset)
    rest = queries.select(np.arange(timed, total))
    batch = rest if len(rest) >= BATCH else queries.select(np.arange(min(BATCH, total)))
    start = time.perf_counter()
    found = index.search(batch, k, subset)
    seconds = time.perf_counter() - start
    rankings += found if batch is rest else index.search(rest, k, subset)
    steps("search", total, total)
    return Searched(tuple(rankings), tuple(milliseconds), len(batch) / seconds if seconds else 0.0)


def time_single(
    index: Searcher, queries: Any, k: int, steps: Steps = SILENT, subset: Sequence[str] | None = None
) -> tuple[list[float], list[Ranking]]:
    """Search queries one at a time after a warm-up; milliseconds and rankings."""
    for number in range(min(WARM_UP, len(queries))):
        index.search(queries.select([number]), k, subset)
    milliseconds, rankings = [], []
    for number in range(len(queries)):
        query = queries.select([number])
        start = time.perf_counter()
        rankings += index.search(query, k, subset)
        milliseconds.append((time.perf_counter() - start) * 1e3)
        steps("single questions", number + 1, len(queries))
    return milliseconds, rankings


def shares_found(found: Sequence[Sequence[str]], truth: Sequence[Sequence[str]], k: int) -> list[float]:
    """Share of the k best documents of exact search that are among the k found, query by query.

    Args:
        found: m lists of ids, best first.
        truth: m lists of exact search, best first.
        k: Depth.

    Returns:
        m values between 0 and 1.
    """
    return [
        len(set(mine[:k]) & set(best[:k])) / len(best[:k]) if len(best) else 1.0
        for mine, best in zip(found, truth, strict=True)
    ]


def assess(
    prepared: Prepared, experiment: Experiment, built: Built, searched: Searched, documents: TokenEmbeddings | None,
    pool_seconds: float | None, clock: Clock,
) -> Measurement:  # fmt: skip
    """Score what was searched: the experiment's scorer, judgements, and the share of exact results.

    Args:
        prepared: Collection and vectors.
        experiment: What was asked.
        built: The index.
        searched: Its answers.
        documents: What was indexed; None where no vectors were needed, and nothing is compared with exact search.
        pool_seconds: What pooling took.
        clock: Holds the time of the stages so far.

    Returns:
        The measurement.
    """
    collection, depth = prepared.collection, depth_of(prepared, experiment)
    rankings = list(searched.rankings)
    with clock.stage("exact truth", len(rankings)):
        truth = None if documents is None else prepared.truth_ids(clock.steps)
    with clock.stage("evaluate"):
        if experiment.scorer != INDEX:
            candidates, names = [ranking.ids for ranking in rankings], list(collection.documents)
            rankings = rerank(prepared.queries, candidates, names, prepared.documents, depth, scorer_of(experiment))
        found = dict(zip(collection.queries, rankings, strict=True))
        per_query: dict[str, dict[str, float]] = {}
        unjudged: tuple[str, ...] = ()
        notes: list[str] = []
        if experiment.metrics:
            scores = evaluate(found, collection, experiment.metrics, experiment.same_ids)
            per_query, unjudged, notes = dict(scores.per_query), scores.unjudged, list(scores.notes)
        for size in dict.fromkeys((min(10, depth), min(TRUTH_DEPTH, depth))) if truth is not None else ():
            shares = shares_found([ranking.ids for ranking in rankings], truth or [], size)
            per_query[f"{EXACT}{size}"] = dict(zip(collection.queries, shares, strict=True))
    sizes = (0, 0, 0)
    if documents is not None:
        sizes = (documents.n_tokens, prepared.documents.n_tokens, prepared.documents.dim)
        notes = [*vector_notes(prepared), *notes]
    notes = [*collection.notes, *notes, *_notes(unjudged, found)]
    return Measurement(
        built, searched, depth, found, per_query, unjudged, *sizes, pool_seconds, clock.timings, tuple(clock.cached),
        tuple(notes),
    )  # fmt: skip


def scorer_of(experiment: Experiment) -> scorers.Scorer | str:
    """What an experiment reranks with; a learned scorer has its weights in the folder of the model."""
    name = experiment.scorer
    return scorers.DEFAULT if name == EXACT_SCORER else scorers.get(name, experiment.model)


def vector_notes(prepared: Prepared) -> list[str]:
    """Texts that were cut, and those of which nothing is left to score."""
    found = []
    for kind, vectors in (("documents", prepared.documents), ("queries", prepared.queries)):
        found += filter(None, [cut_note(kind, vectors, prepared.model)])
        if vectors.without_vectors:
            found.append(f"{vectors.without_vectors} of {len(vectors)} {kind} have nothing to score, none is found.")
    return found


def _notes(unjudged: tuple[str, ...], rankings: dict[str, Ranking]) -> list[str]:
    found = []
    if unjudged:
        named = ", ".join(unjudged[:NAMED]) + (", ..." if len(unjudged) > NAMED else "")
        found.append(f"{len(unjudged)} queries have no judgements and are left out of the scores: {named}.")
    empty = [query for query, ranking in rankings.items() if not len(ranking)]
    if empty:
        found.append(f"{len(empty)} queries found nothing and count as 0: {', '.join(empty[:NAMED])}.")
    return [*found, *sorted({note for ranking in rankings.values() for note in ranking.notes})]
