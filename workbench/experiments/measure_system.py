"""Measure a whole system as an index is measured, and what each of its stages takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine import TokenEmbeddings
from engine.simd.threads import thread_count
from workbench.experiments.experiment import Experiment
from workbench.experiments.measure import (
    TIMED,
    Built,
    Clock,
    Measurement,
    Searched,
    assess,
    depth_of,
    ready_documents,
    search,
)
from workbench.experiments.prepare import Prepared
from workbench.experiments.progress import SILENT, Steps
from workbench.systems import Answer, System, build, parse_system
from workbench.systems.material import Questions
from workbench.systems.parts import timed
from workbench.systems.system import stage_table
from workbench.systems.text import late


def measure_system(
    prepared: Prepared, experiment: Experiment, steps: Steps = SILENT, scratch: Path | None = None
) -> Measurement:
    """Build the system of an experiment, or open what is kept of it, and measure it in this process.

    Args:
        prepared: Collection and vectors.
        experiment: With a system.
        steps: Told of the progress.
        scratch: A folder for indexes, instead of keeping them for next time.

    Returns:
        The measurement; where no stage needs token vectors none are made, and nothing is compared with exact search.

    Raises:
        Stopped: the caller asked to stop.
        WorkbenchError: what keeps the system from being built.
    """
    tree, clock, part = parse_system(experiment.system), Clock(steps), prepared.where(experiment.where)
    subset = list(part.collection.documents) if experiment.where else None
    documents: TokenEmbeddings | None = None
    pool_seconds: float | None = 0.0
    if late(tree):
        documents, pool_seconds = ready_documents(prepared, experiment, clock, keep=scratch is None)
    held = documents
    with clock.stage("index", len(prepared.collection.documents)):
        system = build(experiment.system, prepared, None if held is None else lambda: held, steps, scratch)
    texts = list(prepared.collection.queries.values())
    with clock.stage("questions", len(texts)):
        asked = system.ask(texts)
    if subset is not None:
        kept = [number for number, query in enumerate(prepared.collection.queries) if query in part.collection.queries]
        asked = asked.select(np.array(kept, np.int64))
    with clock.stage("search", len(asked)):
        searched = search_system(system, asked, depth_of(part, experiment), steps, subset)
    singles = searched.rankings[: len(searched.latencies_ms)]
    stages = stage_table(system, [tuple(map(timed, found.passed)) for found in singles if isinstance(found, Answer)])
    described = {**system.describe(), "settings": {}, "can": [], "cannot": []}
    del described["stages"]
    built = Built(described, system.bytes, system.build_seconds, None, {}, thread_count())
    measured = assess(part, experiment, built, searched, documents, pool_seconds, clock)
    full = 0 if documents is None else prepared.documents.n_tokens
    return replace(measured, stages=tuple(stages), tokens_full=full)


def search_system(
    system: System, questions: Questions, k: int, steps: Steps = SILENT, subset: Sequence[str] | None = None
) -> Searched:
    """Search all questions by the protocol of indexes; where a stage takes seconds, fewer are timed.

    A stage that remembers scores of earlier questions forgets them while the clock runs.

    Args:
        system: The system.
        questions: Encoded, so that the clock sees none of that.
        k: Documents a question.
        steps: Told of the progress.
        subset: Ids to search among; None searches all.

    Returns:
        Rankings and times.
    """
    if system.timed >= TIMED:
        return search(system, questions, k, steps, subset)
    fresh, count, total = system.uncached(), min(system.timed, len(questions)), len(questions)
    fresh.search(questions.select(np.arange(min(1, count))), k, subset)
    milliseconds, rankings = [], []
    for number in range(total):
        asking, start = fresh if number < count else system, time.perf_counter()
        rankings += asking.search(questions.select([number]), k, subset)
        if number < count:
            milliseconds.append((time.perf_counter() - start) * 1e3)
        steps("questions", number + 1, total)
    return Searched(tuple(rankings), tuple(milliseconds), 1e3 * count / sum(milliseconds) if milliseconds else 0.0)
