"""Intervals and tests over per-query values: what an average hides and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from engine.errors import InputError

RESAMPLES = 2000
CONFIDENCE = 0.95
PERMUTATIONS = 9999
TESTS = ("student", "randomization")
CORRECTIONS = ("holm", "bonferroni", "none")
NOTICEABLE = 0.05  # of a metric from 0 to 1: a query that moves by more got better or worse


class Interval(NamedTuple):
    """A mean and its bootstrap interval over queries.

    Args:
        mean: The average.
        low: Lower end.
        high: Upper end.
    """

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside: for a paired difference, whether it is more than noise of the questions."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"

    @property
    def signed(self) -> str:
        """As a difference: "-0.004 (-0.015 to +0.005)"."""
        return f"{self.mean:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


def bootstrap(values: Sequence[float] | np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The percentile bootstrap interval of a mean over queries (Efron, 1979), by scipy.

    Args:
        values: float [n], one a query; differences for a paired comparison.
        seed: Decides the samples; the same seed gives the same interval.
        resamples: How often the queries are drawn with replacement.

    Returns:
        The mean with its 95% interval; of a single query, or of equal values, the interval has no width.

    Raises:
        InputError: no values.
    """
    from scipy import stats

    data = np.asarray(values, np.float64)
    if data.size == 0:
        raise InputError("Expected at least one query with judgements, got none: nothing can be averaged.")
    mean = float(data.mean())
    if data.size == 1 or np.ptp(data) == 0:
        return Interval(mean, mean, mean)
    found = stats.bootstrap(
        (data,), np.mean, n_resamples=resamples, confidence_level=CONFIDENCE, method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Interval(mean, float(found.low), float(found.high))


def paired(before: Mapping[str, float], after: Mapping[str, float], seed: int = 0) -> Interval:
    """How much a system gains over another, query by query.

    Args:
        before: Query -> value of the one that it is compared with.
        after: Query -> value, of queries that `before` has too.
        seed: Decides the samples of the bootstrap.

    Returns:
        The mean of after minus before with its 95% interval, see `bootstrap`.

    Raises:
        InputError: no queries.
    """
    return bootstrap([value - before[query] for query, value in after.items()], seed)


def mean_of_tasks(tasks: Sequence[Sequence[float]], seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The mean over tasks, each counting alike, with the doubt that the queries of each leave.

    Args:
        tasks: For each task, one value a query.
        seed: Decides the samples.
        resamples: How often the queries of every task are drawn with replacement.

    Returns:
        The mean of the tasks' means with its 95% interval; the choice of the tasks adds no doubt to it.

    Raises:
        InputError: no task, or one without queries.
    """
    arrays = [np.asarray(values, np.float64) for values in tasks]
    if not arrays or any(array.size == 0 for array in arrays):
        raise InputError("Expected tasks with at least one judged query each, got none: nothing can be averaged.")
    rng = np.random.default_rng(seed)
    drawn = [[array[rng.integers(0, len(array), len(array))].mean() for array in arrays] for _ in range(resamples)]
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(np.mean(drawn, axis=1), [tail, 100 - tail])
    return Interval(float(np.mean([array.mean() for array in arrays])), float(low), float(high))


def best_difference(
    before: Sequence[Mapping[str, float]],
    after: Sequence[Mapping[str, float]],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """How much the best of some systems gains over the best of others, with the doubt of which ones those are.

    Args:
        before: For each of one or more systems, query -> value.
        after: The same of the systems that are to gain, of the same queries.
        seed: Decides the samples.
        resamples: How often the queries are drawn with replacement; each time the best are chosen anew.

    Returns:
        The difference of the highest means with its 95% interval; with one system on each side that of `paired`, but
        for other samples.

    Raises:
        InputError: a side without systems, no queries, or other queries.
    """
    queries = list(before[0]) if before else []
    if not queries or not after or any(set(values) != set(queries) for values in (*before, *after)):
        raise InputError("Expected values of the same queries for a system or more on each side: measure them alike.")
    sides = [np.array([[values[query] for query in queries] for values in side]) for side in (before, after)]
    highest = [float(side.mean(axis=1).max()) for side in sides]
    drawn = np.random.default_rng(seed).multinomial(len(queries), [1 / len(queries)] * len(queries), resamples)
    means = [(drawn @ side.T / len(queries)).max(axis=1) for side in sides]
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(means[1] - means[0], [tail, 100 - tail])
    return Interval(highest[1] - highest[0], float(low), float(high))


def moved(
    before: Mapping[str, float], after: Mapping[str, float], threshold: float = NOTICEABLE
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Queries that gained and queries that lost more than a threshold.

    Args:
        before: Query -> value.
        after: Query -> value, of the same queries.
        threshold: Moves up to this are no move.

    Returns:
        Ids of those that got better and of those that got worse, largest move first, ties by id.
    """
    difference = {query: after[query] - before[query] for query in before}
    order = sorted(difference, key=lambda query: (-abs(difference[query]), query))
    better = tuple(query for query in order if difference[query] > threshold)
    worse = tuple(query for query in order if difference[query] < -threshold)
    return better, worse


def p_value(first: Sequence[float], second: Sequence[float], test: str = "student", seed: int = 0) -> float:
    """Two-sided p of the hypothesis that two systems are equal, on values paired by query.

    Args:
        first: float [n].
        second: float [n], of the same queries.
        test: "student", ranx's paired t-test; or "randomization", the paired permutation test that Smucker et al.
            (2007) recommend, by scipy (ranx's own is not repeatable: its permutations run in parallel).
        seed: Decides the random sign flips; "student" has none.

    Returns:
        p; 1 when no query differs.

    Raises:
        InputError: an unknown test.
    """
    if test not in TESTS:
        raise InputError(f"Unknown test {test!r}: choose among {', '.join(TESTS)}.")
    before, after = np.asarray(first, np.float64), np.asarray(second, np.float64)
    difference = after - before
    if not difference.any():
        return 1.0
    if np.ptp(difference) == 0:  # one query, or all differ alike: the t-test divides by zero
        return 1.0 if len(difference) == 1 else 0.0
    if test == "student":
        from ranx.statistical_tests import paired_student_t_test

        return float(paired_student_t_test(before, after)[0])
    from scipy import stats

    found = stats.permutation_test(
        (difference,), np.mean, permutation_type="samples", n_resamples=PERMUTATIONS, rng=np.random.default_rng(seed)
    )
    return float(found.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number (Holm, 1979): the chance of any false alarm stays below the level.

    Args:
        p_values: float [n].

    Returns:
        Corrected values [n], in the same order.
    """
    n, largest = len(p_values), 0.0
    corrected = [0.0] * n
    for rank, position in enumerate(sorted(range(n), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (n - rank) * p_values[position]))
        corrected[position] = largest
    return corrected


def bonferroni(p_values: Sequence[float]) -> list[float]:
    """Correct p values by multiplying each by their number (Dunn, 1961): simpler than `holm` and never below it.

    Args:
        p_values: float [n].

    Returns:
        Corrected values [n], at most 1, in the same order.
    """
    return [min(1.0, len(p_values) * value) for value in p_values]


def corrected(p_values: Sequence[float], correction: str = "holm") -> list[float]:
    """Correct p values for their number.

    Args:
        p_values: float [n], of all comparisons that are shown together.
        correction: "holm", "bonferroni", or "none".

    Returns:
        Corrected values [n], in the same order.

    Raises:
        InputError: an unknown correction.
    """
    if correction not in CORRECTIONS:
        raise InputError(f"Unknown correction {correction!r}: choose among {', '.join(CORRECTIONS)}.")
    return {"holm": holm, "bonferroni": bonferroni, "none": list}[correction](p_values)
