"""Measure one index in a process of its own: `python -m workbench.experiments.child FOLDER`.

A process of its own makes memory and times those of this index alone, and lets a person stop it at any moment. The
folder holds `job.json`, `documents` and `queries`; progress goes to standard output as JSON lines, the outcome to
`outcome.json`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from engine import TokenEmbeddings, create_index
from engine.errors import UnsupportedError, WorkbenchError
from engine.indexes import Index
from engine.machine import forget_peak, peak_memory
from engine.retrieval import Ranking

WARM_UP = 8  # searches before the clock counts: files are read, codes that pay only for several queries are built
REHEARSAL = 64  # documents of an index that is thrown away: libraries are loaded and kernels compiled for the real one
TIMED = 100  # queries asked one at a time, for latencies; the others are handed over at once, for throughput
BATCH = 64  # queries that throughput is measured with at least, where there are as many
DEPTH = 100  # of the recall that settings are matched at; k, when that is less
TUNING_QUERIES = 32  # that each rung of a ladder is tried on


def set_threads(environment: dict[str, str], threads: int) -> None:
    """Tell every library that a backend may use how many threads there are; before any of them is imported."""
    for name in (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "RAYON_NUM_THREADS",
        "WORKBENCH_THREADS",
    ):
        environment[name] = str(threads)
    environment["NUMBA_NUM_THREADS"] = str(threads)


def recall_against(found: list[list[str]], truth: list[list[str]], k: int) -> float:
    """Mean share of the k best documents of exact search that are among the k found.

    Args:
        found: m lists, best first.
        truth: m lists of exact search, best first.
        k: Depth.

    Returns:
        Between 0 and 1.
    """
    shares = [len(set(a[:k]) & set(b[:k])) / len(b[:k]) for a, b in zip(found, truth, strict=True) if b]
    return float(np.mean(shares)) if shares else 1.0


def time_searches(index: Index, queries: TokenEmbeddings, k: int, report: Any) -> tuple[list[float], list[Ranking]]:
    """Search the queries one at a time after a warm-up; milliseconds and rankings."""
    for number in range(min(WARM_UP, len(queries))):
        index.search(queries.select([number]), k)
    milliseconds, rankings = [], []
    for number in range(len(queries)):
        query = queries.select([number])
        start = time.perf_counter()
        rankings += index.search(query, k)
        milliseconds.append((time.perf_counter() - start) * 1e3)
        report("single questions", number + 1, len(queries))
    return milliseconds, rankings


def outcome_of(index: Index, queries: TokenEmbeddings, k: int, report: Any) -> dict[str, Any]:
    """Latencies, throughput and rankings of one index with its settings."""
    milliseconds, rankings = time_searches(index, queries.select(np.arange(min(TIMED, len(queries)))), k, report)
    rest = queries.select(np.arange(len(rankings), len(queries)))
    batch = rest if len(rest) >= BATCH else queries.select(np.arange(min(BATCH, len(queries))))
    start = time.perf_counter()
    found = index.search(batch, k)
    seconds = time.perf_counter() - start
    rankings += found if batch is rest else index.search(rest, k)
    report("search", len(queries), len(queries))
    return {
        "settings": asdict(index.settings),
        "latencies_ms": milliseconds,
        "queries_per_second": len(batch) / seconds if seconds else 0.0,
        "ids": [ranking.ids for ranking in rankings],
        "notes": sorted({note for ranking in rankings for note in ranking.notes}),
    }


def fastest_that_reaches(
    index: Index,
    ladder: Sequence[dict[str, Any]],
    queries: TokenEmbeddings,
    k: int,
    truth: list[list[str]],
    target: float,
    report: Any,
) -> tuple[Index, float] | None:
    """Climb a ladder of search settings until the recall of exact results is there.

    Args:
        index: As it was built.
        ladder: Search settings, cheapest first.
        queries: Those that each rung is tried on, one at a time.
        k: Results a query: the recall is of as many, at most 100.
        truth: Ids of exact search for each query.
        target: Recall to reach.
        report: Progress.

    Returns:
        The index with those settings and its median milliseconds; None if no rung reaches the target.
    """
    for number, rung in enumerate(ladder):
        tuned = index.tuned(**rung)
        milliseconds, rankings = time_searches(tuned, queries, k, lambda *_: None)
        report("tuning", number + 1, len(ladder))
        if recall_against([ranking.ids for ranking in rankings], truth, min(k, DEPTH)) >= target:
            report("tuning", len(ladder), len(ladder))
            return tuned, float(np.median(milliseconds))
    return None


def rehearse(job: dict[str, Any], documents: TokenEmbeddings, queries: TokenEmbeddings) -> None:
    """Build and search a small index of the kind, so that neither time nor memory counts what happens only once."""
    count = min(REHEARSAL, len(documents))
    index = create_index(job["kind"], f"{job['index_folder']}-rehearsal", **job["settings"])
    with contextlib.suppress(UnsupportedError):  # a kind that cannot build from so few
        index.add(job["ids"][:count], documents.select(np.arange(count)))
    index.search(queries.select(np.arange(min(WARM_UP, len(queries)))), job["k"])
    shutil.rmtree(index.path, ignore_errors=True)


def measure(folder: Path) -> dict[str, Any]:
    """Build the index that `job.json` describes and measure it.

    Args:
        folder: The job.

    Returns:
        JSON values: build, sizes, and one entry of "points" for the settings as given and one at the target recall.
    """
    import psutil

    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    documents, queries = TokenEmbeddings.open(folder / "documents"), TokenEmbeddings.open(folder / "queries")
    rehearse(job, documents, queries)
    index = create_index(job["kind"], job["index_folder"], **job["settings"])
    forget_peak()
    before = psutil.Process().memory_info().rss
    report("build", 0, len(documents))
    start = time.perf_counter()
    index.add(job["ids"], documents)
    build = time.perf_counter() - start
    report("build", len(documents), len(documents))
    points = [{"point": "as given", **outcome_of(index, queries, job["k"], report)}]
    peak = peak_memory()
    if job["ladder"]:
        points.append({**matched(index, job, queries, points[0]), "point": "matched"})
    return {
        "build_seconds": build,
        "peak_memory_bytes": max(peak - before, 0),
        "describe": index.describe(),
        "dependency_defaults": index.dependency_defaults(),
        "points": points,
    }


def matched(index: Index, job: dict[str, Any], queries: TokenEmbeddings, given: dict[str, Any]) -> dict[str, Any]:
    """The point with the fastest settings that reach the target: a rung of the ladder, or the settings as given.

    Args:
        index: As it was built.
        job: With "k", "ladder", "target" and "truth".
        queries: All of them.
        given: The point with the settings as given.

    Returns:
        A point; its ids are empty where nothing reaches the target.
    """
    k, depth = job["k"], min(job["k"], DEPTH)
    sample = queries.select(np.arange(min(TUNING_QUERIES, len(queries))))
    truth = job["truth"][: len(sample)]
    found = fastest_that_reaches(index, job["ladder"], sample, k, truth, job["target"], report)
    reached = recall_against(given["ids"][: len(sample)], truth, depth) >= job["target"]
    if found is None and not reached:
        return given | {"ids": [], "notes": [f"no settings that were tried reach R@{depth} of {job['target']:g}"]}
    best = float(np.median(given["latencies_ms"]))
    tuned = None if found is None or (reached and best <= found[1]) else outcome_of(found[0], queries, k, report)
    if tuned is None or (reached and best <= float(np.median(tuned["latencies_ms"]))):
        return given | {"notes": [*given["notes"], "the settings as given are the fastest tried that reach the target"]}
    return tuned


def report(stage: str, done: int, total: int) -> None:
    """Tell the parent process."""
    print(json.dumps({"stage": stage, "done": done, "total": total}), flush=True)


def main() -> None:
    """Measure the job in the folder given."""
    folder = Path(sys.argv[1])
    try:
        outcome: dict[str, Any] = measure(folder)
    except WorkbenchError as error:
        outcome = {"error": str(error)}
    draft = folder / "outcome.draft"
    draft.write_text(json.dumps(outcome), encoding="utf-8")
    os.replace(draft, folder / "outcome.json")


if __name__ == "__main__":
    main()
