"""Recommend an index: try kinds, bits, pool factors and probes on a person's own collection in a time budget."""

from __future__ import annotations

import math
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from engine import Collection, Encoder, TokenEmbeddings, create_index, evaluate, pool
from engine.errors import InputError
from engine.indexes import Index
from engine.retrieval import Ranking
from engine.statistics import bootstrap
from workbench.compare_indexes import Vectors, exact_rankings, vectors_of
from workbench.experiments.child import recall_against
from workbench.experiments.views.indexes import format_spec
from workbench.experiments.views.recommendation import Option, Recommendation, choose, code_for

METRIC = "ndcg@10"
TIMED_QUERIES = 50
DEPTH = 10
KINDS = ("exact", "plaid", "hnsw")
PREFERENCES = ("small", "fast")
HNSW_TOKENS_PER_SECOND = 2000  # inserted by one thread, about: until a first build of this run has been timed

Progress = Callable[[str, int, int], None]  # what is being done, seconds spent, seconds in all

# What is built, in the order of what is most often worth it: kind, build settings, pool factor.
PLAN: tuple[tuple[str, dict[str, Any], float], ...] = (
    ("plaid", {"bits": 4}, 1), ("plaid", {"bits": 2}, 1), ("plaid", {"bits": 4}, 2), ("plaid", {"bits": 2}, 2),
    ("plaid", {"bits": 1}, 1), ("exact", {}, 2), ("plaid", {"bits": 4}, 3), ("plaid", {"bits": 2}, 3),
    ("plaid", {"bits": 8}, 1), ("exact", {}, 4), ("plaid", {"bits": 4}, 4), ("hnsw", {"storage": "float8"}, 2),
    ("hnsw", {"storage": "float8"}, 1),
)  # fmt: skip


@dataclass
class _Bench:
    """What every measurement shares."""

    vectors: Vectors
    metric: str
    truth: list[Ranking]
    scratch: Path
    exact: Option | None = None
    exact_values: np.ndarray = field(default_factory=lambda: np.empty(0))
    pooled: dict[float, tuple[TokenEmbeddings, float]] = field(default_factory=dict)

    def documents(self, factor: float) -> tuple[TokenEmbeddings, float]:
        """The documents at a pool factor, and the seconds that pooling took."""
        if factor not in self.pooled:
            start = time.perf_counter()
            self.pooled[factor] = pool(self.vectors.documents, factor), time.perf_counter() - start
        return self.pooled[factor]

    def build(self, kind: str, settings: dict[str, Any], factor: float) -> tuple[Index, float]:
        documents, pooling = self.documents(factor)
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        index = create_index(kind, folder, **settings)
        start = time.perf_counter()
        index.add(list(self.vectors.collection.documents), documents)
        return index, time.perf_counter() - start + pooling

    def measure(self, index: Index, factor: float, seconds: float) -> Option:
        """Quality over all queries, latency over the first few."""
        queries = self.vectors.queries
        rankings = index.search(queries, DEPTH)
        values = self._values(rankings)
        if self.exact is None:
            self.exact_values = values
        milliseconds = []
        for number in range(min(TIMED_QUERIES, len(queries))):
            query = queries.select([number])
            start = time.perf_counter()
            index.search(query, DEPTH)
            milliseconds.append((time.perf_counter() - start) * 1e3)
        base = float(self.exact_values.mean())
        return Option(
            kind=index.kind,
            settings=asdict(index.settings),
            factor=factor,
            bytes=index.describe()["bytes"],
            p50_ms=float(np.median(milliseconds)),
            value=float(values.mean()),
            quality=float(values.mean()) / base if base else 1.0,
            difference=bootstrap(values - self.exact_values),
            recall_10=recall_against([found.ids for found in rankings], [best.ids for best in self.truth], DEPTH),
            build_seconds=seconds,
        )

    def _values(self, rankings: list[Ranking]) -> np.ndarray:
        collection = self.vectors.collection
        if collection.judged_queries:
            scores = evaluate(rankings, collection, [self.metric]).per_query[self.metric]
            return np.array([scores[query] for query in collection.judged_queries])
        pairs = zip(rankings, self.truth, strict=True)
        return np.array([recall_against([found.ids], [best.ids], DEPTH) for found, best in pairs])


def recommend(
    collection: str | Collection = "embedded",
    max_bytes: int | None = None,
    max_ms: float | None = None,
    min_quality: float = 0.99,
    seconds: float = 120.0,
    prefer: Literal["small", "fast"] | None = None,
    kinds: Sequence[str] = KINDS,
    model: str | Encoder = "embedded",
    documents: TokenEmbeddings | None = None,
    queries: TokenEmbeddings | None = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Recommendation:
    """Find the smallest or fastest index that keeps the quality of exact search on a collection.

    Args:
        collection: A name or path for `load_collection`, or a collection.
        max_bytes: Of the index on disk.
        max_ms: Median milliseconds of a single query.
        min_quality: Share of exact nDCG@10 to keep; without judgements, share of the exact first ten to find.
        seconds: What the search may spend once the vectors are there; one build that was begun is finished.
        prefer: "small" or "fast"; when None, "fast" if only `max_bytes` is given, else "small".
        kinds: Kinds to try.
        model: A name or path for `Encoder.load`, or an encoder.
        documents: Vectors of the documents in their order, instead of encoding them.
        queries: Vectors of the queries in their order.
        progress: Called with (what is being done, seconds spent, seconds in all).
        should_stop: Asked between measurements; a yes recommends from what was tried so far.

    Returns:
        The recommendation with its evidence.

    Raises:
        InputError: limits that make no sense, or no queries.
    """
    _check_limits(max_bytes, max_ms, min_quality, seconds)
    unknown = next((kind for kind in kinds if kind not in KINDS), None)
    if unknown is not None:
        raise InputError(f"No plan tries the index kind {unknown!r}: choose among {', '.join(KINDS)}.")
    if prefer not in (None, *PREFERENCES):
        raise InputError(f"Unknown preference {prefer!r}: choose small or fast.")
    prefer = prefer or ("fast" if max_bytes is not None and max_ms is None else "small")
    limits = {
        "max_bytes": max_bytes,
        "max_ms": max_ms,
        "min_quality": min_quality,
        "prefer": prefer,
        "seconds": seconds,
    }
    report = progress or (lambda what, done, total: None)
    vectors = vectors_of(collection, model, documents, queries, report)
    start = time.perf_counter()
    tried: list[Option] = []
    skipped: list[str] = []
    with tempfile.TemporaryDirectory(prefix="recommend-") as scratch:
        truth = exact_rankings(list(vectors.collection.documents), vectors.documents, vectors.queries, DEPTH)
        bench = _Bench(vectors, METRIC, truth, Path(scratch))
        bench.exact = bench.measure(*_pair(bench, "exact", {}, 1))
        tried.append(bench.exact)
        for kind, settings, factor in PLAN:
            name = f"{format_spec(kind, settings)}, pool factor {factor:g}"
            spent = time.perf_counter() - start
            if kind not in kinds:
                continue
            if (should_stop is not None and should_stop()) or spent + _guess(bench, kind, factor, tried) > seconds:
                skipped.append(name)
                continue
            report(name, int(spent), int(seconds))
            tried += _climb(bench, kind, settings, factor, min_quality)
    chosen, reason = choose(tried, max_bytes, max_ms, min_quality, prefer)
    return Recommendation(
        chosen, bench.exact, tuple(tried), reason,
        METRIC if vectors.collection.judged_queries else "share of the exact first ten (there are no judgements)",
        limits, time.perf_counter() - start, tuple(skipped), _command(vectors, limits, kinds),
        code_for(chosen) if chosen else "",
    )  # fmt: skip


def _check_limits(max_bytes: int | None, max_ms: float | None, min_quality: float, seconds: float) -> None:
    for name, value in (("max_bytes", max_bytes), ("max_ms", max_ms), ("seconds", seconds)):
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise InputError(f"Expected {name} above 0, got {value}: leave it out, or raise it.")
    if not 0 < min_quality <= 1:
        raise InputError(f"Expected min_quality above 0 and up to 1, got {min_quality}: 0.99 keeps 99% of exact.")


def _pair(bench: _Bench, kind: str, settings: dict[str, Any], factor: float) -> tuple[Index, float, float]:
    index, seconds = bench.build(kind, settings, factor)
    return index, factor, seconds


def _guess(bench: _Bench, kind: str, factor: float, tried: Sequence[Option]) -> float:
    """Seconds that building is expected to take: in proportion to vectors, from the builds of the kind so far."""
    timed = [option.build_seconds * option.factor for option in tried if option.kind == kind]
    if timed:
        return max(timed) / factor
    tokens, threads = bench.vectors.documents.n_tokens, os.cpu_count() or 1
    return tokens / factor / HNSW_TOKENS_PER_SECOND / threads if kind == "hnsw" else 0.0


def _climb(bench: _Bench, kind: str, settings: dict[str, Any], factor: float, min_quality: float) -> list[Option]:
    """Build once, then raise the search settings until the quality is there; all that was measured on the way."""
    threads = {"build_threads": os.cpu_count() or 1} if kind == "hnsw" else {}
    index, _, seconds = _pair(bench, kind, {**settings, **threads}, factor)
    measured = []
    for rung in index.ladder(index.settings) or ({},):
        measured.append(bench.measure(index.tuned(**rung) if rung else index, factor, seconds))
        if measured[-1].quality >= min_quality:
            break
    return measured


def _command(vectors: Vectors, limits: dict[str, Any], kinds: Sequence[str]) -> str:
    if vectors.source is None:
        return ""
    words = ["workbench", "recommend", "--collection", vectors.source[0], "--model", vectors.source[1]]
    for name, value in limits.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join([*words, *(word for kind in kinds for word in ("--index", kind))])
