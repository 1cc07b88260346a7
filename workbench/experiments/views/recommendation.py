"""A recommendation of an index or a system: the ways that were measured, which is chosen and why, and its code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from engine.indexes import changed_settings
from engine.metrics import metric_name
from engine.statistics import Interval, paired
from workbench.experiments.plan import format_spec
from workbench.experiments.views.index_tables import Table, number, share
from workbench.runs.record import Run


@dataclass(frozen=True, eq=False)
class Option:
    """One way to search the collection, beside exact search on all vectors.

    Args:
        run: It.
        exact: The run of exact search.
        metric: What decides: "ndcg@10", or "exact@10" without judgements.
    """

    run: Run
    exact: Run
    metric: str

    @property
    def kind(self) -> str:
        """Kind of index, or the text of a whole system."""
        return self.run.experiment.system or self.run.experiment.index

    @property
    def settings(self) -> dict[str, Any]:
        """All of them, defaults too."""
        return self.run.settings

    @property
    def factor(self) -> float:
        """Pool factor; 1 keeps every token vector, unless there is a budget."""
        return self.run.experiment.pool_factor

    @property
    def pool(self) -> str:
        """All of the pooling as `engine.pooling.parse_pool` reads it; "" keeps every vector."""
        return str(self.run.experiment.pooling)

    @property
    def bytes(self) -> int:
        """Of the files that a search reads."""
        return self.run.bytes or 0

    @property
    def p50_ms(self) -> float:
        """Median milliseconds of a single query."""
        return self.run.p50_ms

    @property
    def value(self) -> float:
        """Mean of the metric."""
        return self.run.mean[self.metric]

    @property
    def quality(self) -> float:
        """Value over that of exact search."""
        base = self.exact.mean[self.metric]
        return self.value / base if base else 1.0

    @cached_property
    def difference(self) -> Interval:
        """Value minus that of exact search, paired by query, with its 95% bootstrap interval."""
        return paired(self.exact.per_query(self.metric), self.run.per_query(self.metric))

    @property
    def recall_10(self) -> float | None:
        """Share of the exact first ten that was found; None for a system that compares no token vectors."""
        return self.run.found_exact(10) if self.run.tokens else None

    @property
    def build_seconds(self) -> float | None:
        """Of pooling and building."""
        return self.run.build_seconds

    @property
    def changed(self) -> dict[str, Any]:
        """The settings that are not the defaults of the kind."""
        return {} if self.run.experiment.system else changed_settings(self.kind, self.settings)

    def to_dict(self) -> dict[str, Any]:
        """The values as JSON has them."""
        names = (
            "kind",
            "settings",
            "factor",
            "pool",
            "bytes",
            "p50_ms",
            "value",
            "quality",
            "recall_10",
            "build_seconds",
        )
        values = {name: getattr(self, name) for name in names}
        return {**values, "difference": list(self.difference), "run": self.run.id}


@dataclass(frozen=True, eq=False)
class Recommendation:
    """What to use, and everything that was tried.

    Args:
        chosen: The option, or None when nothing that was tried fits.
        exact: Exact search on all token vectors, which the others are held to.
        tried: All options, in the order in which they were measured, exact first.
        reason: In one sentence, why this one, or why none.
        metric: What `value` is.
        limits: The limits that were asked for.
        seconds: Spent.
        skipped: What the time budget left out.
        command: Repeats the search; empty for vectors that only exist in memory.
        code: Makes the chosen index.
    """

    chosen: Option | None
    exact: Option
    tried: tuple[Option, ...]
    reason: str
    metric: str
    limits: dict[str, Any]
    seconds: float
    skipped: tuple[str, ...] = ()
    command: str = ""
    code: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON has it."""
        chosen = None if self.chosen is None else self.chosen.to_dict()
        options = {"exact": self.exact.to_dict(), "tried": [option.to_dict() for option in self.tried]}
        return {**vars(self), **options, "chosen": chosen}


def options_table(found: Recommendation, collection: str) -> Table:
    """Every way that was tried, the chosen one marked by ">".

    Args:
        found: The recommendation.
        collection: What the title calls it.
    """
    columns = ("index or system", "pool\nfactor", "MB", "p50\nms", metric_name(found.metric).replace("@", "\n@"),
               "of exact", "difference\n(95%)", "R@10", "build\ns")  # fmt: skip
    rows = []
    for option in found.tried:
        name = format_spec(option.kind, option.changed).replace(":", ":\n", 1).replace(" > ", "\n> ")
        difference = option.difference
        rows.append((
            f"{'> ' if option is found.chosen else ''}{name}", option.run.experiment.pool or f"{option.factor:g}",
            number(option.bytes / 1e6), number(option.p50_ms), f"{option.value:.3f}", f"{option.quality:.1%}",
            f"{difference.mean:+.3f}\n({difference.low:+.3f} to {difference.high:+.3f})", share(option.recall_10),
            number(option.build_seconds),
        ))  # fmt: skip
    return Table(f"{collection}: {len(rows)} ways tried in {found.seconds:.0f} s", columns, tuple(rows))


def choose(
    options: Sequence[Option], max_bytes: int | None, max_ms: float | None, min_quality: float, prefer: str
) -> tuple[Option | None, str]:
    """Pick from what was measured.

    Args:
        options: At least one.
        max_bytes: See `recommend`.
        max_ms: See `recommend`.
        min_quality: See `recommend`.
        prefer: "small" or "fast".

    Returns:
        The option, or None, and a sentence that says why.
    """
    good = [option for option in options if option.quality >= min_quality]
    small = [option for option in good if max_bytes is None or option.bytes <= max_bytes]
    fit = [option for option in small if max_ms is None or option.p50_ms <= max_ms]
    if fit:
        key = (lambda o: (o.bytes, o.p50_ms)) if prefer == "small" else (lambda o: (o.p50_ms, o.bytes))
        best = min(fit, key=key)
        word = "smallest" if prefer == "small" else "fastest"
        return best, (
            f"The {word} of {len(fit)} options that fit: {best.bytes / 1e6:.1f} MB, {best.p50_ms:.2f} ms, "
            f"{best.quality:.1%} of exact search."
        )
    if small:
        fastest = min(small, key=lambda option: option.p50_ms)
        return (
            None,
            f"Nothing fits {max_ms} ms: the fastest with this quality takes {fastest.p50_ms:.2f} ms. Allow more.",
        )
    if good:
        least = min(good, key=lambda option: option.bytes)
        return None, (
            f"Nothing fits {max_bytes} bytes: the smallest with this quality takes {least.bytes} bytes. Allow more, or "
            "lower min_quality."
        )
    return (
        None,
        f"Nothing that was tried keeps {min_quality:.1%} of exact search: lower min_quality or allow more time.",
    )


def code_for(option: Option) -> str:
    """Lines of Python that make the index of an option, or its system."""
    if option.run.experiment.system:
        return f"system = build({option.kind!r}, prepare(collection))  # of workbench.systems and .experiments.prepare"
    settings = "".join(f", {name}={value!r}" for name, value in option.changed.items())
    settings_of_pool = option.run.experiment.pooling
    if settings_of_pool.drops:
        by = f", by={settings_of_pool.by!r}" if settings_of_pool.by != "rarity" else ""
        pooling = f"pieces = token_pieces(encoder, texts{by})\n"
        pooling += f"documents = pool_by(documents, parse_pool({option.pool!r}), pieces)\n"
    elif option.run.experiment.pool:
        pooling = f"documents = pool_by(documents, parse_pool({option.pool!r}))\n"
    else:
        pooling = f"documents = pool(documents, factor={option.factor:g})\n" if option.factor != 1 else ""
    return f"{pooling}index = create_index({option.kind!r}, path{settings})\nindex.add(ids, documents)"
