"""Measure one index in a process of its own: `python -m workbench.measuring FOLDER`, started by `compare_indexes`.

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
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from engine import TokenEmbeddings, create_index
from engine.errors import UnsupportedError, WorkbenchError
from engine.indexes import Index
from engine.retrieval import Ranking

WARM_UP = 8  # searches before the clock counts: files are read, codes that pay only for several queries are built
REHEARSAL = 64  # documents of an index that is thrown away: libraries are loaded and kernels compiled for the real one
BATCH = 64  # queries of the throughput measurement


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
        report("search", number + 1, len(queries))
    return milliseconds, rankings


def outcome_of(index: Index, queries: TokenEmbeddings, k: int, report: Any) -> dict[str, Any]:
    """Latencies, throughput and rankings of one index with its settings."""
    milliseconds, rankings = time_searches(index, queries, k, report)
    batch = queries.select(np.arange(min(BATCH, len(queries))))
    start = time.perf_counter()
    index.search(batch, k)
    seconds = time.perf_counter() - start
    return {
        "settings": asdict(index.settings),
        "latencies_ms": milliseconds,
        "queries_per_second": len(batch) / seconds if seconds else 0.0,
        "ids": [ranking.ids for ranking in rankings],
        "notes": sorted({note for ranking in rankings for note in ranking.notes}),
    }


def cheapest_that_reaches(
    index: Index, ladder: list[dict[str, Any]], queries: TokenEmbeddings, truth: list[list[str]], target: float
) -> Index | None:
    """The first rung, fastest first, whose recall of the exact first ten reaches the target; None if none does."""
    for rung in ladder:
        tuned = index.tuned(**rung)
        if recall_against([ranking.ids for ranking in tuned.search(queries, 10)], truth, 10) >= target:
            return tuned
    return None


def peak_bytes() -> int:
    """The largest resident memory of this process so far."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


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
    before = psutil.Process().memory_info().rss
    report("build", 0, len(documents))
    start = time.perf_counter()
    index.add(job["ids"], documents)
    build = time.perf_counter() - start
    points = [{"point": "as given", **outcome_of(index, queries, job["k"], report)}]
    if job["ladder"]:
        sample = queries.select(np.arange(min(job["tuning_queries"], len(queries))))
        truth = job["truth"][: len(sample)]
        tuned = cheapest_that_reaches(index, job["ladder"], sample, truth, job["target"])
        if tuned is not None:
            points.append({"point": "matched", **outcome_of(tuned, queries, job["k"], report)})
    return {
        "build_seconds": build,
        "peak_memory_bytes": max(peak_bytes() - before, 0),
        "describe": index.describe(),
        "dependency_defaults": index.dependency_defaults(),
        "points": points,
    }


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
