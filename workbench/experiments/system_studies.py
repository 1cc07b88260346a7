"""Studies of whole systems: compared on one collection, each measurement a run that is found again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from engine.errors import MissingExtraError, WorkbenchError
from engine.metrics import DEFAULT_METRICS
from workbench.experiments.again import command_for
from workbench.experiments.execute import check_fits, run
from workbench.experiments.prepare import Prepared
from workbench.experiments.progress import Progress, Stop
from workbench.experiments.views.systems import SystemComparison, SystemRow, system_comparison
from workbench.systems.building import check
from workbench.systems.material import Material
from workbench.systems.text import late, parse_system

DEFAULT = (
    "bm25", "single", "bm25 + single", "exact", "plaid", "bm25:k=1000 > maxsim", "muvera > maxsim",
)  # fmt: skip


def compare_systems(
    prepared: Prepared,
    systems: Sequence[str] | None = None,
    k: int = 100,
    metrics: Sequence[str] = DEFAULT_METRICS,
    max_queries: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
    force: bool = False,
) -> Iterator[SystemRow]:
    """Measure systems on one collection, one after the other.

    Args:
        prepared: Collection and vectors.
        systems: Their texts; None takes a default set, of which those whose packages are absent are told and left out.
        k: Results a question.
        metrics: Against judgements; a collection without judgements is compared without.
        max_queries: Ask only the first so many.
        progress: Called with (stage, done, total).
        stop: Asked often; a yes ends the study after what was yielded.
        force: Measure again what is there already.

    Yields:
        One row a system as soon as it is there.

    Raises:
        WorkbenchError: a text that is no system, or one that cannot be built here, before anything is measured.
    """
    texts = list(dict.fromkeys(str(parse_system(text)) for text in systems or DEFAULT))
    base = prepared.experiment(k=k, metrics=tuple(metrics))
    check_fits(base, prepared)
    asked = prepared.first(max_queries) if max_queries else prepared
    absent: dict[str, str] = {}
    for text in texts:
        try:
            check(parse_system(text), Material(prepared))
        except MissingExtraError as error:
            if systems:
                raise
            absent[text] = str(error)
    report = progress or (lambda stage, done, total: None)
    for text in texts:
        if text in absent:
            yield SystemRow(text, None, absent[text])
            continue
        wanted = base.with_(system=text)
        if not asked.collection.judged_queries:  # the first queries may have none, where others do
            wanted = wanted.with_(metrics=())

        def told(stage: str, done: int, total: int, text: str = text) -> None:
            report(f"{text}: {stage}", done, total)

        try:
            found = run(wanted, told, stop, prepared=asked, force=force)
        except WorkbenchError as error:  # such as a package that fails while it builds: the others go on
            yield SystemRow(text, None, str(error))
            continue
        if found.status != "complete":
            return
        yield SystemRow(text, found)


def installed(systems: Sequence[str], prepared: Prepared) -> list[str]:
    """Those of some systems whose packages are there, and that can be measured without judgements where there are none.

    Args:
        systems: Their texts.
        prepared: Collection and vectors.
    """
    found = []
    for text in systems:
        if not prepared.collection.judged_queries and not late(parse_system(text)):
            continue
        with suppress(MissingExtraError):
            check(parse_system(text), Material(prepared))
            found.append(text)
    return found


def compared(
    prepared: Prepared, rows: Sequence[SystemRow], metrics: Sequence[str] = DEFAULT_METRICS, k: int = 100,
    max_queries: int | None = None,
) -> SystemComparison:  # fmt: skip
    """What the rows of `compare_systems` say together.

    Args:
        prepared: Collection and vectors.
        rows: What was yielded.
        metrics: As they were asked for, the first decides.
        k: As it was asked for.
        max_queries: As it was asked for.

    Returns:
        The comparison.
    """
    collection = (prepared.first(max_queries) if max_queries else prepared).collection
    judged = tuple(metrics) if collection.judged_queries else ()
    command = command_for(
        "compare-systems", prepared.source, system=[row.text for row in rows], k=k, max_queries=max_queries or None,
        metric=tuple(metrics),
    )  # fmt: skip
    return system_comparison(collection.name, len(collection.documents), collection.queries, rows, judged, command)
