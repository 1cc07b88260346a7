"""Rankings: the one order (best first, ties by id) and the ways to get there from scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.maxsim import scorers
from engine.maxsim.scorers import Scorer


@dataclass(frozen=True, eq=False)
class Ranking:
    """The documents found for one query.

    Args:
        ids: The caller's document ids, best first, equal scores by id.
        scores: float32 [len(ids)].
        notes: What the search did beyond its settings, such as widening to fill k.
    """

    ids: list[str]
    scores: np.ndarray
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


def id_order(ids: Sequence[str]) -> np.ndarray:
    """Rank of each id among all ids in code-point order, int64 [n]: the tie-breaker of every ranking."""
    order = np.empty(len(ids), np.int64)
    order[np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)] = np.arange(len(ids))
    return order


def top_positions(scores: np.ndarray, tie_order: np.ndarray, k: int) -> np.ndarray:
    """Positions of the k best scores, best first, ties by `tie_order`; negative infinity never enters.

    Args:
        scores: float32 [n].
        tie_order: int [n], lower goes first among equal scores.
        k: How many at most.

    Returns:
        int64 [at most k].
    """
    k = min(k, len(scores))
    if k <= 0:
        return np.empty(0, np.int64)
    if k < len(scores):
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        positions = np.flatnonzero(scores >= threshold)  # all ties at the edge stay in until the sort decides
    else:
        positions = np.arange(len(scores))
    positions = positions[scores[positions] > -np.inf]
    return positions[np.lexsort((tie_order[positions], -scores[positions]))][:k]


def rank_of(position: int, scores: np.ndarray, tie_order: np.ndarray) -> int:
    """Rank of one of n scored documents among all, 1 is best, ties by `tie_order`."""
    ahead = (scores > scores[position]) | ((scores == scores[position]) & (tie_order < tie_order[position]))
    return 1 + int(ahead.sum())


def check_k(k: int) -> None:
    """Raise InputError unless k is a positive integer."""
    if not isinstance(k, (int, np.integer)) or isinstance(k, bool) or k < 1:
        raise InputError(f"Expected k of 1 or more, got {k!r}: say how many documents to return.")


def rerank(
    queries: TokenEmbeddings,
    candidates: Sequence[Sequence[str]],
    ids: Sequence[str],
    documents: TokenEmbeddings,
    k: int,
    scorer: Scorer | str = "maxsim",
) -> list[Ranking]:
    """Order given candidates by exact scores.

    Args:
        queries: m queries.
        candidates: One list of document ids a query, from any first stage.
        ids: n ids, the names of `documents` in order.
        documents: n documents.
        k: How many to keep a query.
        scorer: A name of `engine.maxsim.scorers`, or a scorer.

    Returns:
        m rankings.

    Raises:
        InputError: the counts differ, a candidate is no document, or an unknown scorer.
    """
    check_k(k)
    if len(candidates) != len(queries) or len(ids) != len(documents):
        raise InputError(
            f"Expected one candidate list a query and one id a document, got {len(candidates)} lists for "
            f"{len(queries)} queries and {len(ids)} ids for {len(documents)} documents: pass them in the same order."
        )
    if isinstance(scorer, str):
        scorers.check(scorer)
    positions = {name: position for position, name in enumerate(ids)}
    rankings = []
    for number, given in enumerate(candidates):
        names = list(dict.fromkeys(given))
        unknown = next((name for name in names if name not in positions), None)
        if unknown is not None:
            raise InputError(f"Candidate {unknown!r} of query {number} is no document: rerank ids that are in `ids`.")
        chosen = documents.select([positions[name] for name in names])
        scores = scorers.score(scorer, queries.select([number]), chosen, within=documents)[0]
        best = top_positions(scores, id_order(names), k)
        rankings.append(Ranking([names[i] for i in best], scores[best]))
    return rankings
