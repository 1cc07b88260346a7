"""Pooling: one linkage for every factor against scipy for each, and normalised against plain means.

`python -m benchmarks.bench_pooling` prints times; with `--quality` also nDCG@10.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from benchmarks.bench_encode import ndcg
from benchmarks.data import SMALL, embedded_collection
from benchmarks.machine import describe, save, timed
from engine import TokenEmbeddings
from engine.pooling import link

FACTORS = (1.5, 2, 3, 4, 5, 6, 8, 12, 16, float("inf"))


def with_scipy(documents: TokenEmbeddings, factor: float) -> None:
    """The linkage of scipy and one cut, document by document."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    for vectors in documents:
        values = vectors[1:].astype(np.float32)
        distance = np.clip(1 - values @ values.T, 0, 2)
        tree = linkage(squareform(distance, checks=False), method="ward")
        fcluster(tree, t=max(int(len(values) // factor), 1), criterion="maxclust")


def speed(documents: TokenEmbeddings, repeats: int) -> dict[str, Any]:
    """Milliseconds for one factor and for ten."""

    def sweep() -> None:
        linked = link(documents)
        for factor in FACTORS:
            linked.pool(factor)

    rows = {
        "scipy, groups of one factor": timed(lambda: with_scipy(documents, 2), repeats),
        "one factor": timed(lambda: link(documents).pool(2), repeats),
        "ten factors": timed(sweep, repeats),
        "ten factors, sequential": timed(
            lambda: [link(documents, "sequential").pool(factor) for factor in FACTORS], repeats
        ),
    }
    return {"documents": len(documents), "tokens": documents.n_tokens, "rows": rows}


def quality() -> dict[str, Any]:
    """nDCG@10 of normalised and of plain means."""
    found: dict[str, Any] = {}
    for name in SMALL:
        data = embedded_collection(name)
        linked = link(data.documents)
        found[name] = {"1": ndcg(data.queries, data.documents, data.collection, data.query_ids)}
        for factor in (2, 4, 8):
            for normalize in (True, False):
                pooled = linked.pool(factor, normalize)
                label = f"{factor} {'normalised' if normalize else 'plain'}"
                found[name][label] = ndcg(data.queries, pooled, data.collection, data.query_ids)
        print(name, found[name], flush=True)
    return found


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=400, help="documents of cranfield to pool")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quality", action="store_true", help="measure nDCG@10 instead")
    options = parser.parse_args()
    if options.quality:
        save("pooling-quality", {"machine": describe(), "ndcg@10": quality()})
        return
    documents = embedded_collection("cranfield").documents.select(np.arange(options.documents))
    save("pooling", {"machine": describe(), **speed(documents, options.repeats)})


if __name__ == "__main__":
    main()
