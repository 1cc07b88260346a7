"""The pool-factor study in full: factors against bits, groups of questions, and the files of a report."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine import Collection, TokenEmbeddings
from engine.errors import InputError
from engine.pooling import Method
from workbench.figures.systems import pareto_front
from workbench.pool_study import FACTORS, PoolRecord, Progress, pool_study
from workbench.statistics import Interval, bootstrap, moved

JOINT_FACTORS = (1.0, 2.0, 4.0, 8.0)
BITS = (8, 4, 2, 1)
QUESTION_WORDS = {
    "what", "which", "who", "whom", "whose", "when", "where", "why", "how", "is", "are", "was", "were", "do", "does",
    "did", "can", "could", "has", "have", "will", "would", "should",
}  # fmt: skip
SMALLEST_GROUP = 5  # questions; below it an interval says nothing


@dataclass(frozen=True)
class GroupPoint:
    """What a factor does to one group of questions.

    Args:
        group: Name of the group.
        factor: Pool factor.
        queries: How many questions.
        mean: Metric averaged over the group.
        difference: Paired difference to factor 1, with its 95% interval.
    """

    group: str
    factor: float
    queries: int
    mean: float
    difference: Interval


def full_study(
    collection: Collection,
    documents: TokenEmbeddings,
    queries: TokenEmbeddings,
    factors: Sequence[float] = FACTORS,
    methods: Sequence[Method] = ("hierarchical", "sequential"),
    joint_factors: Sequence[float] = JOINT_FACTORS,
    bits: Sequence[int] = BITS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Generator[PoolRecord, None, None]:
    """Every method and factor with exact search at 16 bits, then hierarchical factors at fewer bits in a PLAID index.

    Args:
        collection: With judgements.
        documents: Its documents, in order.
        queries: Its queries, in order.
        factors: For the exact search.
        methods: For the exact search.
        joint_factors: For each number of bits.
        bits: Bits of a residual value in the PLAID index; none leaves the joint part out.
        seed: Of the bootstrap and of k-means.
        progress: See `pool_study`; it starts anew for each number of bits.

    Yields:
        One record each; every difference is to factor 1 at 16 bits.
    """
    reference: dict[str, float] | None = None
    shared: dict[str, Any] = {"seed": seed, "progress": progress}
    for record in pool_study(collection, documents, queries, factors, methods, **shared):
        reference = reference or next(iter(record.per_query.values()))
        yield record
    for width in bits:
        settings = {"bits": width, "seed": seed}
        study = pool_study(collection, documents, queries, joint_factors, index="plaid", settings=settings, **shared)
        for record in study:
            yield _against(record, reference or {}, seed)


def _against(record: PoolRecord, reference: Mapping[str, float], seed: int) -> PoolRecord:
    """The record with its differences taken to other values."""
    values = next(iter(record.per_query.values()))
    difference = bootstrap([values[query] - reference[query] for query in values], seed)
    better, worse = moved(reference, values, 0.05)
    return replace(record, difference=difference, better=better, worse=worse)


def front(records: Sequence[PoolRecord], metric: str = "ndcg@10") -> list[PoolRecord]:
    """The records that no other beats in both bytes and quality, the smallest first.

    Args:
        records: Of one collection.
        metric: The quality.

    Returns:
        The joint Pareto front of factor and bits.
    """
    return [records[i] for i in pareto_front([r.bytes for r in records], [r.mean[metric] for r in records])]


def by_document_length(collection: Collection, documents: TokenEmbeddings) -> dict[str, list[str]]:
    """Questions in three groups of equal size, by the mean length of the documents that are relevant to them.

    Args:
        collection: With judgements.
        documents: Its documents, in order, before pooling.

    Returns:
        Name of the group, with its range of tokens -> query ids.
    """
    length = dict(zip(collection.documents, documents.lengths.tolist(), strict=True))
    means = {
        query: float(np.mean([length[name] for name, grade in collection.qrels[query].items() if grade > 0]))
        for query in collection.judged_queries
    }
    order = sorted(means, key=lambda query: (means[query], query))
    groups: dict[str, list[str]] = {}
    for name, part in zip(("short", "middle", "long"), np.array_split(np.array(order, object), 3), strict=True):
        if len(part):
            groups[f"{name}: {means[part[0]]:.0f} to {means[part[-1]]:.0f} tokens"] = part.tolist()
    return groups


def by_query_type(collection: Collection) -> dict[str, list[str]]:
    """Questions by their form: asked as a question or not, and short or long (more than 12 words).

    Args:
        collection: With judgements.

    Returns:
        Name of the group -> query ids; groups of fewer than five are left out.
    """
    groups: dict[str, list[str]] = {}
    for query in collection.judged_queries:
        words = collection.queries[query].lower().split()
        form = "question" if words[0] in QUESTION_WORDS or words[-1].endswith("?") else "statement"
        size = "long" if len(words) > 12 else "short"
        groups.setdefault(f"{size} {form}", []).append(query)
    return {name: queries for name, queries in sorted(groups.items()) if len(queries) >= SMALLEST_GROUP}


def group_curve(
    records: Sequence[PoolRecord], groups: Mapping[str, Sequence[str]], metric: str = "ndcg@10", seed: int = 0
) -> list[GroupPoint]:
    """The curve of each group of questions.

    Args:
        records: Of one method and one index, factor 1 among them.
        groups: Name -> query ids.
        metric: The quality.
        seed: Of the bootstrap.

    Returns:
        One point a group and factor.

    Raises:
        InputError: no record of factor 1.
    """
    first = next((record for record in records if record.factor == 1), None)
    if first is None:
        raise InputError("Expected a record of factor 1 to compare with, got none: study factor 1 too.")
    before = first.per_query[metric]
    points = []
    for name, queries in groups.items():
        for record in records:
            after = record.per_query[metric]
            difference = bootstrap([after[query] - before[query] for query in queries], seed)
            mean = float(np.mean([after[query] for query in queries]))
            points.append(GroupPoint(name, record.factor, len(queries), mean, difference))
    return points


def save_records(records: Sequence[PoolRecord], path: str | Path) -> Path:
    """Write records as JSON, an infinite factor as "inf".

    Args:
        records: Any.
        path: The file.

    Returns:
        The path.
    """
    rows = [asdict(r) | {"factor": "inf" if math.isinf(r.factor) else r.factor} for r in records]
    Path(path).write_text(json.dumps(rows), encoding="utf-8")
    return Path(path)


def load_records(path: str | Path) -> list[PoolRecord]:
    """Read what `save_records` wrote.

    Raises:
        InputError: it is no such file.
    """
    try:
        rows = json.loads(Path(path).read_text(encoding="utf-8"))
        return [_record(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no records of a pool study ({error}): write it with save_records.") from None


def _record(row: dict[str, Any]) -> PoolRecord:
    return PoolRecord(**row | {
        "factor": math.inf if row["factor"] == "inf" else row["factor"],
        "latencies": tuple(row["latencies"]),
        "interval": {metric: tuple(ends) for metric, ends in row["interval"].items()},
        "difference": Interval(*row["difference"]),
        "better": tuple(row["better"]),
        "worse": tuple(row["worse"]),
        "rankings": {query: tuple(ids) for query, ids in row["rankings"].items()},
    })  # fmt: skip
