"""How far made questions can be trusted: a person's judgements of some of them, and the order of runs under both."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine import Collection, Ranking, evaluate
from engine.collection import Qrels
from engine.errors import InputError
from engine.statistics import Interval, bootstrap

RESAMPLES = 2000
METRIC = "ndcg@10"
FEWEST = 5  # questions judged by hand, below which nothing is said of the order


@dataclass(frozen=True)
class Trust:
    """What a person's judgements say of made ones.

    Args:
        questions: Made questions that the person judged.
        pairs: Pairs of question and document that the person judged.
        confirmed: Share of the judged documents that questions were made from that the person finds relevant too.
        agreement: Share of all judged pairs on which both agree whether the document is relevant.
        kappa: Cohen's, the agreement beyond chance.
        missed: Judged documents that the person finds relevant and the made judgements do not know.
        metric: What the runs are ordered by.
        scores: Run -> its mean under the made judgements and under the person's, on the questions that were judged.
        tau: Kendall's tau-b between the two orders, with its interval over questions; None below two runs or five
            questions.
    """

    questions: int
    pairs: int
    confirmed: Interval
    agreement: Interval
    kappa: float
    missed: int
    metric: str
    scores: Mapping[str, tuple[float, float]]
    tau: Interval | None

    @property
    def sentence(self) -> str:
        """The answer in words, with its doubt."""
        told = (
            f"A person judged {self.questions} made questions ({self.pairs} pairs) and confirmed "
            f"{self.confirmed.mean:.0%} of their documents ({self.confirmed.low:.0%} to {self.confirmed.high:.0%})"
        )
        if self.tau is None:
            return f"{told}; with fewer than two runs or {FEWEST} questions nothing is known of the order of runs."
        surely = "the same" if self.tau.low > 0.99 else "alike" if self.tau.low > 0 else "not surely alike"
        return (
            f"{told}; the order of {len(self.scores)} runs is {surely} under both: Kendall's tau {self.tau.mean:.2f} "
            f"({self.tau.low:.2f} to {self.tau.high:.2f})."
        )


def pool_to_judge(
    collection: Collection,
    runs: Sequence[Mapping[str, Ranking]] = (),
    questions: int = 10,
    depth: int = 5,
    seed: int = 0,
) -> dict[str, list[str]]:
    """What a person should judge by hand: some made questions with their documents and what runs find.

    Args:
        collection: With made questions.
        runs: Query -> ranking, of each.
        questions: How many, drawn at random.
        depth: Documents of each run.
        seed: Decides which questions, and the order in which their documents are shown, which tells no rank.

    Returns:
        A pool for `workbench.widgets.JudgingWidget`.

    Raises:
        InputError: no question was made.
    """
    made = [query for query in collection.queries if query in collection.made]
    if not made:
        raise InputError(f"{collection.name!r} has no made questions: nothing is to be checked.")
    generator = random.Random(seed)
    drawn = set(generator.sample(made, min(questions, len(made))))
    pool = {}
    for query in (query for query in made if query in drawn):
        names = dict.fromkeys(collection.qrels.get(query, {}))
        for run in runs:
            names |= dict.fromkeys(run[query].ids[:depth] if query in run else ())
        pool[query] = generator.sample(list(names), len(names))
    return pool


def judged_by_hand(collection: Collection, judged: Qrels) -> Collection:
    """The collection with a person's judgements in place of the made ones, question by question.

    Args:
        collection: With made questions.
        judged: Query -> {document: grade}, as `JudgingWidget` saves them.

    Returns:
        The collection; a made question is confirmed where the person finds a document relevant that it was made from.

    Raises:
        InputError: a query or document that the collection does not have, or no judgement.
    """
    _check(collection, judged)
    qrels = {**collection.qrels, **{query: dict(grades) for query, grades in judged.items()}}
    confirmed = {
        query
        for query, grades in judged.items()
        if query in collection.made and any(grades.get(name, 0) > 0 for name in collection.relevant(query))
    }
    changed = replace(collection, qrels=qrels, confirmed=(collection.confirmed - judged.keys()) | confirmed)
    notes = [note for note in collection.notes if note != collection.made_note]
    return replace(changed, notes=(*notes, changed.made_note))


def _check(collection: Collection, judged: Qrels) -> None:
    pairs = [(query, name) for query, grades in judged.items() for name in grades]
    if not pairs:
        raise InputError("Expected judgements of a person, got none: judge some questions first.")
    for query, name in pairs:
        if query not in collection.queries or name not in collection.documents:
            raise InputError(
                f"{collection.name!r} has no pair {query!r}, {name!r}: judge its own questions and documents."
            )


def trust(
    collection: Collection, judged: Qrels, runs: Mapping[str, Mapping[str, Ranking]] | None = None,
    metric: str = METRIC, seed: int = 0,
) -> Trust:  # fmt: skip
    """Hold made questions against the judgements of a person.

    Args:
        collection: With made questions and their made judgements.
        judged: Query -> {document: grade} by a person, of some of them.
        runs: Name -> query -> ranking: what is to be ordered.
        metric: What by.
        seed: Of the intervals.

    Returns:
        The agreement, and whether the order of the runs is the same.

    Raises:
        InputError: the judgements are not of made questions of this collection.
    """
    _check(collection, judged)
    made = {query: grades for query, grades in judged.items() if query in collection.made}
    if not made:
        raise InputError("None of the judged questions was made: nothing is to be checked.")
    pairs = [
        (name in collection.relevant(query), grade > 0)
        for query, grades in made.items()
        for name, grade in grades.items()
    ]
    confirmed = [float(second) for first, second in pairs if first]
    if not confirmed:
        raise InputError("No document that a question was made from is judged: judge these too.")
    agreed = [float(first == second) for first, second in pairs]
    told = sum(first for first, _ in pairs) / len(pairs), sum(second for _, second in pairs) / len(pairs)
    chance = told[0] * told[1] + (1 - told[0]) * (1 - told[1])
    mean = sum(agreed) / len(agreed)
    values = _values(collection, made, runs or {}, metric)
    return Trust(
        questions=len(made), pairs=len(pairs), confirmed=bootstrap(confirmed, seed), agreement=bootstrap(agreed, seed),
        kappa=(mean - chance) / (1 - chance) if chance < 1 else 1.0,
        missed=sum(second and not first for first, second in pairs), metric=metric,
        scores={name: (float(first.mean()), float(second.mean())) for name, (first, second) in values.items()},
        tau=_tau(list(values.values()), seed),
    )  # fmt: skip


def _values(
    collection: Collection, made: Qrels, runs: Mapping[str, Mapping[str, Ranking]], metric: str
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Run -> its value for each question under the made judgements and the person's; 0 where nothing is relevant."""
    found = {}
    for name, run in runs.items():
        absent = next((query for query in made if query not in run), None)
        if absent is not None:
            raise InputError(f"The run {name} does not answer {absent!r}: run it on this collection.")
        columns = []
        for qrels in (collection.qrels, made):
            part = replace(collection, queries={query: collection.queries[query] for query in made}, qrels=qrels)
            kept, values = part.judged_queries, dict[str, float]()
            if kept:
                values = evaluate({query: run[query] for query in kept}, part, [metric]).per_query[metric]
            columns.append(np.array([values.get(query, 0.0) for query in made]))
        found[name] = (columns[0], columns[1])
    return found


def _tau(values: Sequence[tuple[np.ndarray, np.ndarray]], seed: int) -> Interval | None:
    """Kendall's tau-b of two orders of runs, with an interval over samples of the questions."""
    if len(values) < 2 or len(values[0][0]) < FEWEST:
        return None
    both = np.array(values)  # [runs, 2, questions]
    generator = np.random.default_rng(seed)
    taus = [kendall(*both.mean(axis=2).T)]
    for _ in range(RESAMPLES):
        drawn = generator.integers(0, both.shape[2], both.shape[2])
        taus.append(kendall(*both[:, :, drawn].mean(axis=2).T))
    low, high = np.percentile(taus[1:], [2.5, 97.5])
    return Interval(taus[0], float(low), float(high))


def kendall(first: np.ndarray, second: np.ndarray) -> float:
    """Kendall's tau-b of two columns of scores, by scipy; 1 where both hold everything equal, 0 where one does."""
    from scipy import stats

    equal = [bool(np.ptp(np.round(column, 12)) == 0) for column in (first, second)]
    if any(equal):
        return float(all(equal))
    found: Any = stats.kendalltau(np.round(first, 12), np.round(second, 12))
    return float(found.statistic)
