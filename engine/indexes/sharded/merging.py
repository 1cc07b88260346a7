"""What shards answer, put together: rankings, and the last stage of a trace."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.indexes.trace import Stage
from engine.retrieval import Ranking, id_order, top_positions


def joined(parts: Sequence[Ranking], k: int) -> Ranking:
    """The best of several rankings of other documents each, equal scores by id as everywhere.

    Args:
        parts: One a shard, each with its best k.
        k: How many to keep.

    Returns:
        The ranking, with the notes of all parts.
    """
    names = [name for part in parts for name in part.ids]
    scores = np.concatenate([np.empty(0, np.float32), *(part.scores for part in parts)])
    best = top_positions(scores, id_order(names), k)
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    return Ranking([names[i] for i in best], scores[best], notes)


def merged_stages(stages: tuple[Stage, ...], document: str, found: Sequence[Ranking], k: int) -> tuple[Stage, ...]:
    """The stages of a document inside its shard, and the one that merges the best of all shards.

    Args:
        stages: Those of its shard.
        document: Its id.
        found: What each shard returns.
        k: How many the search returns.

    Returns:
        The stages, one more; its rank is the rank among the results.
    """
    every = joined(found, sum(map(len, found)))
    at = every.ids.index(document) if document in every.ids else None
    score, rank = (None, None) if at is None else (float(every.scores[at]), at + 1)
    kept = min(k, len(every))
    return (*stages, Stage("merge of shards", "k", k, len(every), kept, score, rank, at is not None and at < k))
