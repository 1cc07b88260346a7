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
from engine.indexes.plaid import PlaidIndex, search
from engine.indexes.plaid.budget import SAMPLE_PER_CENTROID
from engine.indexes.plaid.groups import products
from engine.indexes.plaid.loops import LISTS, SCORES
from engine.indexes.plaid.query import HEAVY_MARGIN, HEAVY_REACH
from engine.indexes.plaid.settings import PlaidSettings, for_documents, wanted_centroids
from engine.simd.threads import use_threads

REPEATS = 4
PAPER = (250_000, 1_000_000, 100_000_000)  # documents


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
    layout, settings, clock = index.layout, index.searching, Clock()
    assert layout is not None
    entries, exact_centroids, tokens = [], [], {"candidates": [], "refined": [], "survivors": []}

    def count(name: str, slots: np.ndarray) -> None:
        tokens[name].append(int((layout.offsets[slots + 1] - layout.offsets[slots]).sum()))

    lists, codec = layout.lists[0], layout.codec
    room = (settings.n_candidates, max(settings.n_refined, settings.n_full_scores), settings.n_full_scores)
    for query in queries * REPEATS:
        crew = clock.run("query", search._crew, layout, query, room, settings.n_probe, 1)
        scale = clock.run("table of bytes", search._score_all, layout, settings, crew, query)
        clock.run("probe", search.set_probes, crew, crew.listed, query @ codec.centre)
        clock.run("lists", crew.work, LISTS, len(crew.listed.counts))
        found, points = search._collected(crew.listed, layout.alive)
        probes = crew.listed.probes[crew.listed.probes >= 0]
        entries.append((lists.offsets[probes + 1] - lists.offsets[probes]).sum())
        candidates = clock.run(
            "candidates",
            lambda f, p: np.sort(f[search.best_positions(p, settings.n_candidates)]).astype(np.int64),
            found,
            points,
        )
        sums = clock.run("centroid scores", crew.coarse, candidates)
        near, margin = np.arange(len(candidates)), settings.centroid_margin * len(query) / scale.step
        if crew.tables.heavy.any():
            near = search.near_best(sums, settings.n_full_scores, HEAVY_REACH * margin, len(sums))
            sums = clock.run("heavy query tokens", crew.heavy, near)
            margin *= HEAVY_MARGIN * scale.step
        chosen = search.near_best(sums, settings.n_full_scores, margin, settings.n_refined)
        refined = candidates[near[chosen]]
        fine = clock.run("refined scores", crew.fine, refined, chosen)
        survivors = refined[search.best_positions(fine, settings.n_full_scores)]
        clock.run("exact scores", crew.exact, survivors)
        exact_centroids.append(int(crew.job.counts[SCORES]))
        crew.__exit__(None, None, None)
        clock.run("all stages", search.run, layout, settings, query, 100, layout.alive, 1)
        for name, slots in (("candidates", candidates), ("refined", refined), ("survivors", survivors)):
            count(name, slots)
    counts = {
        "centroids": len(codec.centroids),
        "list entries": float(np.median(entries)),
        "slots": len(layout.alive),
        "probes": settings.n_probe,
        "centroids of survivors": float(np.median(exact_centroids)),
        **{f"tokens of {name}": float(np.median(found)) for name, found in tokens.items()},
    }
    return {stage: clock.median(stage) for stage in clock.times}, counts


def assignment(index: PlaidIndex, values: np.ndarray) -> float:
    """Nanoseconds of one thread for one token and one of the centroids that it meets."""
    assert index.layout is not None
    groups = index.layout.codec.groups
    groups.nearest(values[:64])  # compiled before the clock starts
    start = time.thread_time()
    groups.nearest(values)
    return (time.thread_time() - start) / len(values) / products(len(groups.centroids)) * 1e9


def on_paper(
    documents: int, tokens_each: float, ms: dict[str, float], n: dict[str, float], ns: float, bytes_each: float
):
    """The stages at another size; what grows with the centroids, the lists and the slots is scaled by them."""
    tokens, settings = documents * tokens_each, for_documents(PlaidSettings(), int(documents))
    centroids = wanted_centroids(settings, int(tokens))
    lists = (tokens / centroids) / (n["tokens"] / n["centroids"]) * settings.n_probe / n["probes"]

    def share(documents_of_stage: int, name: str) -> float:
        return min(documents, documents_of_stage) * tokens_each / n[f"tokens of {name}"]

    found = {
        "probe": ms["probe"],
        "table of bytes": ms["table of bytes"] * centroids / n["centroids"],
        "lists and candidates": (ms["lists"] + ms["candidates"]) * lists,
        "centroid scores": ms["centroid scores"] * share(settings.n_candidates, "candidates"),
        "refined scores": ms["refined scores"] * share(settings.n_refined, "refined"),
        "exact scores": ms["exact scores"] * share(settings.n_full_scores, "survivors"),
    }
    passes = min(tokens, SAMPLE_PER_CENTROID * centroids) * (settings.iterations + 1) + tokens
    return {
        "documents": documents,
        "tokens": int(tokens),
        "centroids": centroids,
        "gigabytes": tokens * bytes_each / 1e9,
        "build_processor_hours": passes * products(centroids) * ns / 1e9 / 3600,
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
