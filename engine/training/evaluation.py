"""How good a model is on a development collection, with an interval, and what changed between two models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.collection import Collection
from engine.embeddings import TokenEmbeddings
from engine.encoder import Encoder
from engine.evaluation import evaluate
from engine.explain import Alignment, align
from engine.maxsim import maxsim
from engine.retrieval import Ranking, id_order, top_positions

RESAMPLES = 2000
METRIC = "ndcg@10"


@dataclass(frozen=True)
class Score:
    """nDCG@10 of a model on a collection.

    Args:
        ndcg: The mean over the judged queries.
        low: Lower end of its 95% bootstrap interval over queries.
        high: Upper end.
        per_query: query id -> nDCG@10.
    """

    ndcg: float
    low: float
    high: float
    per_query: dict[str, float]


def score_collection(encoder: Encoder, collection: Collection, seed: int = 0) -> Score:
    """Search a collection exactly and score the result.

    Args:
        encoder: The model; it is put into evaluation mode and back.
        collection: With judgements.
        seed: Of the bootstrap.

    Returns:
        The score.
    """
    training = encoder.model.training
    encoder.model.eval()
    try:
        names = collection.judged_queries
        documents = encoder.encode_document(list(collection.documents.values()))
        queries = encoder.encode_query([collection.queries[name] for name in names])
    finally:
        encoder.model.train(training)
    ids = list(collection.documents)
    order = id_order(ids)
    rankings = {}
    for name, scores in zip(names, maxsim(queries, documents), strict=True):
        best = top_positions(scores, order, 10)
        rankings[name] = Ranking([ids[i] for i in best], scores[best])
    per_query = evaluate(rankings, collection, [METRIC]).per_query[METRIC]
    low, high = bootstrap_interval(np.array(list(per_query.values())), seed)
    return Score(float(np.mean(list(per_query.values()))), low, high, per_query)


def bootstrap_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """The 95% percentile interval of a mean.

    Args:
        values: float [n], one a query.
        seed: Of the resampling.

    Returns:
        Its ends.

    Source:
        Efron, 1979.
    """
    draws = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(values[draws].mean(1), [0.025, 0.975])
    return float(low), float(high)


def p_value(before: dict[str, float], after: dict[str, float]) -> float:
    """How likely a difference of this size is by chance, by ranx's paired randomisation test.

    Args:
        before: query id -> value.
        after: The same queries.

    Returns:
        The two-sided p-value; 1.0 where nothing differs.
    """
    from ranx.statistical_tests import fisher_randomization_test

    control = np.array([before[name] for name in before])
    treatment = np.array([after[name] for name in before])
    if np.array_equal(control, treatment):
        return 1.0
    return float(fisher_randomization_test(control, treatment, 1000, 0.01)[0])


def development_sample(collection: Collection, queries: int = 100, documents: int = 1000, seed: int = 0) -> Collection:
    """A smaller collection to watch a run with: some judged queries, their documents and others at random.

    Args:
        collection: With judgements.
        queries: At most this many queries.
        documents: This many documents, or all that are judged if they are more.
        seed: Of the choice.

    Returns:
        The sample, named after its source; its scores are higher than those of the whole collection.
    """
    generator = np.random.default_rng(seed)
    judged = collection.judged_queries
    names = [judged[i] for i in sorted(generator.permutation(len(judged))[:queries])]
    kept = {document for name in names for document in collection.qrels[name]}
    others = [document for document in collection.documents if document not in kept]
    extra = max(documents - len(kept), 0)
    kept |= {others[i] for i in generator.permutation(len(others))[:extra]}
    return Collection(
        {name: text for name, text in collection.documents.items() if name in kept},
        {name: collection.queries[name] for name in names},
        {name: collection.qrels[name] for name in names},
        f"{collection.name} (sample of {len(names)} queries and {len(kept)} documents)",
    )


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
    names = [
        (query, next(name for name, grade in collection.qrels[query].items() if grade > 0))
        for query in collection.judged_queries[:most]
    ]
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
