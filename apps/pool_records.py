"""What the pool-factor page draws, as JSON values: one record a factor, and which tokens of a document were merged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from apps.plotting import drawn
from apps.text import segments, visible
from engine import Collection
from engine.tokens import Token
from workbench.experiments.views.pooling import PoolPoint, sentence
from workbench.figures import pool_curve

MOST_QUESTIONS = 40  # shown a side
DROPPED = -2  # in place of the group of a token that has no vector any more


def factor_row(record: PoolPoint, before: PoolPoint, collection: Collection) -> dict[str, Any]:
    """One factor of a study.

    Args:
        record: The factor.
        before: The record of factor 1, which it is compared with.
        collection: For the questions' texts.

    Returns:
        Numbers for the rows of the figure, the sentence, and the questions that moved.
    """
    metric = next(iter(record.mean))
    others = [name for name in record.mean if name != metric]
    return {
        "label": record.label,
        "factor": None if math.isinf(record.factor) else record.factor,
        "metric": metric,
        "mean": record.mean[metric],
        "low": record.interval[metric][0],
        "high": record.interval[metric][1],
        "others": {name: record.mean[name] for name in others},
        "kept": record.kept,
        "tokens": record.tokens,
        "bytes": record.bytes,
        "milliseconds": record.latency_ms,
        "seconds": record.pool_s,
        "queries": record.queries,
        "real": record.real,
        "sentence": sentence(record) if record.factor > 1 else start_sentence(record),
        "worse": [question(name, record, before, collection) for name in record.worse[:MOST_QUESTIONS]],
        "better": [question(name, record, before, collection) for name in record.better[:MOST_QUESTIONS]],
        "n_worse": len(record.worse),
        "n_better": len(record.better),
    }


def pool_figure(records: Sequence[PoolPoint]) -> str:
    """The figure of a study so far, for the page to draw."""
    return drawn(pool_curve(records, metric=next(iter(records[0].mean))))


def start_sentence(record: PoolPoint) -> str:
    """The sentence for factor 1, where nothing is merged."""
    metric = next(iter(record.mean))
    return (
        f"Every vector is kept: {record.tokens:,} vectors of {record.documents:,} documents, {metric} "
        f"{record.mean[metric]:.3f} over {record.queries} questions. Move the slider to merge some of them."
    )


def question(name: str, record: PoolPoint, before: PoolPoint, collection: Collection) -> dict[str, Any]:
    """A question that moved: its text, its metric before and after, and the document that was first before."""
    metric = next(iter(record.mean))
    first = record.rankings.get(name) or ("",)
    return {
        "text": visible(collection.queries[name]),
        "before": before.per_query[metric][name],
        "after": record.per_query[metric][name],
        "first_before": (before.rankings.get(name) or ("",))[0],
        "first_after": first[0],
    }


def merged(text: str, tokens: Sequence[Token], labels: np.ndarray) -> dict[str, Any]:
    """Which tokens of a document go into one vector.

    Args:
        text: The document.
        tokens: Its tokens, one a vector before pooling.
        labels: int64, the pooled vector that each went into, -1 where it was dropped.

    Returns:
        "segments" of the text with the group of each (-1: alone, -2: dropped), "groups" (the tokens of those with more
        than one, in order), how many were "dropped", and how many "tokens" became how many "vectors".
    """
    pieces = segments(text, tokens, [[i] for i in range(len(tokens))])
    sizes = np.bincount(labels[labels >= 0])
    numbers = {int(group): number for number, group in enumerate(np.flatnonzero(sizes > 1))}
    for piece in pieces:
        units: Sequence[int] = piece.pop("units")  # type: ignore[assignment]
        label = int(labels[units[0]]) if units else None
        piece["group"] = None if label is None else DROPPED if label < 0 else numbers.get(label, -1)
    groups = [[visible(tokens[i].text) for i in np.flatnonzero(labels == group).tolist()] for group in numbers]
    counts = {"tokens": len(tokens), "vectors": len(sizes), "dropped": int(np.count_nonzero(labels < 0))}
    return {"segments": pieces, "groups": groups, **counts}
