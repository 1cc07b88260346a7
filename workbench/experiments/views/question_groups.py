"""What pooling does to groups of questions: by the length of their documents, by their form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine import Collection, TokenEmbeddings
from engine.errors import InputError
from engine.statistics import Interval, paired
from workbench.experiments.views.pooling import PoolPoint

QUESTION_WORDS = {
    "what", "which", "who", "whom", "whose", "when", "where", "why", "how", "is", "are", "was", "were", "do", "does",
    "did", "can", "could", "has", "have", "will", "would", "should",
}  # fmt: skip
METRIC = "ndcg@10"
SMALLEST_GROUP = 5  # questions; below it an interval says nothing


@dataclass(frozen=True)
class GroupPoint:
    """What a factor does to one group of questions.

    Args:
        group: Name of the group.
        factor: Pool factor.
        queries: How many questions.
        mean: nDCG@10 averaged over the group.
        difference: Paired difference to factor 1, with its 95% interval.
    """

    group: str
    factor: float
    queries: int
    mean: float
    difference: Interval


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
        query: float(np.mean([length[name] for name in collection.relevant(query)]))
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


def group_curve(records: Sequence[PoolPoint], groups: Mapping[str, Sequence[str]]) -> list[GroupPoint]:
    """The curve of each group of questions, in nDCG@10.

    Args:
        records: Points of one method and one index, factor 1 among them.
        groups: Name -> query ids.

    Returns:
        One point a group and factor.

    Raises:
        InputError: no record of factor 1.
    """
    first = next((record for record in records if record.factor == 1), None)
    if first is None:
        raise InputError("Expected a record of factor 1 to compare with, got none: study factor 1 too.")
    before = first.per_query[METRIC]
    points = []
    for name, queries in groups.items():
        for record in records:
            after = {query: record.per_query[METRIC][query] for query in queries}
            mean = float(np.mean(list(after.values())))
            points.append(GroupPoint(name, record.factor, len(queries), mean, paired(before, after)))
    return points
