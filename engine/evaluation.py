"""Rankings and judgements to scores, by ranx: per query and averaged."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal

import numpy as np

from engine.collection import Collection
from engine.errors import InputError
from engine.metrics import DEFAULT_METRICS, Metric, check_metrics, parse_metric
from engine.retrieval import Ranking

NOBODY = "\0nobody"  # an id that no document has
NUMBA_SAYS = r"[\s\S]*unsafe cast from uint64 to int64"  # of a loop counter of ranx, once, while it is compiled

_one_at_a_time = Lock()  # numba's threads, which ranx calls, end the process when two threads of ours come at once

SameIds = Literal["auto", "leave out", "keep"]
SAME_IDS = ("auto", "leave out", "keep")


@dataclass(frozen=True)
class Evaluation:
    """Scores of a list of rankings.

    Args:
        mean: metric -> average over the judged queries.
        per_query: metric -> {query id: value}.
        unjudged: Ids of queries that have no relevant document and were left out.
        notes: What a reader of the numbers has to know: rankings shorter than a cut-off, documents left out.
    """

    mean: dict[str, float]
    per_query: dict[str, dict[str, float]]
    unjudged: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def search_depth(metrics: Sequence[str], k: int, collection: Collection, same_ids: SameIds = "auto") -> int:
    """How many documents a query to search for, so that every metric sees as many as it looks at.

    Args:
        metrics: Names of metrics.
        k: How many documents are wanted anyway.
        collection: Its documents bound the depth; more are needed where a query's own document or excluded ones are
            left out.
        same_ids: See `evaluate`.

    Returns:
        At least k, and at most the number of documents when that is more than k.
    """
    deepest = max([k, *(parse_metric(name).cutoff for name in metrics)])
    own = bool(_own_documents(collection, collection.queries, same_ids)[0])
    left_out = own + max(map(len, collection.excluded.values()), default=0)
    return max(k, min(deepest + left_out, len(collection.documents)))


def evaluate(
    rankings: Sequence[Ranking] | dict[str, Ranking],
    collection: Collection,
    metrics: Sequence[str] = DEFAULT_METRICS,
    same_ids: SameIds = "auto",
) -> Evaluation:
    """Score rankings against a collection's judgements.

    Args:
        rankings: One ranking a query, in the order of `collection.queries`, or a dict by query id.
        collection: Its `qrels` are the judgements; what it has as `excluded` is left out of the rankings.
        metrics: Names that ranx knows, such as "ndcg@10", "recall@100", "mrr@10", or ir-measures, such as "nDCG@10",
            "R@100", "RR@10", "Judged@10". "rbp.95" multiplies by the grades as they are, as ranx has it: with grades
            above 1 it is no longer between 0 and 1.
        same_ids: What to do with a document that has its query's id. In some collections (ArguAna, Quora) the questions
            are documents, and finding oneself is no success: "leave out" removes it from the ranking, as BEIR does for
            all collections; "keep" does not. "auto" removes it too, but neither where both are only numbered alike
            (ids of digits, other texts) nor where the judgements call it relevant.

    Returns:
        Averages and per-query values over the judged queries.

    Raises:
        InputError: counts or ids differ, an unknown metric, no judgements, or grades beyond what a metric holds.
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
    judged = set(collection.judged_queries)
    found = {query: list(ranking.ids) for query, ranking in rankings.items() if query in judged}
    if not found:
        raise InputError(f"{collection.name!r} has no judgements for these queries: nothing can be evaluated.")
    own, notes = _own_documents(collection, found, same_ids)
    excluded = {query: {*collection.excluded.get(query, ()), *({query} & own)} for query in found}
    found = {query: [name for name in ids if name not in excluded[query]] for query, ids in found.items()}
    if asking := sum(query in collection.excluded for query in found):
        notes.append(f"{asking} queries exclude documents: these are left out of their rankings.")
    notes += _too_short(found, names, len(collection.documents) - bool(own))
    notes += _without_level(found, collection, names)
    with _one_at_a_time, warnings.catch_warnings():
        warnings.filterwarnings("ignore", NUMBA_SAYS)
        per_query = _values(found, collection, names)
    mean = {name: sum(values.values()) / len(values) for name, values in per_query.items()}
    return Evaluation(mean, per_query, tuple(query for query in rankings if query not in judged), tuple(notes))


def _own_documents(collection: Collection, queries: Iterable[str], same_ids: SameIds) -> tuple[set[str], list[str]]:
    """The queries whose own document is left out of their ranking, and a note for the person."""
    if same_ids not in SAME_IDS:
        raise InputError(f"Unknown rule {same_ids!r} for equal ids: choose among {', '.join(SAME_IDS)}.")
    shared = [query for query in queries if query in collection.documents and same_ids != "keep"]
    own = {query for query in shared if same_ids == "leave out" or _is_document(collection, query)}
    if not own:
        return own, []
    return own, [f'{len(own)} queries are documents too: left out of their own rankings, unless same_ids is "keep".']


def _is_document(collection: Collection, query: str) -> bool:
    """Whether a query is the document of its name, and not only numbered like it."""
    if collection.qrels.get(query, {}).get(query, 0) > 0:
        return False
    question, text = (" ".join(part[query].casefold().split()) for part in (collection.queries, collection.documents))
    return not query.isdecimal() or (question in text and 2 * len(question) >= len(text))  # a title may be missing


def _too_short(found: Mapping[str, Sequence[str]], metrics: Sequence[str], documents: int) -> list[str]:
    """A note for every cut-off that no ranking reaches although there are documents enough."""
    longest = max(map(len, found.values()))
    cutoffs = {name: parse_metric(name).cutoff for name in metrics}
    return [
        f"{name} looks at {cutoff} documents, the longest ranking has {longest}: search for more."
        for name, cutoff in cutoffs.items()
        if longest < min(cutoff, documents)
    ]


def _without_level(queries: Iterable[str], collection: Collection, metrics: Sequence[str]) -> list[str]:
    """A note for every level that some queries have no document of, as nothing can be found for them."""
    best = [max(collection.qrels[query].values()) for query in queries]
    lacking = {level: sum(grade < level for grade in best) for level in {parse_metric(name).level for name in metrics}}
    return [
        f"{count} of {len(best)} queries have no document of grade {level} or more: they count as 0 at that level."
        for level, count in sorted(lacking.items())
        if count
    ]


def _values(
    rankings: Mapping[str, Sequence[str]], collection: Collection, metrics: Sequence[str]
) -> dict[str, dict[str, float]]:
    parsed = [parse_metric(name) for name in metrics]
    found: dict[str, dict[str, float]] = {metric.name: dict.fromkeys(rankings, 0.0) for metric in parsed}
    groups: dict[Any, list[Metric]] = {}
    for metric in parsed:
        if metric.base == "judged":
            found[metric.name] = _judged(rankings, collection, metric.cutoff)
        else:
            key = (metric.level, metric.base == "bpref", metric.binary, metric.judged_only)
            groups.setdefault(key, []).append(metric)
    for alike in groups.values():
        for name, values in _with_ranx(rankings, collection, alike).items():
            found[name].update(values)
    for name, values in found.items():
        wrong = next((query for query, value in values.items() if not math.isfinite(value)), None)
        if wrong is not None:
            raise InputError(
                f"Expected grades that {name} can raise 2 to, got {max(collection.qrels[wrong].values())} for query "
                f"{wrong!r}: use ndcg@10, or smaller grades."
            )
    return found


def _judged(rankings: Mapping[str, Sequence[str]], collection: Collection, cutoff: int) -> dict[str, float]:
    """Share of the documents found that have a judgement, of those that there are; 0 where nothing was found."""
    tops = {query: ids[: cutoff or None] for query, ids in rankings.items()}
    return {q: sum(name in collection.qrels[q] for name in ids) / max(len(ids), 1) for q, ids in tops.items()}


def _with_ranx(
    rankings: Mapping[str, Sequence[str]], collection: Collection, metrics: Sequence[Metric]
) -> dict[str, dict[str, float]]:
    """Values of metrics that take judgements and rankings alike; of the queries that have a document of the level."""
    from numba.typed.typedlist import List
    from ranx import evaluate as ranx_evaluate  # imports numba code: seconds, so only when it is used

    kind = metrics[0]
    # Where nothing has the level there is nothing to find, and ranx, dividing by zero, spoils other queries too.
    judged = {query: _judgements(collection.qrels[query], kind) for query in rankings
              if max(collection.qrels[query].values()) >= kind.level}  # fmt: skip
    if not judged:
        return {}
    sides = List(), List()
    for query, known in judged.items():
        ids = [name for name in rankings[query] if name in known] if kind.judged_only else rankings[query]
        for side, rows in zip(sides, _numbered(known, ids), strict=True):
            side.append(rows)
    names = [metric.for_ranx for metric in metrics]
    # A single name ranx 0.3.21 looks up by its first part, and does not find; of several it returns a dictionary.
    values: Any = ranx_evaluate(*sides, [*names, names[0]], return_mean=False)
    return {
        metric.name: dict(zip(judged, map(float, values[name]), strict=True))
        for metric, name in zip(metrics, names, strict=True)
    }


def _numbered(judged: Mapping[str, int], ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Judgements and ranking of one query as the metrics of ranx take them, in order, with numbers for ids.

    From dictionaries ranx makes the same, but hashes the ids and sorts in code that is compiled anew for every length
    of the longest id, for up to two minutes.

    Returns:
        float64 [judgements, 2], numbers and grades, the highest first; and float64 [results, 2], numbers and what falls
        with the rank. An empty ranking is given one unknown document.
    """
    known = sorted(judged.items(), key=lambda entry: -entry[1])
    numbers = {name: number for number, (name, _) in enumerate(known)}
    results = [numbers.get(name, len(known) + rank) for rank, name in enumerate(dict.fromkeys(ids))] or [len(known)]
    grades = np.array([grade for _, grade in known], np.float64)
    return (
        np.column_stack([np.arange(len(known), dtype=np.float64), grades]),
        np.column_stack([np.array(results, np.float64), np.arange(len(results), 0, -1, dtype=np.float64)]),
    )


def _judgements(grades: Mapping[str, int], kind: Metric) -> dict[str, int]:
    """The judgements as a metric takes them; a grade below 0 is none, as trec_eval has it."""
    judged = {name: grade for name, grade in grades.items() if grade >= 0}
    if kind.binary:
        return {name: int(grade >= kind.level) for name, grade in judged.items()}
    if kind.base == "bpref" and min(judged.values()) >= kind.level:
        judged[NOBODY] = 0  # without one that is not relevant, bpref divides by zero: nobody finds this one
    return judged
