"""nDCG@10 of every scorer with no training, written as the table in docs/scorers.md.

`python -m benchmarks.bench_scorers` scores cranfield, med and the embedded collection at 96 dimensions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.data import backbone_encoder, embedded_collection, project, projection
from engine import Collection, Ranking, TokenEmbeddings, evaluate, load_collection
from engine.maxsim.scorers import XTR, MaxSim, MeanMaxSim, Scorer, SmoothMaxSim, TopMeanSim, WeightedMaxSim, score_all
from engine.retrieval import id_order, top_positions

TARGET = Path(__file__).resolve().parents[1] / "docs" / "scorers.md"
SCORERS: dict[str, Scorer] = {
    "MaxSim": MaxSim(),
    "MeanMaxSim": MeanMaxSim(),
    "XTR, 1,000 tokens": XTR(1000),
    "XTR, 10,000 tokens": XTR(10_000),
    "smooth MaxSim, temperature 0.02": SmoothMaxSim(0.02),
    "smooth MaxSim, temperature 0.1": SmoothMaxSim(0.1),
    "top 2 mean": TopMeanSim(2),
    "top 4 mean": TopMeanSim(4),
    "weighted MaxSim, untrained": WeightedMaxSim(96),
}


def data() -> dict[str, tuple[Collection, TokenEmbeddings, TokenEmbeddings]]:
    """Collections with their queries' and documents' vectors."""
    matrix, found = projection(), {}
    for name in ("cranfield", "med"):
        part = embedded_collection(name)
        found[name] = (part.collection, project(part.queries, matrix), project(part.documents, matrix))
    collection, encoder = load_collection("embedded"), backbone_encoder()
    if collection.qrels:
        queries = encoder.encode_query(list(collection.queries.values()))
        documents = encoder.encode_document(list(collection.documents.values()))
        found["embedded"] = (collection, project(queries, matrix), project(documents, matrix))
    return found


def ndcg(scorer: Scorer, collection: Collection, queries: TokenEmbeddings, documents: TokenEmbeddings) -> float:
    """Mean nDCG@10 of scoring everything."""
    ids = list(collection.documents)
    order, rankings = id_order(ids), []
    for start in range(0, len(queries), 32):
        block = queries.select(np.arange(start, min(start + 32, len(queries))))
        for row in score_all(scorer, block, documents):
            best = top_positions(row, order, 10)
            rankings.append(Ranking([ids[i] for i in best], row[best]))
    return evaluate(rankings, collection, metrics=["ndcg@10"]).mean["ndcg@10"]


def main() -> None:
    """Measure, print and write."""
    sets = data()
    lines = [
        "# Scorers",
        "",
        "nDCG@10 of the scorers in `engine/maxsim/scorers.py` with no training, all-MiniLM-L6-v2 token vectors at 96",
        "dimensions, every document scored. Written by `python -m benchmarks.bench_scorers`.",
        "",
        f"| scorer | formula | {' | '.join(sets)} |",
        f"| --- | --- | {' | '.join('---' for _ in sets)} |",
    ]
    for name, scorer in SCORERS.items():
        values = [f"{ndcg(scorer, *parts):.3f}" for parts in sets.values()]
        lines.append(f"| {name} | `{scorer.formula}` | {' | '.join(values)} |")
        print(lines[-1], flush=True)
    lines += ["", "Sources:", "", *(f"- {n}: {s.source}" for n, s in SCORERS.items())]
    TARGET.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
