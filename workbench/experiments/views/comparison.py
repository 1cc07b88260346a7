"""Compare runs: significance with a correction for many comparisons, intervals, wins and losses by query, overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, count
from string import ascii_lowercase, ascii_uppercase

import numpy as np

from engine.errors import InputError
from engine.metrics import metric_name, same_metric
from engine.statistics import CORRECTIONS, NOTICEABLE, Interval, bootstrap, corrected, moved, p_value
from workbench.exports import html_table, latex_table, visible
from workbench.runs.record import Run
from workbench.runs.store import find

LEVEL = 0.05
SHOWN = 10  # queries where two systems differ most
DEPTH = 10  # of the overlap
LETTERS = ascii_lowercase + ascii_uppercase  # that stand for systems in a table; numbers where there are more


@dataclass(frozen=True)
class Pair:
    """Two systems on one metric.

    Args:
        first: Name of the first system.
        second: Name of the second.
        metric: The metric.
        difference: Second minus first, paired by query, with its 95% bootstrap interval.
        p: What the test gives, uncorrected.
        p_corrected: After the correction over all pairs and metrics of the comparison.
        wins: Queries that the second does better by more than the threshold, largest difference first.
        losses: Queries that the second does worse by more than the threshold, largest difference first.
        changes: Query -> second minus first, for the queries that differ most.
        overlap: Share of the first ten documents that both have, averaged over queries.
    """

    first: str
    second: str
    metric: str
    difference: Interval
    p: float
    p_corrected: float
    wins: tuple[str, ...]
    losses: tuple[str, ...]
    changes: dict[str, float]
    overlap: float

    @property
    def significant(self) -> bool:
        """Whether the corrected p is below .05."""
        return self.p_corrected < LEVEL

    def __str__(self) -> str:
        """The pair in a sentence."""
        return (
            f"{self.second} against {self.first}, {self.metric}: {self.difference}, corrected p "
            f"{self.p_corrected:.3g}, {len(self.wins)} better, {len(self.losses)} worse, overlap of the first ten "
            f"{self.overlap:.2f}"
        )


@dataclass(frozen=True)
class Comparison:
    """Several systems on the same queries and judgements.

    Args:
        collection: Its name.
        queries: How many were judged.
        test: Which test gave the p values.
        correction: What was done about their number.
        scores: System -> metric -> mean with its interval.
        pairs: Every pair of systems on every metric.
    """

    collection: str
    queries: int
    test: str
    correction: str
    scores: dict[str, dict[str, Interval]]
    pairs: tuple[Pair, ...]

    def pair(self, first: str, second: str, metric: str) -> Pair:
        """The comparison of two systems on a metric.

        Raises:
            InputError: there is no such pair.
        """
        for pair in self.pairs:
            if (pair.first, pair.second, pair.metric) == (first, second, metric):
                return pair
        known = ", ".join(self.scores)
        raise InputError(f"No comparison of {first!r} with {second!r} on {metric!r}: the systems are {known}.")

    def rows(self) -> list[list[str]]:
        """The table: a head, then one row a system, a letter marking which systems it is significantly above."""
        metrics = list(next(iter(self.scores.values())))
        few = len(self.scores) <= len(LETTERS)
        letters = dict(zip(self.scores, LETTERS if few else map(str, count(1)), strict=False))
        table = [["", "system", *(metric_name(metric) for metric in metrics)]]
        for name, values in self.scores.items():
            cells = [f"{values[m]}{self._above(name, m, letters)}" for m in metrics]
            table.append([letters[name], name, *cells])
        return table

    def _above(self, name: str, metric: str, letters: Mapping[str, str]) -> str:
        beaten = [
            letters[pair.first if pair.second == name else pair.second]
            for pair in self.pairs
            if pair.metric == metric
            and pair.significant
            and (
                (pair.second == name and pair.difference.mean > 0) or (pair.first == name and pair.difference.mean < 0)
            )
        ]
        between = "" if len(self.scores) <= len(LETTERS) else ","
        return f" {between.join(beaten)}" if beaten else ""

    @property
    def note(self) -> str:
        """How to read the table."""
        return (
            f"{self.collection}, {self.queries} queries. In brackets: 95% bootstrap intervals. Letters: significantly "
            f"above that system ({self.test}, p < .05 {self.corrected})."
        )

    @property
    def corrected(self) -> str:
        """What was done about the number of comparisons, in words."""
        if self.correction == "none":
            return "without a correction"
        return f"after {self.correction.capitalize()}'s correction over {len(self.pairs)} comparisons"

    def to_latex(self) -> str:
        """The table for a paper (package booktabs).

        The report of ranx is not used: it shows no intervals, escapes "_" only, and knows 26 systems.
        """
        import pandas as pd

        head, *body = self.rows()
        return latex_table(pd.DataFrame(body, columns=head)) + f"% {' '.join(visible(self.note).split())}\n"

    def to_html(self) -> str:
        """The table as HTML, without styles of its own."""
        head, *body = self.rows()
        return html_table(head, body, caption=self.note)


def compare(
    *runs: Run | str,
    metrics: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    test: str = "student",
    seed: int = 0,
    threshold: float = NOTICEABLE,
    correction: str = "holm",
) -> Comparison:
    """Compare runs on the same collection and the same judgements.

    Args:
        runs: Two or more, or their names.
        metrics: When None those against judgements that all runs have, or the shares of exact results that they have.
        names: What the systems are called; the names of the runs when None.
        test: "student" (ranx's paired t-test) or "randomization" (paired sign flips, scipy).
        seed: Decides the samples of the bootstrap and the random sign flips.
        threshold: How far a query must move to be won or lost.
        correction: Of the p values for their number: "holm", "bonferroni" or "none".

    Returns:
        The comparison.

    Raises:
        InputError: fewer than two, other collections or judgements, or no metric in common; the sentence says which.
    """
    chosen = [find(entry) if isinstance(entry, str) else entry for entry in runs]
    if correction not in CORRECTIONS:
        raise InputError(f"Unknown correction {correction!r}: choose among {', '.join(CORRECTIONS)}.")
    _comparable(chosen)
    labels = _labels(chosen, names)
    shared = [metric for metric in chosen[0].mean if all(same_metric(metric, other.mean) for other in chosen)]
    judged = [metric for metric in chosen[0].judged_metrics if metric in shared]
    wanted = list(metrics) if metrics is not None else judged or shared
    missing = next((metric for metric in wanted if same_metric(metric, dict.fromkeys(shared)) is None), None)
    if missing is not None or not wanted:
        raise InputError(f"Not every run has {missing or 'a metric'!r}: they share {', '.join(shared) or 'none'}.")
    values = {label: {m: r.per_query(m) for m in wanted} for label, r in zip(labels, chosen, strict=True)}
    tops = {
        label: {query: ranking.ids[:DEPTH] for query, ranking in run.rankings().items()}
        for label, run in zip(labels, chosen, strict=True)
    }
    scores = {n: {m: bootstrap(list(v.values()), seed) for m, v in found.items()} for n, found in values.items()}
    pairs = _pairs(values, tops, wanted, test, correction, seed, threshold)
    name, judged_queries = chosen[0].record["collection"]["name"], len(values[labels[0]][wanted[0]])
    return Comparison(name, judged_queries, test, correction, scores, pairs)


def _comparable(runs: Sequence[Run]) -> None:
    if len(runs) < 2:
        raise InputError(f"Expected two runs or more, got {len(runs)}: name another one.")
    for run in runs:
        if run.status != "complete":
            raise InputError(f"Run {run.id} is {run.status}: run it to the end first.")
    first = runs[0].record.get("collection", {})
    for run in runs[1:]:
        other = run.record.get("collection", {})
        same_part = other.get("among", {}).get("fingerprint") == first.get("among", {}).get("fingerprint")
        if other.get("fingerprint") == first.get("fingerprint") and same_part:
            continue
        if other.get("name") != first.get("name"):
            reason = f"one is on {first['name']!r}, the other on {other['name']!r}"
        elif not same_part:
            reason = f"both are on {first['name']!r}, but they search among other documents of it"
        elif other.get("judgements_fingerprint") != first.get("judgements_fingerprint"):
            reason = f"both are on {first['name']!r}, but with other judgements"
        else:
            reason = f"both are on {first['name']!r}, but its texts have changed in between"
        raise InputError(f"Runs {runs[0].id} and {run.id} cannot be compared: {reason}. Run both on the same.")


def _labels(runs: Sequence[Run], names: Sequence[str] | None) -> list[str]:
    if names is not None and len(names) != len(runs):
        raise InputError(f"Expected {len(runs)} names, one a run, got {len(names)}: name each.")
    labels = list(names) if names is not None else [run.name for run in runs]
    repeated = {label for label in labels if labels.count(label) > 1}
    labels = [f"{label} ({run.id})" if label in repeated else label for label, run in zip(labels, runs, strict=True)]
    if len(set(labels)) < len(labels):
        raise InputError("Expected different runs, got one of them twice: leave it out.")
    return labels


def _pairs(
    values: Mapping[str, Mapping[str, Mapping[str, float]]],
    tops: Mapping[str, Mapping[str, list[str]]],
    metrics: Sequence[str],
    test: str,
    correction: str,
    seed: int,
    threshold: float,
) -> tuple[Pair, ...]:
    compared = [(first, second, metric) for metric in metrics for first, second in combinations(values, 2)]
    raw: list[float] = []
    for first, second, metric in compared:
        before, after = values[first][metric], values[second][metric]
        raw.append(p_value(list(before.values()), [after[query] for query in before], test, seed))
    pairs = []
    for (first, second, metric), p, adjusted in zip(compared, raw, corrected(raw, correction), strict=True):
        before, after = values[first][metric], values[second][metric]
        change = {query: after[query] - before[query] for query in before}
        wins, losses = moved(before, after, threshold)
        largest = sorted(change, key=lambda query: (-abs(change[query]), query))[:SHOWN]
        changes = {query: change[query] for query in largest}
        interval, overlap = bootstrap(list(change.values()), seed), _overlap(tops[first], tops[second])
        pairs.append(Pair(first, second, metric, interval, p, adjusted, wins, losses, changes, overlap))
    return tuple(pairs)


def _overlap(first: Mapping[str, list[str]], second: Mapping[str, list[str]]) -> float:
    """Share of the first documents that two systems have in common, averaged over queries."""
    shares = [
        len(set(first[query]) & set(second[query])) / max(len(first[query]), len(second[query]))
        for query in first
        if first[query] or second[query]
    ]
    return float(np.mean(shares)) if shares else 1.0
