"""The pool-factor study: what fewer token vectors cost, on average and question by question."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine import Collection, TokenEmbeddings, create_index, evaluate, pool
from engine.errors import InputError
from engine.evaluation import DEFAULT_METRICS, check_metrics, metric_name
from engine.indexes import Index, index_class
from engine.pooling import Linkage, Method, link
from engine.retrieval import Ranking
from engine.statistics import bootstrap, moved
from workbench.pool_records import PoolRecord, PoolStore

FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, math.inf)
THRESHOLD = 0.05  # a question that moves by more than this got better or worse
TIMED_QUERIES = 50
DEPTH = 100
ORIGINALS = "originals"  # a PLAID index below 65,536 tokens keeps them until it has enough to train on

Progress = Callable[[int, int, str], None]  # done, all, what comes next


@dataclass(frozen=True)
class Arm:
    """An index that is built on pooled vectors.

    Args:
        index: Its kind.
        settings: Of the index.
        factors: At which pool factors; None takes all of the study.
    """

    index: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    factors: tuple[float, ...] | None = None


@dataclass(frozen=True)
class _Base:
    """What every record of a study shares."""

    collection: Collection
    queries: TokenEmbeddings
    judged: list[str]
    metrics: list[str]
    threshold: float
    seed: int
    tokens_full: int


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
    also: Sequence[Arm] = (),
    unpooled: PoolRecord | None = None,
    store: PoolStore | None = None,
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
        also: Further indexes, built on the same pooled vectors.
        unpooled: The record of factor 1, where it was measured before with another method: it is the same for all.
        store: Keeps records: those that are there are not measured again.

    Yields:
        One record a method, factor and index, methods in turn, factors rising; closing the iterator stops the study.

    Raises:
        InputError: counts, factors, methods or metrics that make no sense, before anything is computed.
    """
    base = _check(collection, documents, queries, metrics, threshold, seed)
    arms = (Arm(index, settings or {}), *also)
    ordered = sorted({1.0, *map(_factor, factors)})
    for arm in arms:
        index_class(arm.index).parse_settings(dict(arm.settings))
    for method in methods:
        pool(documents.select([0]), 2.0, method=method, protected=protected)  # names an unknown method at once
    steps: list[tuple[Method, float, Arm]] = [
        (m, f, a) for m in methods for f in ordered for a in arms if a.factors is None or f in a.factors
    ]
    pooling = _Pooling(documents, protected)
    plain: dict[int, PoolRecord] = {} if unpooled is None else {id(arms[0]): unpooled}
    before = None if unpooled is None else unpooled.per_query[base.metrics[0]]
    for done, (method, factor, arm) in enumerate(steps):
        if progress is not None:
            progress(done, len(steps), f"{method}, factor {factor:g}{f', {_arm_name(arm)}' if also else ''}")
        key = (method, protected, factor, arm.index, sorted(arm.settings.items()), base.metrics, base.threshold, seed)
        record = store.get(*key) if store is not None else None
        if record is None and factor == 1 and id(arm) in plain:
            record = replace(plain[id(arm)], method=method)  # without pooling all methods are the same
        elif record is None:
            record = _measure(base, arm, method, factor, *pooling.at(method, factor), before)
            if store is not None:
                store.put(record, *key)
        before = before or record.per_query[base.metrics[0]]
        if factor == 1:
            plain.setdefault(id(arm), record)
        yield record
    if progress is not None:
        progress(len(steps), len(steps), "done")


def _arm_name(arm: Arm) -> str:
    return " ".join([arm.index, *(f"{name} {value}" for name, value in arm.settings.items() if name != "seed")])


def _factor(value: float) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not value >= 1:
        raise InputError(f"Expected pool factors of 1 or more, got {value!r}: 1 keeps every token.")
    return float(value)


def _check(
    collection: Collection,
    documents: TokenEmbeddings,
    queries: TokenEmbeddings,
    metrics: Sequence[str],
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
    return _Base(collection, chosen, judged, check_metrics(metrics), threshold, seed, documents.n_tokens)


class _Pooling:
    """Pooled documents of the latest method and factor; the first factor above 1 pays for the linkage of a method."""

    def __init__(self, documents: TokenEmbeddings, protected: int) -> None:
        self.documents, self.protected = documents, protected
        self.method: Method | None = None
        self.linkage: Linkage | None = None
        self.latest: tuple[tuple[Method, float], TokenEmbeddings, float] | None = None

    def at(self, method: Method, factor: float) -> tuple[TokenEmbeddings, float]:
        """The documents at a factor, and the seconds that they took."""
        if factor == 1:
            return self.documents, 0.0
        if self.latest is None or self.latest[0] != (method, factor):
            start = time.perf_counter()
            if self.linkage is None or self.method != method:
                self.method, self.linkage = method, link(self.documents, method, self.protected)
            pooled = self.linkage.pool(factor)
            self.latest = (method, factor), pooled, time.perf_counter() - start
        return self.latest[1:]


def _measure(
    base: _Base, arm: Arm, method: str, factor: float, pooled: TokenEmbeddings, pool_s: float,
    reference: Mapping[str, float] | None,
) -> PoolRecord:  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="pool-study-"))
    try:
        start = time.perf_counter()
        index = create_index(arm.index, folder / "index", **arm.settings)
        index.add(list(base.collection.documents), pooled)
        build_s = time.perf_counter() - start
        latencies = _latencies(index, base.queries)
        rankings = index.search(base.queries, k=DEPTH)
        size = _searched_bytes(index)
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
        base.collection.name, method, factor, arm.index, bits, len(pooled), len(first), pooled.n_tokens,
        base.tokens_full, size, pool_s, build_s, latencies, scores.mean,
        {metric: (end.low, end.high) for metric, end in ends.items()},
        scores.per_query, bootstrap([first[q] - before[q] for q in first], base.seed), better, worse, _top(found),
    )  # fmt: skip


def _searched_bytes(index: Index) -> int:
    """Bytes of the files that a search reads: a small PLAID index keeps original vectors too, to be trained again."""
    kept = index.state.manifest.files.get(ORIGINALS, {}).get("bytes", 0)
    return index.describe()["bytes"] - kept


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
