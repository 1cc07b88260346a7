"""Is late interaction worth it here? The best system with it beside the best one without, and what a stage adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.metrics import metric_name
from engine.statistics import Interval, best_difference, moved, paired
from workbench.systems.text import Leaf, Reranked, Tree, parse_system
from workbench.systems.text import late as uses_tokens

METRIC = "ndcg@10"


class Measured(Protocol):
    """What a comparison knows of a system: a row of it."""

    @property
    def name(self) -> str:
        """The text of the system."""
        ...

    @property
    def per_query(self) -> Mapping[str, Mapping[str, float]]:
        """Metric -> {query: value}; empty where nothing was measured."""
        ...

    @property
    def p50_ms(self) -> float | None:
        """Median milliseconds of a question, without encoding it."""
        ...

    @property
    def bytes(self) -> int | None:
        """Of all that a search reads."""
        ...


@dataclass(frozen=True)
class Worth:
    """The best system with late interaction beside the best one without.

    Args:
        late: Text of the best one with it.
        other: Text of the best one without.
        metric: By which they are the best.
        values: Means of the two, `late` first.
        gain: Of the highest mean with it over the highest without; its interval chooses both anew each time.
        better: Questions that `late` answers better by more than .05.
        worse: Those that it answers worse by more than .05.
        queries: All of them.
        milliseconds: Of the two, where they were timed.
        bytes: Of the two, where they are known.
    """

    late: str
    other: str
    metric: str
    values: tuple[float, float]
    gain: Interval
    better: int
    worse: int
    queries: int
    milliseconds: tuple[float | None, float | None]
    bytes: tuple[int | None, int | None]

    @property
    def answer(self) -> str:
        """Yes, no, or not shown, in a sentence with its uncertainty."""
        mean, low, high = self.gain
        told = f"{metric_name(self.metric)} {mean:+.3f} (95%: {low:+.3f} to {high:+.3f})"
        over = f"over {self.queries:,} questions {self.late}"
        if low > 0:
            return f"Yes: {over} finds more than {self.other}, {told}."
        if high < 0:
            return f"No: {over} finds less than {self.other}, {told}."
        return f"Not shown: {over} against {self.other} is {told}, which may be noise of the questions."

    @property
    def details(self) -> str:
        """Questions won and lost, and what the two cost as far as it was measured."""
        parts = [f"{self.better:,} questions are answered better and {self.worse:,} worse"]
        if None not in self.milliseconds:
            parts.append(f"a question takes {self.milliseconds[0]:.3g} ms instead of {self.milliseconds[1]:.3g}")
        if None not in self.bytes:
            parts.append(f"what is searched takes {size(self.bytes[0])} instead of {size(self.bytes[1])}")
        return f"{'; '.join(parts)}."

    def __str__(self) -> str:
        """All of it."""
        return f"{self.answer} {self.details}"


@dataclass(frozen=True)
class Added:
    """What one more stage behind a system gives.

    Args:
        first: Text of the system without it.
        stage: Text of the stage.
        metric: What is compared.
        gain: Of the system with it over the one without.
        better: Questions that it answers better by more than .05.
        worse: Those that it answers worse by more than .05.
        milliseconds: What a question takes more, where both were timed.
    """

    first: str
    stage: str
    metric: str
    gain: Interval
    better: int
    worse: int
    milliseconds: float | None

    def __str__(self) -> str:
        """One sentence."""
        mean, low, high = self.gain
        more = "" if self.milliseconds is None else f", for {self.milliseconds:.3g} ms a question"
        sure = "" if self.gain.excludes_zero else "; that may be chance"
        return (
            f"{self.stage} behind {self.first} adds {mean:+.3f} {metric_name(self.metric)} ({low:+.3f} to {high:+.3f})"
            f"{more}: {self.better:,} questions better, {self.worse:,} worse{sure}."
        )


def worth(rows: Sequence[Measured], metric: str = METRIC, seed: int = 0) -> Worth | None:
    """Answer the question from the rows of a comparison.

    Args:
        rows: Systems measured on the same questions; those without values of the metric are left out.
        metric: By which systems are compared.
        seed: Decides the samples of the interval.

    Returns:
        The answer; None where a side has no system.
    """
    known = [row for row in rows if row.per_query.get(metric)]
    sides = [[row for row in known if uses_tokens(parse_system(row.name)) == late] for late in (True, False)]
    if not all(sides):
        return None
    late, other = (max(side, key=lambda row: mean(row, metric)) for side in sides)
    values = [[row.per_query[metric] for row in side] for side in sides]
    better, worse = moved(other.per_query[metric], late.per_query[metric])
    return Worth(
        late.name, other.name, metric, (mean(late, metric), mean(other, metric)),
        best_difference(values[1], values[0], seed), len(better), len(worse), len(late.per_query[metric]),
        (late.p50_ms, other.p50_ms), (late.bytes, other.bytes),
    )  # fmt: skip


def added(rows: Sequence[Measured], metric: str = METRIC, seed: int = 0) -> list[Added]:
    """What the last stage of each system adds, where the system without it was measured too.

    Args:
        rows: See `worth`.
        metric: What is compared.
        seed: Decides the samples of the intervals.

    Returns:
        In the order of the rows.
    """
    known: dict[str, Measured] = {row.name: row for row in rows if row.per_query.get(metric)}
    found = []
    for name, row in known.items():
        tree = parse_system(name)
        before = _without(tree, known)
        if before is None or not isinstance(tree, Reranked):
            continue
        values = before.per_query[metric], row.per_query[metric]
        better, worse = moved(*values)
        times: Any = (row.p50_ms, before.p50_ms)
        more = None if None in times else times[0] - times[1]
        found.append(
            Added(str(tree.first), str(tree.by), metric, paired(*values, seed=seed), len(better), len(worse), more)
        )
    return found


def _without(tree: Tree, known: Mapping[str, Measured]) -> Measured | None:
    """The row of a system without its last stage; how many documents a lone stage sends on is no difference."""
    if not isinstance(tree, Reranked):
        return None
    names = [str(tree.first)]
    if isinstance(tree.first, Leaf):
        options = {name: value for name, value in tree.first.kind.changed(tree.first.options).items() if name != "k"}
        names.append(str(Leaf(tree.first.name, tree.first.kind.read(options))))
    return next((known[name] for name in names if name in known), None)


def mean(row: Measured, metric: str) -> float:
    """Mean of a metric over the questions of a row."""
    values = row.per_query[metric]
    return sum(values.values()) / len(values)


def size(count: int | None) -> str:
    """Bytes in the unit that a person would use."""
    number = float(count or 0)
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"
