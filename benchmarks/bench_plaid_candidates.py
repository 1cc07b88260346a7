"""Candidates from BM25 or MUVERA instead of PLAID's inverted lists, and the same later stages.

    python -m benchmarks.bench_plaid_candidates                     # results/plaid-candidates.json and docs/plaid.md
    python -m benchmarks.bench_plaid_candidates --collections cranfield med

Whoever names the candidates, `index.stages(query, k, positions)` scores them by their centroids, refines and scores the
best exactly, as it does for those of the lists. Truth is exact MaxSim on the vectors; times are the least of three for
each of 50 questions, their median: of finding the candidates, and of what PLAID does after that.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.contract_table import ROOT, replace_between
from benchmarks.data import ALL, collections_folder
from engine import Ranking, create_index, evaluate
from engine.indexes.plaid import PlaidIndex
from engine.indexes.plaid.settings import CANDIDATES
from engine.maxsim import maxsim_topk
from engine.muvera import Encodings, Muvera, MuveraSettings
from engine.retrieval import id_order, top_positions
from workbench.experiments.prepare import Prepared, prepare
from workbench.exports import markdown_table
from workbench.systems.lexical import Bm25, Bm25Options
from workbench.systems.material import Material, Question

RESULT, PAGE = ROOT / "benchmarks" / "results" / "plaid-candidates.json", ROOT / "docs" / "plaid.md"
K, ASKED, TIMED, REPEATS = 100, 200, 50, 3
COUNTS = (200, 1000)
DIM = 2560

Find = Callable[[int], np.ndarray | None]  # question -> storage positions, or None for the lists


def ways(prepared: Prepared, ties: np.ndarray) -> dict[str, Find]:
    """Who names the candidates, and how."""
    texts, bm25 = list(prepared.collection.queries.values()), Bm25(Bm25Options(), Material(prepared))
    muvera = Muvera.make(prepared.documents.dim, MuveraSettings(dim=DIM))
    kept = Encodings.empty(len(prepared.documents), "float16", DIM)
    kept.put(0, muvera.encode_document(prepared.documents), prepared.documents.lengths > 0)

    def by_words(number: int, count: int) -> np.ndarray:
        return np.sort(bm25.find(Question(texts[number]), count).positions)

    def by_encoding(number: int, count: int) -> np.ndarray:
        return np.sort(kept.search(muvera.encode_query(prepared.queries.select([number])), count, ties)[0][0])

    found: dict[str, Find] = {"the lists": lambda number: None}
    if len(prepared.documents) <= CANDIDATES[0]:
        found["all documents"] = lambda number: np.arange(len(prepared.documents))
    for count in COUNTS:
        found[f"bm25, {count:,}"] = lambda number, count=count: by_words(number, count)
        found[f"muvera, {count:,}"] = lambda number, count=count: by_encoding(number, count)
    return found


def row(
    index: PlaidIndex, find: Find, prepared: Prepared, asked: list[int], truth: np.ndarray, ties: np.ndarray
) -> dict[str, Any]:
    """Quality and times of one way."""
    ids, names = list(prepared.collection.documents), list(prepared.collection.queries)
    rankings, found, finding, later = {}, [], [], []
    for turn, number in enumerate(asked):
        query, least = np.asarray(prepared.queries[number], np.float32), np.full(2, np.inf)
        for _ in range(REPEATS if turn < TIMED else 1):
            start = time.perf_counter()
            positions = find(number)
            between = time.perf_counter()
            left = index.stages(query, K, positions)
            least = np.minimum(least, [between - start, time.perf_counter() - between])
        best = left.survivors[top_positions(left.scores, ties[left.survivors], K)]
        rankings[names[number]] = Ranking([ids[i] for i in best], np.zeros(len(best), np.float32))
        found.append(best)
        if turn < TIMED:
            finding.append(least[0] * 1e3)
            later.append(least[1] * 1e3)
    inside = {f"R{k}": float(np.mean([np.isin(t[:k], f[:k]).mean() for t, f in zip(truth, found, strict=True)]))
              for k in (10, K)}  # fmt: skip
    scored = evaluate(rankings, prepared.collection, metrics=["ndcg@10"]).mean["ndcg@10"]
    return {**inside, "ndcg@10": scored, "find_ms": float(np.median(finding)), "later_ms": float(np.median(later))}


def collection(name: str) -> dict[str, Any]:
    """All ways on one collection."""
    prepared = prepare(str(collections_folder() / name), "embedded")
    ids = list(prepared.collection.documents)
    ties, judged = id_order(ids), set(prepared.collection.judged_queries)
    asked = [number for number, query in enumerate(prepared.collection.queries) if query in judged][:ASKED]
    truth = maxsim_topk(prepared.queries.select(asked), prepared.documents, K, ties)[0]
    names = list(prepared.collection.queries)
    exact = {names[number]: Ranking([ids[i] for i in row], np.zeros(len(row), np.float32))
             for number, row in zip(asked, truth, strict=True)}  # fmt: skip
    record: dict[str, Any] = {"collection": name, "documents": len(ids), "queries": len(asked), "rows": {}}
    record["exact"] = evaluate(exact, prepared.collection, metrics=["ndcg@10"]).mean["ndcg@10"]
    with tempfile.TemporaryDirectory() as folder:
        index = create_index("plaid", Path(folder) / "index")
        assert isinstance(index, PlaidIndex)
        index.add(ids, prepared.documents)
        for way, find in ways(prepared, ties).items():
            record["rows"][way] = row(index, find, prepared, asked, truth, ties)
            print(name, way, record["rows"][way], flush=True)
    return record


def lines(found: list[dict[str, Any]]) -> str:
    """The table of the page."""
    head = ("collection", "candidates from", "R10", "R100", "nDCG@10", "against exact", "finding them, ms", "after, ms")
    cells = []
    for part in found:
        for way, r in part["rows"].items():
            quality = (
                f"{r['R10']:.3f}",
                f"{r['R100']:.3f}",
                f"{r['ndcg@10']:.4f}",
                f"{r['ndcg@10'] - part['exact']:+.4f}",
            )
            finding = "" if way == "the lists" else f"{r['find_ms']:.2f}"
            cells.append((part["collection"], way, *quality, finding, f"{r['later_ms']:.2f}"))
    return markdown_table(head, cells).rstrip()


def main() -> None:
    """Measure, and write the record and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collections", nargs="+", choices=ALL, default=ALL)
    parser.add_argument("--page", action="store_true", help="only write the page from the record")
    options = parser.parse_args()
    if options.page:
        record = json.loads(RESULT.read_text())
    else:
        record = {"collections": [collection(name) for name in options.collections], "machine": machine.describe()}
        machine.save(RESULT.stem, record)
    text = replace_between(PAGE.read_text(encoding="utf-8"), "plaid-candidates", lines(record["collections"]))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
