"""What PLAID keeps of exact MaxSim: the curve of the codec, every collection at the defaults, the spread over seeds.

`python -m benchmarks.bench_plaid_quality curve collections seeds` writes `results/plaid-curve.json` and so on. The
curve is on the three small collections joined, all their queries; the others build an index for each collection.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.data import ALL, SMALL, Embedded, embedded_collection, project, projection, small_set
from engine import TokenEmbeddings, create_index, evaluate
from engine.indexes.plaid.settings import BITS
from engine.maxsim import maxsim_topk
from engine.retrieval import Ranking, id_order

K = 100
SEEDS = 10
WIDER = [{"bits": 4, "wide_share": share} for share in (1.0, 1.5)]  # 5 and 5.5 bits
CURVE: list[dict[str, Any]] = sorted([{"bits": bits} for bits in BITS] + WIDER, key=lambda row: row["bits"])


def narrow(name: str) -> Embedded:
    """One collection at the dimensions of the joined sets."""
    found, matrix = embedded_collection(name), projection()
    return Embedded(
        found.collection,
        found.ids,
        project(found.documents, matrix),
        found.query_ids,
        project(found.queries, matrix),
    )


def exact(data: Embedded, k: int = K) -> list[Ranking]:
    positions, scores = maxsim_topk(data.queries, data.documents, k, id_order(data.ids))
    return [Ranking([data.ids[int(i)] for i in row], values) for row, values in zip(positions, scores, strict=True)]


def ndcg(rankings: list[Ranking], data: Embedded) -> float:
    """nDCG@10 as `evaluate` has it, checked by hand: one wrong number here went unseen for an hour."""
    asked = dict(zip(data.query_ids, rankings, strict=True))
    found = evaluate(asked, data.collection, ["ndcg@10"], same_ids="keep")  # numbered alike, and joined under names
    discounts, values = 1 / np.log2(np.arange(2, 12)), []
    for query, ranking in zip(data.query_ids, rankings, strict=True):
        grades = data.collection.qrels.get(query, {})
        if any(grade > 0 for grade in grades.values()):
            best = np.array(sorted((max(grade, 0) for grade in grades.values()), reverse=True)[:10])
            gains = np.array([max(grades.get(name, 0), 0) for name in ranking.ids[:10]])
            values.append(gains @ discounts[: len(gains)] / (best @ discounts[: len(best)]))
    if abs(np.mean(values) - found.mean["ndcg@10"]) > 1e-9:
        raise RuntimeError(f"Two ways to nDCG@10 disagree: {found.mean['ndcg@10']} and {np.mean(values)}.")
    return found.mean["ndcg@10"]


def recall(found: Sequence[Ranking], truth: Sequence[Ranking], k: int) -> float:
    return float(
        np.mean([len({*f.ids[:k]} & {*t.ids[:k]}) / len(t.ids[:k]) for f, t in zip(found, truth, strict=True)])
    )


def searched(data: Embedded, k: int = K, **settings: Any) -> tuple[list[Ranking], dict[str, Any]]:
    """Rankings of all queries from a new index, and what the index says of itself."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        index = create_index("plaid", Path(folder) / "index", **settings)
        index.add(data.ids, data.documents)
        seconds = time.perf_counter() - start
        rankings = index.search(data.queries, k)
        times = []
        for number in range(min(50, len(data.queries))):
            query = TokenEmbeddings.from_list([data.queries[number]])
            start = time.perf_counter()
            index.search(query, k)
            times.append((time.perf_counter() - start) * 1e3)
        return rankings, {**index.describe(), "build_s": seconds, "p50_ms": float(np.median(times))}


def curve() -> dict[str, Any]:
    data = small_set()
    truth, rows = exact(data), []
    for settings in CURVE:
        found, about = searched(data, **settings)
        rows.append(
            {
                **settings,
                "bytes_per_token": about["bytes_per_token"],
                "R10": recall(found, truth, 10),
                "R100": recall(found, truth, 100),
                "ndcg@10": ndcg(found, data),
                "p50_ms": about["p50_ms"],
                "build_s": about["build_s"],
            }
        )
        print(rows[-1], flush=True)
    return {"exact_ndcg@10": ndcg(truth, data), "queries": len(data.queries), "rows": rows}


def collections(names: Sequence[str] = ALL) -> dict[str, Any]:
    rows = []
    for name in names:
        data = narrow(name)
        truth = exact(data)
        found, about = searched(data)
        mine, theirs = ndcg(found, data), ndcg(truth, data)
        rows.append(
            {
                "collection": name,
                "tokens": about["tokens"],
                "exact": theirs,
                "plaid": mine,
                "difference": mine - theirs,
                "R10": recall(found, truth, 10),
                "R100": recall(found, truth, 100),
            }
        )
        print(rows[-1], flush=True)
    return {"rows": rows}


def seeds() -> dict[str, Any]:
    rows = []
    for name in SMALL:
        data = narrow(name)
        scores = [ndcg(searched(data, 10, seed=seed)[0], data) for seed in range(SEEDS)]
        spread = {"least": min(scores), "most": max(scores), "deviation": float(np.std(scores, ddof=1))}
        rows.append({"collection": name, "exact": ndcg(exact(data, 10), data), **spread, "seeds": scores})
        print(rows[-1], flush=True)
    return {"metric": "ndcg@10", "rows": rows}


STUDIES = {"curve": curve, "collections": collections, "seeds": seeds}


def main() -> None:
    """Run the studies named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", choices=list(STUDIES))
    parser.add_argument("--only", nargs="+", choices=ALL, default=ALL, help="for the study of collections")
    options = parser.parse_args()
    for study in options.studies:
        made = collections(options.only) if study == "collections" else STUDIES[study]()
        machine.save(f"plaid-{study}", {**made, "machine": machine.describe()})


if __name__ == "__main__":
    main()
