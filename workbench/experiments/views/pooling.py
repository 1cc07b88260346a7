"""The pool-factor study in full: factors against bits, and groups of questions."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import Collection, TokenEmbeddings
from engine.errors import InputError
from engine.pooling import Method
from engine.statistics import Interval, bootstrap
from workbench.figures.systems import pareto_front
from workbench.pool_records import PoolRecord, PoolStore
from workbench.pool_study import FACTORS, Arm, Progress, pool_study

JOINT_FACTORS = (1.0, 2.0, 4.0, 8.0)
FEWER_FACTORS = (1.0, 2.0, 4.0, 8.0, 16.0)  # of the methods after the first
BITS: tuple[int, ...] = (8, 4, 2, 1)
QUESTION_WORDS = {
    "what", "which", "who", "whom", "whose", "when", "where", "why", "how", "is", "are", "was", "were", "do", "does",
    "did", "can", "could", "has", "have", "will", "would", "should",
}  # fmt: skip
EQUAL = 0.2  # how far two sizes may differ and still count as equal
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
    store: PoolStore | None = None,
) -> Generator[PoolRecord, None, None]:
    """All factors of the first method with exact search at 16 bits, some at fewer bits in PLAID, some of other methods.

    Args:
        collection: With judgements.
        documents: Its documents, in order.
        queries: Its queries, in order.
        factors: For the exact search; of the default ones, methods after the first are measured at a few only.
        methods: For the exact search.
        joint_factors: For each number of bits.
        bits: Bits of a residual value in the PLAID index; none leaves the joint part out.
        seed: Of the bootstrap and of k-means.
        progress: See `pool_study`; it starts anew for each method.
        store: See `pool_study`.

    Yields:
        One record each; every difference is to factor 1 at 16 bits.
    """
    arms = [Arm("plaid", {"bits": width, "seed": seed}, tuple(sorted({1.0, *joint_factors}))) for width in bits]
    shared: dict[str, Any] = {"seed": seed, "progress": progress, "store": store}
    wanted, unpooled = sorted({*factors, *(joint_factors if bits else ())}), None
    for record in pool_study(collection, documents, queries, wanted, methods[:1], also=arms, **shared):
        unpooled = unpooled or record
        yield record
    others = [f for f in wanted if f in FEWER_FACTORS] if tuple(factors) == FACTORS else wanted
    for record in pool_study(collection, documents, queries, others, methods[1:], unpooled=unpooled, **shared):
        if record.factor != 1:  # the same vectors for every method
            yield record


def front(records: Sequence[PoolRecord], metric: str = "ndcg@10") -> list[PoolRecord]:
    """The records that no other beats in both bytes and quality, the smallest first.

    Args:
        records: Of one collection.
        metric: The quality.

    Returns:
        The joint Pareto front of factor and bits.
    """
    return [records[i] for i in pareto_front([r.bytes for r in records], [r.mean[metric] for r in records])]


@dataclass(frozen=True)
class Trade:
    """Two ways to about the same bytes: fewer vectors, or fewer bits for each.

    Args:
        pooled: With a pool factor above 1.
        fewer_bits: With factor 1, at the number of bits that comes nearest in bytes.
        difference: Metric of the first minus that of the second, paired by question, with its 95% interval.
    """

    pooled: PoolRecord
    fewer_bits: PoolRecord
    difference: Interval


def trades(records: Sequence[PoolRecord], metric: str = "ndcg@10", seed: int = 0) -> list[Trade]:
    """What pooling is worth against fewer bits at equal bytes.

    Args:
        records: Of one collection.
        metric: The quality.
        seed: Of the bootstrap.

    Returns:
        One trade for each PLAID index with a factor above 1 that a PLAID index of factor 1 matches within a fifth of
        its bytes, largest first.
    """
    plain = [record for record in records if record.index == "plaid" and record.factor == 1]
    found = []
    for record in sorted(records, key=lambda record: -record.bytes):
        if record.index != "plaid" or record.factor == 1 or not plain:
            continue
        other = min(plain, key=lambda candidate: abs(candidate.bytes - record.bytes))
        if abs(other.bytes - record.bytes) <= EQUAL * record.bytes:
            mine, theirs = record.per_query[metric], other.per_query[metric]
            found.append(Trade(record, other, bootstrap([mine[query] - theirs[query] for query in mine], seed)))
    return found


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
