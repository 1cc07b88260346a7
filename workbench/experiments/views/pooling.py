"""What pooling costs: runs at factors, dimensions and bits as points, and what each is worth at equal bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from engine.errors import InputError
from engine.metrics import metric_name
from engine.statistics import NOTICEABLE, Interval, moved, paired
from workbench.experiments.experiment import Experiment
from workbench.experiments.views.pareto import pareto_front
from workbench.runs.record import Run

SHOWN = 10  # documents of a ranking
UNITS, EACH = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "B": 1.0}, "/document"  # of a budget
EQUAL = 0.2  # how far two sizes may differ and still count as equal


@dataclass(frozen=True, eq=False)
class PoolPoint:
    """What one pool factor gives, beside the run of factor 1 that it is compared with.

    Args:
        experiment: What was asked; without pooling all methods share one run.
        run: At the factor.
        before: At factor 1, which keeps every vector.
        threshold: How far a question must move to count as better or worse.
    """

    experiment: Experiment
    run: Run
    before: Run
    threshold: float = NOTICEABLE

    @property
    def collection(self) -> str:
        """Its name."""
        return self.run.record["collection"]["name"]

    @property
    def method(self) -> str:
        """How tokens are merged."""
        return self.experiment.pool_method

    @property
    def factor(self) -> float:
        """Tokens per remaining token; infinity keeps one, and the protected ones."""
        return self.experiment.pool_factor

    @property
    def label(self) -> str:
        """The factor in words, "4", "1.5", "one"; or the budget: "tokens=64", "factor=2,once"."""
        plain = "one" if math.isinf(self.factor) else f"{self.factor:g}"
        if not self.pool:
            return plain
        return self.pool if self.factor == 1 else f"factor={plain},{self.pool}"

    @property
    def pool(self) -> str:
        """The budgets beside the factor, "" where there are none."""
        return self.experiment.pool

    @property
    def dim(self) -> int:
        """Coordinates of a vector."""
        return self.run.record["sizes"]["dim"]

    @property
    def model(self) -> str:
        """Its name; of a folder's the last two parts."""
        path = Path(self.run.record["model"]["model"])
        return "/".join(path.parts[-2:]) if path.is_absolute() else self.run.record["model"]["model"]

    @property
    def name(self) -> str:
        """The point in words: "factor 4, 64 dimensions, 2 bits"."""
        pooled = (self.pool and self.label) or f"factor {self.label}"
        return f"{pooled}, {self.dim} dimensions, {self.bits} bit{'s' * (self.bits != 1)}"

    @property
    def bytes_each(self) -> float:
        """Bytes a document."""
        return self.bytes / max(self.documents, 1)

    @property
    def index(self) -> str:
        """Kind of index."""
        return self.experiment.index

    @property
    def bits(self) -> int:
        """Bits a dimension in the index."""
        settings = self.run.settings
        return settings.get("bits") or 8 * np.dtype(settings.get("dtype", "float16")).itemsize

    @property
    def documents(self) -> int:
        """How many."""
        return self.run.record["sizes"]["documents"]

    @property
    def queries(self) -> int:
        """How many have judgements."""
        return self.run.record["judged"]

    @property
    def tokens(self) -> int:
        """Vectors in the index."""
        return self.run.tokens

    @property
    def tokens_full(self) -> int:
        """Vectors at factor 1."""
        return self.run.record["sizes"]["tokens_full"]

    @property
    def kept(self) -> float:
        """Share of the vectors that remain."""
        return self.tokens / self.tokens_full

    @property
    def bytes(self) -> int:
        """Of the files of the index that a search reads."""
        return self.run.bytes or 0

    @property
    def pool_s(self) -> float:
        """Seconds of pooling; 0 where nobody knows any more."""
        return self.run.record["costs"]["pool_s"] or 0.0

    @property
    def build_s(self) -> float:
        """Seconds of building the index; 0 where nobody knows any more."""
        return self.run.record["costs"]["build_s"] or 0.0

    @property
    def latency_ms(self) -> float:
        """Median milliseconds a question."""
        return self.run.p50_ms

    @property
    def mean(self) -> dict[str, float]:
        """Metric against judgements -> value; the first decides which questions got better or worse."""
        return {metric: self.run.mean[metric] for metric in self.experiment.metrics}

    @property
    def interval(self) -> dict[str, tuple[float, float]]:
        """Metric -> (low, high), 95% bootstrap over questions."""
        return {metric: (end.low, end.high) for metric, end in self.run.intervals.items()}

    @cached_property
    def per_query(self) -> dict[str, dict[str, float]]:
        """Metric -> {query: value}."""
        return {metric: self.run.per_query(metric) for metric in self.experiment.metrics}

    @cached_property
    def _moved(self) -> tuple[Interval, tuple[str, ...], tuple[str, ...]]:
        metric = self.experiment.metrics[0]
        before, after = self.before.per_query(metric), self.per_query[metric]
        return paired(before, after, self.experiment.seed), *moved(before, after, self.threshold)

    @property
    def difference(self) -> Interval:
        """First metric minus that of factor 1, paired by question: mean, low, high."""
        return self._moved[0]

    @property
    def better(self) -> tuple[str, ...]:
        """Questions that gained more than the threshold, largest gain first."""
        return self._moved[1]

    @property
    def worse(self) -> tuple[str, ...]:
        """Questions that lost more than the threshold, largest loss first."""
        return self._moved[2]

    @property
    def real(self) -> bool:
        """Whether the difference to factor 1 is more than the noise of the questions: its interval excludes zero."""
        return self.difference.excludes_zero

    @cached_property
    def rankings(self) -> dict[str, tuple[str, ...]]:
        """Query -> its first ten documents."""
        return {query: tuple(ranking.ids[:SHOWN]) for query, ranking in self.run.rankings().items()}


def sentence(point: PoolPoint) -> str:
    """What a factor costs, in one or two sentences.

    Args:
        point: What a factor above 1 gives.

    Returns:
        Such as "Keeping 25% of the vectors (62,110 of 246,828) changes nDCG@10 by −0.004, within the noise (−0.015 to
        +0.005). But 35 of 225 questions got worse and 34 better."
    """
    metric = metric_name(next(iter(point.mean)))
    mean, low, high = point.difference
    sign = "−" if mean < 0 else "+"
    size = f"{low:+.3f} to {high:+.3f}".replace("-", "−")
    verdict = f"more than the noise of the questions ({size})" if point.real else f"within the noise ({size})"
    joint = "But" if not point.real and (point.worse or point.better) else "And"
    return (
        f"Keeping {point.kept:.0%} of the vectors ({point.tokens:,} of {point.tokens_full:,}) changes {metric} by "
        f"{sign}{abs(mean):.3f}, {verdict}. {joint} {len(point.worse)} of {point.queries} questions got worse and "
        f"{len(point.better)} better."
    )


def front(records: Sequence[PoolPoint], metric: str = "ndcg@10") -> list[PoolPoint]:
    """The records that no other beats in both bytes and quality, the smallest first.

    Args:
        records: Points on one collection.
        metric: The quality.

    Returns:
        The joint Pareto front of factor and bits.
    """
    return [records[i] for i in pareto_front([r.bytes for r in records], [r.mean[metric] for r in records])]


@dataclass(frozen=True)
class Trade:
    """Two ways to about the same bytes: fewer vectors, or fewer bits for each.

    Args:
        pooled: With a pool factor above 1.
        fewer_bits: With factor 1, at the number of bits that comes nearest in bytes.
        difference: Metric of the first minus that of the second, paired by question, with its 95% interval.
    """

    pooled: PoolPoint
    fewer_bits: PoolPoint
    difference: Interval


def trades(records: Sequence[PoolPoint]) -> list[Trade]:
    """What pooling is worth against fewer bits at equal bytes, in nDCG@10.

    Args:
        records: Points on one collection.

    Returns:
        One trade for each PLAID index with a factor above 1 that a PLAID index of factor 1 matches within a fifth of
        its bytes, largest first.
    """
    plain, metric = [record for record in records if record.index == "plaid" and record.factor == 1], "ndcg@10"
    found = []
    for record in sorted(records, key=lambda record: -record.bytes):
        if record.index != "plaid" or record.factor == 1 or not plain:
            continue
        other = min(plain, key=lambda candidate: abs(candidate.bytes - record.bytes))
        if abs(other.bytes - record.bytes) <= EQUAL * record.bytes:
            found.append(Trade(record, other, paired(other.per_query[metric], record.per_query[metric])))
    return found


def best_under(records: Sequence[PoolPoint], most: float, metric: str = "ndcg@10") -> PoolPoint | None:
    """The measured point that is best among those that fit a budget.

    Args:
        records: Points on one collection.
        most: Bytes of the index.
        metric: The quality.

    Returns:
        The point of the highest mean, of equal ones the smallest; None where nothing fits.
    """
    fit = [record for record in records if record.bytes <= most]
    return min(fit, key=lambda record: (-record.mean[metric], record.bytes), default=None)


def bytes_of_budget(text: str, documents: int) -> float:
    """Read a budget.

    Args:
        text: Such as "2MB", "500kB", or "256B/document".
        documents: How many there are.

    Returns:
        Bytes in all.

    Raises:
        InputError: no number above 0 with a unit.
    """
    plain = text.replace(" ", "")
    amount = plain.removesuffix(EACH)
    unit = next((unit for unit in UNITS if amount.endswith(unit)), "")
    try:
        value = float(amount.removesuffix(unit))
    except ValueError:
        value = math.nan
    if not unit or not 0 < value < math.inf:
        raise InputError(f"Expected a budget such as 2MB or 256B/document, got {text!r}: name a number and its unit.")
    return value * UNITS[unit] * (documents if plain.endswith(EACH) else 1)
