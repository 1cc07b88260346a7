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
from workbench.compare_indexes import Vectors, exact_rankings, vectors_of
from workbench.index_records import format_spec
from workbench.ladders import LADDERS
from workbench.measuring import recall_against
from workbench.statistics import Interval, bootstrap

METRIC = "ndcg@10"
TIMED_QUERIES = 50
DEPTH = 10
HNSW_TOKENS_PER_SECOND = 2000  # inserted by one thread, about: whether a build fits into what is left of the budget

Progress = Callable[[str, int, int], None]  # what is being done, seconds spent, seconds in all

# What is built, in the order of what is most often worth it: kind, build settings, pool factor.
PLAN: tuple[tuple[str, dict[str, Any], float], ...] = (
    ("plaid", {"bits": 4}, 1), ("plaid", {"bits": 2}, 1), ("plaid", {"bits": 4}, 2), ("plaid", {"bits": 2}, 2),
    ("plaid", {"bits": 1}, 1), ("exact", {}, 2), ("plaid", {"bits": 4}, 3), ("plaid", {"bits": 2}, 3),
    ("plaid", {"bits": 8}, 1), ("exact", {}, 4), ("plaid", {"bits": 4}, 4), ("hnsw", {"storage": "float8"}, 2),
    ("hnsw", {"storage": "float8"}, 1),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Option:
    """One way to index the collection, measured.

    Args:
        kind: Of index.
        settings: All of them, defaults too.
        factor: Pool factor, 1 keeps every token vector.
        bytes: Of the index on disk.
        p50_ms: Median milliseconds of a single query.
        value: Mean of the metric; without judgements the share of the exact first ten that was found.
        quality: Value over that of exact search.
        difference: Value minus that of exact search, paired by query, with its 95% bootstrap interval.
        recall_10: Share of the exact first ten that was found.
        build_seconds: Of pooling and building.
    """

    kind: str
    settings: dict[str, Any]
    factor: float
    bytes: int
    p50_ms: float
    value: float
    quality: float
    difference: Interval
    recall_10: float
    build_seconds: float

    @property
    def name(self) -> str:
        """Kind, settings and pool factor in one line."""
        return format_spec(self.kind, self.settings) + (f", pool factor {self.factor:g}" if self.factor != 1 else "")

    def row(self) -> dict[str, Any]:
        """One row of the table of evidence."""
        return {
            "index": self.kind,
            "pool factor": self.factor,
            "MB": self.bytes / 1e6,
            "p50 ms": self.p50_ms,
            "value": self.value,
            "share of exact": self.quality,
            "difference": str(self.difference),
            "R@10": self.recall_10,
            "build s": self.build_seconds,
            "settings": format_spec(self.kind, self.settings),
        }


@dataclass(frozen=True, eq=False)
class Recommendation:
    """What to use, and everything that was tried.

    Args:
        chosen: The option, or None when nothing that was tried fits.
        exact: Exact search on all token vectors, which the others are held to.
        tried: All options, in the order in which they were measured, exact first.
        reason: In one sentence, why this one, or why none.
        metric: What `value` is.
        limits: The limits that were asked for.
        seconds: Spent.
        skipped: What the time budget left out.
        command: Repeats the search; empty for vectors that only exist in memory.
        code: Makes the chosen index.
    """

    chosen: Option | None
    exact: Option
    tried: tuple[Option, ...]
    reason: str
    metric: str
    limits: dict[str, Any]
    seconds: float
    skipped: tuple[str, ...] = ()
    command: str = ""
    code: str = ""


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
    seconds: float = 150.0,
    prefer: Literal["small", "fast"] | None = None,
    kinds: Sequence[str] = ("exact", "plaid", "hnsw"),
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
            if (should_stop is not None and should_stop()) or spent + _guess(bench, kind, factor) > seconds:
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


def _guess(bench: _Bench, kind: str, factor: float) -> float:
    """Seconds that building is expected to take, where it can dwarf the budget."""
    return bench.vectors.documents.n_tokens / factor / HNSW_TOKENS_PER_SECOND if kind == "hnsw" else 0.0


def _climb(bench: _Bench, kind: str, settings: dict[str, Any], factor: float, min_quality: float) -> list[Option]:
    """Build once, then raise the search settings until the quality is there; all that was measured on the way."""
    threads = {"build_threads": os.cpu_count() or 1} if kind == "hnsw" else {}
    index, _, seconds = _pair(bench, kind, {**settings, **threads}, factor)
    measured = []
    for rung in LADDERS.get(kind, ({},)):
        measured.append(bench.measure(index.tuned(**rung) if rung else index, factor, seconds))
        if measured[-1].quality >= min_quality:
            break
    return measured


def choose(
    options: Sequence[Option], max_bytes: int | None, max_ms: float | None, min_quality: float, prefer: str
) -> tuple[Option | None, str]:
    """Pick from what was measured.

    Args:
        options: At least one.
        max_bytes: See `recommend`.
        max_ms: See `recommend`.
        min_quality: See `recommend`.
        prefer: "small" or "fast".

    Returns:
        The option, or None, and a sentence that says why.
    """
    good = [option for option in options if option.quality >= min_quality]
    small = [option for option in good if max_bytes is None or option.bytes <= max_bytes]
    fit = [option for option in small if max_ms is None or option.p50_ms <= max_ms]
    if fit:
        key = (lambda o: (o.bytes, o.p50_ms)) if prefer == "small" else (lambda o: (o.p50_ms, o.bytes))
        best = min(fit, key=key)
        word = "smallest" if prefer == "small" else "fastest"
        return best, (
            f"The {word} of {len(fit)} options that fit: {best.bytes / 1e6:.1f} MB, {best.p50_ms:.2f} ms, "
            f"{best.quality:.1%} of exact search."
        )
    if small:
        fastest = min(small, key=lambda option: option.p50_ms)
        return (
            None,
            f"Nothing fits {max_ms} ms: the fastest with this quality takes {fastest.p50_ms:.2f} ms. Allow more.",
        )
    if good:
        least = min(good, key=lambda option: option.bytes)
        return None, (
            f"Nothing fits {max_bytes} bytes: the smallest with this quality takes {least.bytes} bytes. Allow more, or "
            "lower min_quality."
        )
    return (
        None,
        f"Nothing that was tried keeps {min_quality:.1%} of exact search: lower min_quality or allow more time.",
    )


def _command(vectors: Vectors, limits: dict[str, Any], kinds: Sequence[str]) -> str:
    if vectors.source is None:
        return ""
    words = ["workbench", "recommend", "--collection", vectors.source[0], "--model", vectors.source[1]]
    for name, value in limits.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join([*words, *(word for kind in kinds for word in ("--index", kind))])


def code_for(option: Option) -> str:
    """Lines of Python that make the index of an option."""
    settings = "".join(f", {name}={value!r}" for name, value in option.settings.items())
    pooling = f"documents = pool(documents, factor={option.factor:g})\n" if option.factor != 1 else ""
    return f"{pooling}index = create_index({option.kind!r}, path{settings})\nindex.add(ids, documents)"
