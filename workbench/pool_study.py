"""The pool-factor study: what fewer token vectors cost, on average and question by question."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine import Collection, TokenEmbeddings, create_index, evaluate, pool
from engine.errors import InputError
from engine.evaluation import DEFAULT_METRICS, check_metrics
from engine.indexes import Index
from engine.pooling import Linkage, Method, link
from engine.retrieval import Ranking
from workbench.statistics import Interval, bootstrap, metric_name, moved

FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, math.inf)
THRESHOLD = 0.05  # a question that moves by more than this got better or worse
TIMED_QUERIES = 50
DEPTH = 100

Progress = Callable[[int, int, str], None]  # done, all, what comes next


@dataclass(frozen=True, eq=False)
class PoolRecord:
    """What one pool factor gives.

    Args:
        collection: Its name.
        method: How tokens are merged.
        factor: Tokens per remaining token; infinity keeps one, and the protected ones.
        index: Kind of index.
        bits: Bits a dimension in the index.
        documents: How many.
        queries: How many have judgements.
        tokens: Vectors in the index.
        tokens_full: Vectors at factor 1.
        bytes: Of the index on disk.
        pool_s: Seconds of pooling.
        build_s: Seconds of building the index.
        latencies: Milliseconds of single questions, at most 50 of them.
        mean: Metric -> value.
        interval: Metric -> (low, high), 95% bootstrap over questions.
        per_query: Metric -> {query: value}.
        difference: First metric minus that of factor 1, paired by question: mean, low, high.
        better: Questions that gained more than the threshold, largest gain first.
        worse: Questions that lost more than the threshold, largest loss first.
        rankings: Query -> its first ten documents.
    """

    collection: str
    method: str
    factor: float
    index: str
    bits: int
    documents: int
    queries: int
    tokens: int
    tokens_full: int
    bytes: int
    pool_s: float
    build_s: float
    latencies: tuple[float, ...]
    mean: dict[str, float]
    interval: dict[str, tuple[float, float]]
    per_query: dict[str, dict[str, float]]
    difference: Interval
    better: tuple[str, ...]
    worse: tuple[str, ...]
    rankings: dict[str, tuple[str, ...]]

    @property
    def label(self) -> str:
        """The factor in words: "4", "1.5", "one"."""
        return "one" if math.isinf(self.factor) else f"{self.factor:g}"

    @property
    def kept(self) -> float:
        """Share of the vectors that remain."""
        return self.tokens / self.tokens_full

    @property
    def latency_ms(self) -> float:
        """Median milliseconds a question."""
        return float(np.median(self.latencies))

    @property
    def real(self) -> bool:
        """Whether the difference to factor 1 is more than the noise of the questions: its interval excludes zero."""
        return self.difference.excludes_zero


@dataclass(frozen=True)
class _Base:
    """What every record of a study shares."""

    collection: Collection
    queries: TokenEmbeddings
    judged: list[str]
    metrics: list[str]
    index: str
    settings: dict[str, Any]
    threshold: float
    seed: int


def pool_study(
    collection: Collection,
    documents: TokenEmbeddings,
    queries: TokenEmbeddings,
    factors: Sequence[float] = FACTORS,
    methods: Sequence[Method] = ("hierarchical",),
    metrics: Sequence[str] = DEFAULT_METRICS,
    index: str = "exact",
    settings: dict[str, Any] | None = None,
    protected: int = 1,
    threshold: float = THRESHOLD,
    seed: int = 0,
    progress: Progress | None = None,
) -> Generator[PoolRecord, None, None]:
    """Measure a collection at several pool factors, one record the moment it is there.

    Args:
        collection: With judgements.
        documents: Its documents, in order.
        queries: Its queries, in order.
        factors: 1 or more each; 1 is added in front when it is missing, since the rest is compared with it.
        methods: Pooling methods.
        metrics: The first decides which questions got better or worse.
        index: Kind of index.
        settings: Settings of the index.
        protected: First tokens of a document that stay as they are.
        threshold: How far a question must move to count as better or worse.
        seed: Of the bootstrap.
        progress: Called with (steps done, steps in all, what is next).

    Yields:
        One record a method and factor, methods in turn, factors rising; closing the iterator stops the study.

    Raises:
        InputError: counts, factors, methods or metrics that make no sense, before anything is computed.
    """
    base = _check(collection, documents, queries, metrics, index, settings or {}, threshold, seed)
    ordered = sorted({1.0, *map(_factor, factors)})
    steps, done = len(methods) * len(ordered), 0
    for method in methods:
        pool(documents.select([0]), 2.0, method=method, protected=protected)  # names an unknown method at once
    reference: dict[str, float] | None = None
    for method in methods:
        for factor, pooled, seconds in _pooled(documents, ordered, method, protected):
            if progress is not None:
                progress(done, steps, f"{method}, factor {factor:g}")
            record = _measure(base, pooled, method, factor, seconds, documents.n_tokens, reference)
            reference = reference or record.per_query[base.metrics[0]]
            done += 1
            yield record
    if progress is not None:
        progress(done, steps, "done")


def _factor(value: float) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not value >= 1:
        raise InputError(f"Expected pool factors of 1 or more, got {value!r}: 1 keeps every token.")
    return float(value)


def _check(
    collection: Collection,
    documents: TokenEmbeddings,
    queries: TokenEmbeddings,
    metrics: Sequence[str],
    index: str,
    settings: dict[str, Any],
    threshold: float,
    seed: int,
) -> _Base:
    for kind, texts, vectors in (
        ("documents", collection.documents, documents),
        ("queries", collection.queries, queries),
    ):
        if len(texts) != len(vectors):
            raise InputError(
                f"Expected embeddings of the {len(texts)} {kind} of {collection.name!r}, got {len(vectors)}: encode "
                "this collection."
            )
    judged = collection.judged_queries
    if not judged:
        raise InputError(f"{collection.name!r} has no judgements, so no factor can be judged: add qrels.")
    if not metrics:
        raise InputError("Expected at least one metric, got none: name one, such as ndcg@10.")
    names = list(collection.queries)
    position = {name: i for i, name in enumerate(names)}
    chosen = queries.select([position[name] for name in judged])
    return _Base(collection, chosen, judged, check_metrics(metrics), index, settings, threshold, seed)


def _pooled(
    documents: TokenEmbeddings, factors: list[float], method: Method, protected: int
) -> Iterator[tuple[float, TokenEmbeddings, float]]:
    """Each factor, its pooled documents and their seconds; the first above 1 pays for the linkage of all."""
    linkage: Linkage | None = None
    for factor in factors:
        start = time.perf_counter()
        if factor == 1:
            yield factor, documents, 0.0
            continue
        linkage = linkage or link(documents, method, protected)
        yield factor, linkage.pool(factor), time.perf_counter() - start


def _measure(
    base: _Base,
    pooled: TokenEmbeddings,
    method: str,
    factor: float,
    pool_s: float,
    tokens_full: int,
    reference: dict[str, float] | None,
) -> PoolRecord:
    folder = Path(tempfile.mkdtemp(prefix="pool-study-"))
    try:
        start = time.perf_counter()
        index = create_index(base.index, folder / "index", **base.settings)
        index.add(list(base.collection.documents), pooled)
        build_s = time.perf_counter() - start
        latencies = _latencies(index, base.queries)
        rankings = index.search(base.queries, k=DEPTH)
        size = index.describe()["bytes"]
        bits = (
            getattr(index.settings, "bits", None) or 8 * np.dtype(getattr(index.settings, "dtype", "float16")).itemsize
        )
    finally:
        shutil.rmtree(folder)
    found = dict(zip(base.judged, rankings, strict=True))
    scores = evaluate(found, base.collection, base.metrics)
    first = scores.per_query[base.metrics[0]]
    before = reference or first
    better, worse = moved(before, first, base.threshold)
    ends = {m: bootstrap(list(values.values()), base.seed) for m, values in scores.per_query.items()}
    return PoolRecord(
        base.collection.name, method, factor, base.index, bits, len(pooled), len(first), pooled.n_tokens, tokens_full,
        size, pool_s, build_s, latencies, scores.mean, {m: (end.low, end.high) for m, end in ends.items()},
        scores.per_query, bootstrap([first[q] - before[q] for q in first], base.seed), better, worse, _top(found),
    )  # fmt: skip


def _top(rankings: dict[str, Ranking], k: int = 10) -> dict[str, tuple[str, ...]]:
    return {query: tuple(ranking.ids[:k]) for query, ranking in rankings.items()}


def _latencies(index: Index, queries: TokenEmbeddings) -> tuple[float, ...]:
    """Milliseconds of single questions; the first is asked twice, so that memory is mapped before the clock starts."""
    singles = [queries.select([i]) for i in range(min(TIMED_QUERIES, len(queries)))]
    index.search(singles[0], k=DEPTH)
    times = []
    for single in singles:
        start = time.perf_counter()
        index.search(single, k=DEPTH)
        times.append(1000 * (time.perf_counter() - start))
    return tuple(times)


def sentence(record: PoolRecord) -> str:
    """What a factor costs, in one or two sentences.

    Args:
        record: A record of a factor above 1.

    Returns:
        Such as "Keeping 25% of the vectors (62,110 of 246,828) changes nDCG@10 by −0.004, within the noise (−0.015 to
        +0.005). But 35 of 225 questions got worse and 34 better."
    """
    metric = metric_name(next(iter(record.mean)))
    mean, low, high = record.difference
    sign = "−" if mean < 0 else "+"
    size = f"{low:+.3f} to {high:+.3f}".replace("-", "−")
    verdict = f"more than the noise of the questions ({size})" if record.real else f"within the noise ({size})"
    joint = "But" if not record.real and (record.worse or record.better) else "And"
    return (
        f"Keeping {record.kept:.0%} of the vectors ({record.tokens:,} of {record.tokens_full:,}) changes {metric} by "
        f"{sign}{abs(mean):.3f}, {verdict}. {joint} {len(record.worse)} of {record.queries} questions got worse and "
        f"{len(record.better)} better."
    )
