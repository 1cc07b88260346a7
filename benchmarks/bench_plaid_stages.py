"""Where the time of a PLAID search goes, and what that says about larger collections.

`python -m benchmarks.bench_plaid_stages --index FOLDER --set small` searches one query at a time on one thread, takes
the processor time of every stage (the median over queries), divides it by what the stage works through, and writes
`results/plaid-stages.json` with the same stages extrapolated to a million and a hundred million documents.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.data import all_set, small_set
from engine import open_index
from engine.indexes.plaid import PlaidIndex, loops, search
from engine.indexes.plaid.assign import nearest
from engine.indexes.plaid.budget import SAMPLE_PER_CENTROID
from engine.indexes.plaid.crew import Crew
from engine.indexes.plaid.loops import COARSE, EXACT, FINE, ROWS, TABLE
from engine.indexes.plaid.query import best_centroids, byte_range
from engine.indexes.plaid.settings import PlaidSettings, wanted_centroids
from engine.simd.threads import use_threads

REPEATS = 4
PAPER = (250_000, 1_000_000, 100_000_000)  # documents
ENTRY_BYTES = 4  # of an inverted list


class Clock:
    """Processor milliseconds of this thread by stage."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}

    def run(self, stage: str, work: Callable[..., Any], *arguments: Any) -> Any:
        """Call and note the time."""
        start = time.thread_time()
        result = work(*arguments)
        self.times.setdefault(stage, []).append((time.thread_time() - start) * 1e3)
        return result

    def median(self, stage: str) -> float:
        """Milliseconds of a stage."""
        return float(np.median(self.times[stage]))


def stages(index: PlaidIndex, queries: list[np.ndarray]) -> tuple[dict[str, float], dict[str, float]]:
    """Milliseconds of each stage, and what it worked through: centroids, list entries, slots, tokens."""
    layout, settings, clock = index.layout, index.settings, Clock()
    assert layout is not None
    entries, coarse_tokens, fine_tokens, full_tokens = [], [], [], []

    def tokens(slots: np.ndarray) -> int:
        return int((layout.offsets[slots + 1] - layout.offsets[slots]).sum())

    stored = layout.codec.stored(layout.offsets, layout.codes, layout.packed)
    room = (len(layout.alive), max(settings.n_refined, settings.n_full_scores), settings.n_full_scores)
    for query in queries * REPEATS:
        clock.run("rounded query", layout.codec.asked, query)
        crew = Crew(layout.codec, stored, query, room, 1)
        clock.run("centroid table", crew.work, TABLE, -(-len(layout.codec.centroids) // loops.GROUP))
        probing = (crew.tables, len(query), settings.n_probe)
        probes, scores = clock.run("best centroids", best_centroids, *probing)
        weights = np.ones(scores.shape, np.int32)
        points, seen = np.zeros(len(layout.alive), np.int32), np.full(len(layout.alive), -1, np.int32)
        lists = layout.lists[0]
        listed = (probes, weights, lists.offsets, lists.documents, layout.alive, seen, points)
        clock.run("inverted lists", loops.collect, *listed)
        entries.append((lists.offsets[probes + 1] - lists.offsets[probes]).sum())
        _, points, _ = clock.run(
            "probe, all of it", search._probe, layout, settings, crew, len(query), 100, layout.alive
        )
        found = np.flatnonzero(points)
        candidates = clock.run(
            "candidates", lambda f, p: f[search.best_positions(p, settings.n_candidates)], found, points[found]
        )
        unit, _ = byte_range(layout.codec, crew.tables, query, settings.centroid_threshold)
        clock.run("rows of bytes", crew.work, ROWS, len(layout.codec.centroids))
        sums = clock.run("centroid scores", crew.documents, COARSE, candidates)
        margin = settings.centroid_margin * len(query) / unit
        refined = candidates[search.near_best(sums, settings.n_full_scores, margin, settings.n_refined)]
        fine = clock.run("refined scores", crew.documents, FINE, refined)
        survivors = refined[search.best_positions(fine, settings.n_full_scores)]
        clock.run("exact scores", crew.documents, EXACT, survivors)
        crew.close()
        clock.run("all stages", search.run, layout, settings, query, 100, layout.alive, 1)
        coarse_tokens.append(tokens(candidates))
        fine_tokens.append(tokens(refined))
        full_tokens.append(tokens(survivors))
    counts = {
        "centroids": len(layout.codec.centroids),
        "list entries": float(np.median(entries)),
        "slots": len(layout.alive),
        "tokens of candidates": float(np.median(coarse_tokens)),
        "tokens of refined": float(np.median(fine_tokens)),
        "tokens of survivors": float(np.median(full_tokens)),
    }
    return {stage: clock.median(stage) for stage in clock.times}, counts


def assignment(index: PlaidIndex, values: np.ndarray) -> float:
    """Nanoseconds of one thread for one token and one centroid."""
    assert index.layout is not None
    centroids = index.layout.codec.centroids
    nearest(values[:64], centroids[:64])  # compiled before the clock starts
    start = time.thread_time()
    nearest(values, centroids)
    return (time.thread_time() - start) / len(values) / len(centroids) * 1e9


def on_paper(
    documents: int, tokens_each: float, ms: dict[str, float], n: dict[str, float], ns: float, bytes_each: float
):
    """The stages at another size; what grows with the centroids, the lists and the slots is scaled by them."""
    tokens = documents * tokens_each
    centroids = wanted_centroids(PlaidSettings(), int(tokens))
    by_centroids = ms["centroid table"] + ms["best centroids"] + ms["rows of bytes"]
    candidates = min(documents, PlaidSettings().n_candidates) * tokens_each
    by_slots = max(ms["probe, all of it"] - ms["best centroids"] - ms["inverted lists"], 0.0) + ms["candidates"]
    lists = ms["inverted lists"] * (tokens / centroids) / (n["tokens"] / n["centroids"])
    found = {
        "table, best centroids, bytes": by_centroids * centroids / n["centroids"],
        "inverted lists": lists,
        "points of documents": by_slots * documents / n["slots"],
        "centroid scores": ms["centroid scores"] * candidates / n["tokens of candidates"],
        "refined scores": ms["refined scores"]
        * min(documents, PlaidSettings().n_refined)
        * tokens_each
        / n["tokens of refined"],
        "exact scores": ms["exact scores"] * PlaidSettings().n_full_scores * tokens_each / n["tokens of survivors"],
    }
    passes = min(tokens, SAMPLE_PER_CENTROID * centroids) * (PlaidSettings().iterations + 1) + tokens
    return {
        "documents": documents,
        "tokens": int(tokens),
        "centroids": centroids,
        "gigabytes": tokens * bytes_each / 1e9,
        "build_processor_hours": passes * centroids * ns / 1e9 / 3600,
        "search_processor_ms": {**found, "together": math.fsum(found.values())},
    }


def main() -> None:
    """Measure, extrapolate and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=Path, required=True, help="folder of an index of the set")
    parser.add_argument("--set", choices=["small", "all"], default="small")
    options = parser.parse_args()
    data, index = small_set() if options.set == "small" else all_set(), open_index(options.index)
    assert isinstance(index, PlaidIndex)
    picked = np.sort(np.random.default_rng(0).choice(len(data.queries), 50, replace=False))
    queries = [np.asarray(data.queries[int(i)], np.float32) for i in picked]
    with use_threads(1):
        stages(index, queries[:2])  # compiled before the clock starts
        ms, counts = stages(index, queries)
        ns = assignment(index, np.asarray(data.documents.values[:8192], np.float32))
    counts["tokens"], about = data.documents.n_tokens, index.describe()
    each = data.documents.n_tokens / len(data.ids)
    paper = [on_paper(n, each, ms, counts, ns, about["bytes_per_token"]) for n in PAPER]
    record = {"set": options.set, "stage_ms": ms, "works_through": counts, "assignment_ns": ns, "on_paper": paper}
    machine.save(f"plaid-stages-{options.set}", {**record, "machine": machine.describe()})


if __name__ == "__main__":
    main()
