"""Rankings and judgements to scores, by ranx: per query and averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.collection import Collection
from engine.errors import InputError
from engine.retrieval import Ranking

DEFAULT_METRICS = ("ndcg@10", "recall@100")
KNOWN_METRICS = (
    "hits", "hit_rate", "precision", "recall", "f1", "r_precision", "bpref", "rbp",
    "mrr", "map", "dcg", "dcg_burges", "ndcg", "ndcg_burges",
)  # fmt: skip


@dataclass(frozen=True)
class Evaluation:
    """Scores of a list of rankings.

    Args:
        mean: metric -> average over the judged queries.
        per_query: metric -> {query id: value}.
        unjudged: Ids of queries that have no relevant document and were left out.
    """

    mean: dict[str, float]
    per_query: dict[str, dict[str, float]]
    unjudged: tuple[str, ...] = ()


def check_metrics(metrics: Sequence[str]) -> list[str]:
    """Check names such as "ndcg@10" against what ranx computes.

    Raises:
        InputError: an unknown name; the sentence lists the known ones.
    """
    for metric in metrics:
        name, _, cutoff = metric.partition("@")
        base = name.split("-")[0].split(".")[0] if name.startswith("rbp") else name.split("-")[0]
        if base not in KNOWN_METRICS or (cutoff and not cutoff.isdigit()):
            raise InputError(
                f"Unknown metric {metric!r}: choose among {', '.join(KNOWN_METRICS)}, with a cut-off such as ndcg@10."
            )
    return list(metrics)


def evaluate(
    rankings: Sequence[Ranking] | dict[str, Ranking],
    collection: Collection,
    metrics: Sequence[str] = DEFAULT_METRICS,
) -> Evaluation:
    """Score rankings against a collection's judgements.

    Args:
        rankings: One ranking a query, in the order of `collection.queries`, or a dict by query id.
        collection: Its `qrels` are the judgements.
        metrics: Names that ranx knows, such as "ndcg@10", "recall@100", "mrr@10".

    Returns:
        Averages and per-query values over the judged queries.

    Raises:
        InputError: counts or ids differ, an unknown metric, or no judgements.
    """
    names = check_metrics(metrics)
    if not isinstance(rankings, dict):
        if len(rankings) != len(collection.queries):
            raise InputError(
                f"Expected {len(collection.queries)} rankings, one a query of {collection.name!r}, got "
                f"{len(rankings)}: pass them in the order of its queries, or as a dict by query id."
            )
        rankings = dict(zip(collection.queries, rankings, strict=True))
    unknown = next((query for query in rankings if query not in collection.queries), None)
    if unknown is not None:
        raise InputError(f"Ranking for {unknown!r}, which {collection.name!r} does not ask: pass its own queries.")
    judged = {query for query in collection.judged_queries if query in rankings}
    if not judged:
        raise InputError(f"{collection.name!r} has no judgements for these queries: nothing can be evaluated.")
    per_query = _with_ranx({query: rankings[query] for query in rankings if query in judged}, collection, names)
    mean = {name: sum(values.values()) / len(values) for name, values in per_query.items()}
    return Evaluation(mean, per_query, tuple(query for query in rankings if query not in judged))


def _with_ranx(rankings: dict[str, Ranking], collection: Collection, metrics: list[str]) -> dict[str, dict[str, float]]:
    from ranx import Qrels, Run
    from ranx import evaluate as ranx_evaluate  # imports numba code: seconds, so only when it is used

    qrels = Qrels({query: {d: g for d, g in collection.qrels[query].items() if g > 0} for query in rankings})
    # Ranks, not scores: ranx sorts by score without a tie-breaker, our rankings are already in their final order.
    # An empty ranking is given one unknown document, since ranx drops a query without results from its averages.
    run = Run(
        {
            query: {name: float(len(ranking.ids) - rank) for rank, name in enumerate(ranking.ids)} or {"\0nothing": 0.0}
            for query, ranking in rankings.items()
        }
    )
    scores = ranx_evaluate(qrels, run, metrics, return_mean=False)
    if not isinstance(scores, dict):
        scores = {metrics[0]: scores}
    order: list[str] = list(qrels.qrels.keys())
    return {
        name: {query: float(value) for query, value in zip(order, np.asarray(scores[name]), strict=True)}
        for name in metrics
    }
