"""How good a model is on a development collection, with an interval, and what changed between two models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.collection import Collection
from engine.embeddings import TokenEmbeddings
from engine.encoder import Encoder
from engine.evaluation import evaluate
from engine.explain import Alignment, align
from engine.maxsim import scorers
from engine.maxsim.scorers import Scorer
from engine.pooling import link
from engine.retrieval import Ranking, id_order, top_positions
from engine.statistics import bootstrap

METRIC = "ndcg@10"


@dataclass(frozen=True)
class Score:
    """nDCG@10 of a model on a collection.

    Args:
        ndcg: The mean over the judged queries.
        low: Lower end of its 95% bootstrap interval over queries.
        high: Upper end.
        per_query: query id -> nDCG@10.
        run: Name under which the measurement is kept; empty where nobody keeps it.
    """

    ndcg: float
    low: float
    high: float
    per_query: dict[str, float]
    run: str = ""


Measure = Callable[[Encoder, Collection, float], Score]  # at a pool factor, before and after a training


def score_collection(
    encoder: Encoder, collection: Collection, seed: int = 0, scorer: Scorer | str = scorers.DEFAULT
) -> Score:
    """Search a collection exactly and score the result.

    Args:
        encoder: The model; it is put into evaluation mode and back.
        collection: With judgements.
        seed: Seed of the bootstrap.
        scorer: A scorer or its name.

    Returns:
        The score.
    """
    return pooled_scores(encoder, collection, (1,), scorer, seed)[1]


def pooled_scores(
    encoder: Encoder,
    collection: Collection,
    factors: Sequence[float],
    scorer: Scorer | str = scorers.DEFAULT,
    seed: int = 0,
) -> dict[float, Score]:
    """Search a collection exactly with its documents pooled: what each factor costs a model.

    Args:
        encoder: The model; it is put into evaluation mode and back.
        collection: With judgements.
        factors: Pool factors; 1 pools nothing.
        scorer: A scorer or its name.
        seed: Seed of the bootstrap.

    Returns:
        Factor -> score, in the order that came.
    """
    training = encoder.model.training
    encoder.model.eval()
    try:
        names = collection.judged_queries
        documents = encoder.encode_document(list(collection.documents.values()))
        queries = encoder.encode_query([collection.queries[name] for name in names])
    finally:
        encoder.model.train(training)
    found: dict[float, Score] = {}
    linked = None if all(factor == 1 for factor in factors) else link(documents)
    for factor in factors:
        kept = documents if factor == 1 or linked is None else linked.pool(factor)
        found[factor] = _scored(collection, names, scorers.score(scorer, queries, kept), seed)
    return found


def _scored(collection: Collection, names: list[str], scores: np.ndarray, seed: int) -> Score:
    ids = list(collection.documents)
    order = id_order(ids)
    rankings = {}
    for name, row in zip(names, scores, strict=True):
        best = top_positions(row, order, 10)
        rankings[name] = Ranking([ids[i] for i in best], row[best])
    per_query = evaluate(rankings, collection, [METRIC]).per_query[METRIC]
    return Score(*bootstrap(list(per_query.values()), seed), per_query)


@dataclass(frozen=True)
class Pairs:
    """The vectors of some judged pairs, kept to see later what changed.

    Args:
        names: (query id, document id).
        queries: Vectors of each pair's query.
        documents: Vectors of each pair's document.
    """

    names: list[tuple[str, str]]
    queries: TokenEmbeddings
    documents: TokenEmbeddings


def encode_pairs(encoder: Encoder, collection: Collection, most: int = 50) -> Pairs:
    """Encode the first relevant document of each of the first judged queries.

    Args:
        encoder: The model, in evaluation mode.
        collection: With judgements.
        most: Pairs at most.

    Returns:
        The pairs.
    """
    names = [(query, next(iter(collection.relevant(query)))) for query in collection.judged_queries[:most]]
    queries = encoder.encode_query([collection.queries[query] for query, _ in names])
    return Pairs(names, queries, encoder.encode_document([collection.documents[name] for _, name in names]))


def most_changed(
    encoder: Encoder, collection: Collection, before: Pairs, after: Pairs, n: int = 5
) -> list[tuple[str, str, Alignment, Alignment]]:
    """The pairs whose similarities moved most, by their mean absolute change.

    Args:
        encoder: For the texts of the tokens.
        collection: For the texts.
        before: From the model before the run.
        after: The same pairs after it.
        n: How many.

    Returns:
        (query id, document id, alignment before, alignment after), most changed first.
    """
    change = [
        float(np.abs(before.queries[i] @ before.documents[i].T - after.queries[i] @ after.documents[i].T).mean())
        for i in range(len(before.names))
    ]
    found = []
    for i in sorted(range(len(change)), key=lambda i: -change[i])[:n]:
        query, document = before.names[i]
        tokens = (
            encoder.tokens(collection.queries[query], "query"),
            encoder.tokens(collection.documents[document], "document"),
        )
        pair = [align(side.queries[i], side.documents[i], *tokens) for side in (before, after)]
        found.append((query, document, pair[0], pair[1]))
    return found
