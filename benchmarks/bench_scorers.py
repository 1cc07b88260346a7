"""nDCG@10 of every scorer with no training, written as the table in docs/scorers.md.

`python -m benchmarks.bench_scorers` scores cranfield, med and the embedded collection at 96 dimensions; with
`--collections med` only that one is measured again, and the table keeps what was measured before.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.data import backbone_encoder, embedded_collection, project, projection
from benchmarks.machine import RESULTS, describe, save
from engine import Collection, Ranking, TokenEmbeddings, evaluate, load_collection
from engine.maxsim import scorers
from engine.maxsim.scorers import Scorer
from engine.retrieval import id_order, top_positions

TARGET = Path(__file__).resolve().parents[1] / "docs" / "scorers.md"
COLLECTIONS = ("embedded", "cranfield", "med")
TRAINED = "## Trained"  # begins the half of the page that `benchmarks.bench_trained scorers` writes
NAMES = ("maxsim", "mean-maxsim", "xtr:retrieved=1000", "xtr:retrieved=10000", "smooth-maxsim:temperature=0.02",
         "smooth-maxsim:temperature=0.1", "top-mean:m=2", "top-mean:m=4", "weighted-maxsim")  # fmt: skip
SCORERS = {name: scorers.get(name, dim=96) for name in NAMES}  # the learned one as it is before training


def vectors(name: str) -> tuple[Collection, TokenEmbeddings, TokenEmbeddings]:
    """A collection with its queries' and documents' vectors at 96 dimensions."""
    matrix = projection()
    if name != "embedded":
        part = embedded_collection(name)
        return part.collection, project(part.queries, matrix), project(part.documents, matrix)
    collection, encoder = load_collection("embedded"), backbone_encoder()
    queries = encoder.encode_query(list(collection.queries.values()))
    documents = encoder.encode_document(list(collection.documents.values()))
    return collection, project(queries, matrix), project(documents, matrix)


def ndcg(scorer: Scorer, collection: Collection, queries: TokenEmbeddings, documents: TokenEmbeddings) -> float:
    """Mean nDCG@10 of scoring everything."""
    ids = list(collection.documents)
    order, rankings = id_order(ids), []
    for start in range(0, len(queries), 32):
        block = queries.select(np.arange(start, min(start + 32, len(queries))))
        for row in scorer.score(block, documents):
            best = top_positions(row, order, 10)
            rankings.append(Ranking([ids[i] for i in best], row[best]))
    return evaluate(rankings, collection, metrics=["ndcg@10"]).mean["ndcg@10"]


def measure(name: str) -> dict[str, float]:
    """nDCG@10 of every scorer on one collection."""
    parts, found = vectors(name), {}
    for label, scorer in SCORERS.items():
        found[label] = ndcg(scorer, *parts)
        print(name, label, found[label], flush=True)
    return found


def table(results: dict[str, dict[str, float]]) -> str:
    """The page: what was measured, formulas and sources."""
    columns = [name for name in COLLECTIONS if name in results]
    lines = [
        "# Scorers",
        "",
        "A scorer makes one score of the similarities of a question's tokens with a document's. MaxSim is the",
        "usual one; this page lists all, and what each gains. Each is a name for the training setting `scorer`, for",
        "`rerank(..., scorer=...)`, for `--scorer` of `workbench search`, `ui`, `evaluate` and `run`, and for",
        "`engine.maxsim.scorers.score`; settings stand behind a colon. The weights of a learned one lie in the",
        "folder of the model that was trained with it.",
        "",
        "nDCG@10 of the scorers in `engine/maxsim/scorers.py` with no training, all-MiniLM-L6-v2 token vectors at 96",
        "dimensions, every document scored. Written by `python -m benchmarks.bench_scorers`. s_ij is the dot product",
        "of query token i with document token j, n the number of query tokens.",
        "",
        f"| scorer | formula | {' | '.join(columns)} |",
        f"| --- | --- | {' | '.join('---' for _ in columns)} |",
    ]
    for label, scorer in SCORERS.items():
        values = " | ".join(f"{results[name][label]:.3f}" for name in columns)
        lines.append(f"| {label} | `{scorer.formula}` | {values} |")
    return "\n".join([*lines, "", "Sources:", "", *(f"- {label}: {s.source}" for label, s in SCORERS.items())]) + "\n"


def write(page: str = "", trained: str = "") -> None:
    """Write one half of the page and keep the other: what was measured without training, and with it."""
    own, _, other = TARGET.read_text().partition(TRAINED)
    TARGET.write_text((page or own).rstrip() + "\n\n" + TRAINED + (f"\n\n{trained}\n" if trained else other))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collections", nargs="+", choices=COLLECTIONS, default=COLLECTIONS)
    options = parser.parse_args()
    path = RESULTS / "scorers.json"
    results = json.loads(path.read_text())["ndcg@10"] if path.exists() else {}
    for name in options.collections:
        results[name] = measure(name)
        save("scorers", {"machine": describe(), "ndcg@10": results})
        write(table(results))


if __name__ == "__main__":
    main()
