"""Rankings and judgements to scores, by ranx: per query and averaged."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal

from engine.collection import Collection
from engine.errors import InputError
from engine.retrieval import Ranking

DEFAULT_METRICS = ("ndcg@10", "recall@100")
KNOWN_METRICS = (
    "hits", "hit_rate", "precision", "recall", "f1", "r-precision", "bpref", "rbp",
    "mrr", "map", "dcg", "dcg_burges", "ndcg", "ndcg_burges",
)  # fmt: skip
UNCUT = ("r-precision", "bpref")  # their depth is the number of relevant documents
FORM = re.compile(
    r"(?P<base>[a-z][a-z_1]*(?:-precision)?)(?:@(?P<cutoff>\d{1,9})|\.(?P<persistence>\d+))?(?:-l(?P<level>\d))?"
)
SHOWN = {
    "ndcg": "nDCG",
    "dcg": "DCG",
    "map": "MAP",
    "mrr": "MRR",
    "f1": "F1",
    "rbp": "RBP",
    "r-precision": "R-precision",
}
NOTHING = "\0nothing"  # an id that no document has

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


@dataclass(frozen=True)
class Metric:
    """A metric's name, taken apart.

    Args:
        name: As it was asked for, such as "ndcg@10", "precision@5-l2" or "rbp.95".
        base: One of KNOWN_METRICS.
        cutoff: How many documents of a ranking count; 0 is all of them.
        level: The least grade that counts as relevant.
    """

    name: str
    base: str
    cutoff: int = 0
    level: int = 1

    @property
    def for_ranx(self) -> str:
        """The name as ranx takes it."""
        return re.sub(r"r_precision", "r-precision", self.name)


def parse_metric(name: str) -> Metric:
    """Take a metric's name apart.

    Args:
        name: A metric of ranx, with a cut-off ("ndcg@10"), a persistence ("rbp.95") and a level ("recall@100-l2") as
            ranx writes them.

    Returns:
        Its parts.

    Raises:
        InputError: an unknown name or form; the sentence lists the known ones.
    """
    found = FORM.fullmatch(name) if isinstance(name, str) else None
    base = "" if found is None else found["base"].replace("r_precision", "r-precision")
    if found is None or base not in KNOWN_METRICS:
        raise InputError(
            f"Unknown metric {name!r}: choose among {', '.join(KNOWN_METRICS)}, with a cut-off such as ndcg@10, and "
            "with -l2 at the end where only grades of 2 or more count as relevant."
        )
    cutoff, level = int(found["cutoff"] or 0), int(found["level"] or 1)
    if (base == "rbp") != (found["persistence"] is not None):
        raise InputError(f"Expected a persistence for rbp and for rbp alone, got {name!r}: write rbp.95, or ndcg@10.")
    if found["cutoff"] is not None and (cutoff == 0 or base in UNCUT):
        advice = f"leave it out of {base}" if base in UNCUT else f"write {base} or {base}@10"
        raise InputError(f"Expected a cut-off of 1 or more where a metric has one, got {name!r}: {advice}.")
    if level == 0:
        raise InputError(f"Expected a level of 1 or more, got {name!r}: a grade of 0 is not relevant.")
    return Metric(name, base, cutoff, level)


def check_metrics(metrics: Sequence[str]) -> list[str]:
    """Check names such as "ndcg@10" against what ranx computes.

    Raises:
        InputError: no name, or an unknown one; the sentence lists the known ones.
    """
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    if not names:
        raise InputError("Expected at least one metric, got none: name one, such as ndcg@10.")
    return [parse_metric(name).name for name in names]


def search_depth(metrics: Sequence[str], k: int, collection: Collection, same_ids: SameIds = "auto") -> int:
    """How many documents a query to search for, so that every metric sees as many as it looks at.

    Args:
        metrics: Names of metrics.
        k: How many documents are wanted anyway.
        collection: Its documents bound the depth; one more is needed where a query's own document is left out.
        same_ids: See `evaluate`.

    Returns:
        At least k, and at most the number of documents when that is more than k.
    """
    deepest = max([k, *(parse_metric(name).cutoff for name in metrics)])
    own = bool(_own_documents(collection, collection.queries, same_ids)[0])
    return max(k, min(deepest + own, len(collection.documents)))


def metric_name(metric: str) -> str:
    """A metric as people write it: "nDCG@10", "recall@100", "MRR@10"."""
    base, mark, rest = re.fullmatch(r"([a-z0-9_-]+?)(@|\.|-l|$)(.*)", metric).groups()  # type: ignore[union-attr]
    return f"{SHOWN.get(base, base).replace('_', ' ')}{mark}{rest}"


def evaluate(
    rankings: Sequence[Ranking] | dict[str, Ranking],
    collection: Collection,
    metrics: Sequence[str] = DEFAULT_METRICS,
    same_ids: SameIds = "auto",
) -> Evaluation:
    """Score rankings against a collection's judgements.

    Args:
        rankings: One ranking a query, in the order of `collection.queries`, or a dict by query id.
        collection: Its `qrels` are the judgements.
        metrics: Names that ranx knows, such as "ndcg@10", "recall@100", "mrr@10". "rbp.95" multiplies by the grades as
            they are, as ranx has it: with grades above 1 it is no longer between 0 and 1.
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
    found = {query: [name for name in ids if query not in own or name != query] for query, ids in found.items()}
    notes += _too_short(found, names, len(collection.documents) - bool(own))
    notes += _without_level(found, collection, names)
    with _one_at_a_time:
        per_query = _with_ranx(found, collection, names)
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


def _with_ranx(
    rankings: Mapping[str, Sequence[str]], collection: Collection, metrics: Sequence[str]
) -> dict[str, dict[str, float]]:
    from ranx import Qrels, Run
    from ranx import evaluate as ranx_evaluate  # imports numba code: seconds, so only when it is used

    parsed = [parse_metric(name) for name in metrics]
    found: dict[str, dict[str, float]] = {metric.name: dict.fromkeys(rankings, 0.0) for metric in parsed}
    for level, bpref in sorted({(metric.level, metric.base == "bpref") for metric in parsed}):
        # Where nothing has the level there is nothing to find, and ranx, dividing by zero, spoils other queries too.
        asked = [query for query in rankings if max(collection.qrels[query].values()) >= level]
        if not asked:
            continue
        # Ranks, not scores: ranx sorts by score without a tie-breaker, our rankings are already in their final order.
        # An empty ranking is given one unknown document, since ranx drops a query without results.
        ranked = {
            query: {name: float(len(rankings[query]) - rank) for rank, name in enumerate(rankings[query])}
            or {NOTHING: 0.0}
            for query in asked
        }
        qrels, run = Qrels({q: _judgements(collection.qrels[q], level, bpref) for q in asked}), Run(ranked)
        for metric in parsed:
            if (metric.level, metric.base == "bpref") == (level, bpref):
                values: Any = ranx_evaluate(qrels, run, metric.for_ranx, return_mean=False)
                found[metric.name].update(zip(qrels.qrels.keys(), map(float, values), strict=True))
    for name, values in found.items():
        wrong = next((query for query, value in values.items() if not math.isfinite(value)), None)
        if wrong is not None:
            raise InputError(
                f"Expected grades that {name} can raise 2 to, got {max(collection.qrels[wrong].values())} for query "
                f"{wrong!r}: use ndcg@10, or smaller grades."
            )
    return found


def _judgements(grades: Mapping[str, int], level: int, bpref: bool) -> dict[str, int]:
    """The judgements as a metric takes them; a grade below 0 is none, as trec_eval has it."""
    judged = {name: grade for name, grade in grades.items() if grade >= 0}
    if bpref and min(judged.values()) >= level:
        judged[f"{NOTHING} judged"] = (
            0  # without one that is not relevant, bpref divides by zero: nobody finds this one
        )
    return judged
