"""Search settings of each kind of index, cheapest first: the rungs on the way to a recall or a quality."""

from __future__ import annotations

from typing import Any

TARGET = 0.95  # of exact results, which "matched" points reach

LADDERS: dict[str, tuple[dict[str, Any], ...]] = {
    "plaid": tuple(
        {"n_probe": probe, "n_candidates": 8 * full, "n_full_scores": full}
        for probe, full in ((1, 64), (2, 128), (2, 256), (4, 256), (4, 512), (8, 1024), (16, 2048), (32, 4096))
    ),
    "hnsw": tuple(
        {"neighbours": n, "candidates": c}
        for n, c in ((10, 64), (25, 128), (50, 256), (100, 512), (200, 1024), (400, 0))
    ),
    "fast-plaid": tuple(
        {"n_ivf_probe": probe, "n_full_scores": full}
        for probe, full in ((1, 128), (2, 256), (4, 512), (8, 1024), (8, 4096), (32, 8192))
    ),
    "lancedb": tuple(
        {"nprobes": probes, "refine": refine}
        for probes, refine in ((20, 2), (20, 5), (50, 5), (50, 10), (100, 20), (400, 40))
    ),
    "qdrant": tuple({"ef": ef} for ef in (32, 64, 128, 256, 512, 1024)),  # of a server's graph
    "xtr-warp": tuple(
        {"nprobe": probe, "t_prime": t_prime}
        for probe, t_prime in ((4, 5_000), (8, 10_000), (16, 20_000), (32, 50_000), (64, 100_000), (128, 200_000))
    ),
}


def ladder_of(kind: str, settings: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """The rungs of an index with these settings; none where its search cannot be tuned.

    Args:
        kind: Of index.
        settings: Those it is built with.

    Returns:
        Search settings, cheapest first.
    """
    if kind == "qdrant" and not settings.get("address"):
        return ()  # in this process the client scores every document, whatever it is told
    return LADDERS.get(kind, ())
