"""What fixed dimensional encodings (MUVERA) lose before the rerank and after it, by dimension and form.

    python -m benchmarks.bench_muvera                               # writes results/muvera.json and docs/systems.md
    python -m benchmarks.bench_muvera --collections cranfield med --dims 2560 10240

The vectors are those of a model as every command has them, kept for next time; truth is exact MaxSim on them. A
document counts as kept when it is among the first 10 of exact MaxSim and among the first 100 or 1,000 by its encoding.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.contract_table import ROOT, replace_between
from benchmarks.data import ALL, collections_folder
from engine import Ranking, evaluate
from engine.maxsim import maxsim_topk
from engine.maxsim.exact import score_chosen
from engine.muvera import FORMS, Encodings, Muvera, MuveraSettings
from engine.retrieval import id_order, top_positions
from engine.statistics import bootstrap, paired
from workbench.experiments.prepare import Prepared, prepare
from workbench.exports import Strong, markdown_table

DIMS = (1280, 2560, 5120, 10240)
KEPT = ("float16", "int8", "1bit")
DEPTHS = (100, 1000)
RERANKED = 100  # candidates that a small rerank scores
SHARES = (0.8, 0.9, 0.95)  # of questions whose best document is to be among the candidates
TIMED = 50
BLOCK = 32  # queries searched at once
PAGE = ROOT / "docs" / "systems.md"


def quality(positions: Sequence[np.ndarray], prepared: Prepared) -> dict[str, float]:
    """nDCG@10 of each judged query."""
    ids = list(prepared.collection.documents)
    rankings = [Ranking([ids[i] for i in row[:10]], np.zeros(min(len(row), 10), np.float32)) for row in positions]
    return evaluate(rankings, prepared.collection, metrics=["ndcg@10"]).per_query["ndcg@10"]


def first(positions: np.ndarray, scores: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """Candidates in the order of their exact scores."""
    return positions[top_positions(scores, ties[positions], len(positions))]


def compressed(whole: np.ndarray, form: str, present: np.ndarray) -> Encodings:
    """Encodings in a form, from those in full."""
    kept = Encodings.empty(len(whole), form, whole.shape[1])
    kept.put(0, whole, present)
    return kept


def needed(ranks: np.ndarray, share: float) -> int:
    """Candidates among which the best document by exact MaxSim is for a share of the questions."""
    return int(np.sort(ranks)[int(np.ceil(share * len(ranks))) - 1])


def ranked(prepared: Prepared, kept: Encodings, asked: np.ndarray, ties: np.ndarray) -> list[np.ndarray]:
    """The first 1,000 documents of each query by their encodings."""
    found: list[np.ndarray] = []
    for start in range(0, len(asked), BLOCK):
        found += [positions for positions, _ in kept.search(asked[start : start + BLOCK], max(DEPTHS), ties)]
    return found


def searched_ms(kept: Encodings, muvera: Muvera, prepared: Prepared, ties: np.ndarray) -> float:
    """Median milliseconds of encoding one query's vectors and finding its 1,000 candidates."""
    times = []
    for number in range(min(TIMED, len(prepared.queries))):
        query = prepared.queries.select([number])
        start = time.perf_counter()
        kept.search(muvera.encode_query(query), max(DEPTHS), ties)
        times.append((time.perf_counter() - start) * 1e3)
    return float(np.median(times))


def row(
    prepared: Prepared, kept: Encodings, muvera: Muvera, ties: np.ndarray, truth: np.ndarray, exact: dict[str, float]
) -> dict[str, Any]:
    """Everything about one dimension and form."""
    asked = muvera.encode_query(prepared.queries)
    found = ranked(prepared, kept, asked, ties)
    inside = [np.isin(best[:10], near) for best, near in zip(truth, found, strict=True)]
    record: dict[str, Any] = {
        "dim": kept.dim,
        "form": kept.form,
        "bytes_per_document": kept.nbytes / len(kept),
        "search_ms": searched_ms(kept, muvera, prepared, ties),
        "recall@1000": bootstrap([float(row.mean()) for row in inside]),
    }
    near = [np.isin(best[:10], positions[:100]).mean() for best, positions in zip(truth, found, strict=True)]
    record["recall@100"] = bootstrap(near)
    ranks = [int(np.flatnonzero(positions == best[0])[0]) + 1 if best[0] in positions else len(kept)
             for best, positions in zip(truth, found, strict=True)]  # fmt: skip
    record |= {f"candidates_{share:.0%}": needed(np.array(ranks), share) for share in SHARES}
    record["ndcg@10 alone"] = bootstrap(list(quality(found, prepared).values()))
    for depth in (RERANKED, max(DEPTHS)):
        ordered = []
        for number, positions in enumerate(found):
            chosen = np.sort(positions[:depth])
            scores = score_chosen(prepared.queries.select([number]), prepared.documents, chosen)[0]
            ordered.append(first(chosen, scores, ties))
        reranked = quality(ordered, prepared)
        record[f"ndcg@10 of {depth}"] = bootstrap(list(reranked.values()))
        record[f"difference of {depth}"] = paired(exact, reranked)
    return record


def collection(name: str, model: str, dims: Sequence[int], forms: Sequence[str]) -> dict[str, Any]:
    """All rows of one collection."""
    prepared = prepare(str(collections_folder() / name), model)
    documents, ties = prepared.documents, id_order(list(prepared.collection.documents))
    truth = maxsim_topk(prepared.queries, documents, 10, ties)[0]
    exact = quality(list(truth), prepared)
    rows = []
    for dim in dims:
        muvera = Muvera.make(documents.dim, MuveraSettings(dim=dim))
        start = time.perf_counter()
        whole = muvera.encode_document(documents)
        seconds = time.perf_counter() - start
        for form in forms:
            kept = compressed(whole, form, documents.lengths > 0)
            rows.append({"build_s": seconds, **row(prepared, kept, muvera, ties, truth, exact)})
            print(name, {key: value for key, value in rows[-1].items() if not isinstance(value, tuple)}, flush=True)
    return {
        "collection": name, "documents": len(documents), "queries": len(prepared.queries),
        "tokens_per_document": documents.n_tokens / len(documents),
        "token_bytes_per_document": documents.nbytes / len(documents), "vector_dim": documents.dim,
        "query_lengths": spread(np.linalg.norm(np.asarray(prepared.queries.values, np.float32), axis=1)),
        "exact": bootstrap(list(exact.values())), "model": prepared.model, "rows": rows,
    }  # fmt: skip


def spread(values: np.ndarray) -> list[float]:
    """Least, median and largest."""
    return [float(np.quantile(values, q)) for q in (0, 0.5, 1)]


def table(found: Sequence[dict[str, Any]]) -> str:
    """One row a dimension and form, one group of columns a collection, for the page."""
    parts = []
    for part in found:
        head = ("dim", "form", "bytes a document", "of exact's 10 in 100", "in 1,000", "candidates for 80 / 95%",
                "nDCG@10 alone", f"best {RERANKED} reranked", "best 1,000 reranked", "ms")  # fmt: skip
        rows = [
            (
                f"{entry['dim']:,}", entry["form"], f"{entry['bytes_per_document']:,.0f}",
                f"{entry['recall@100'][0]:.3f}", f"{entry['recall@1000'][0]:.3f}",
                f"{entry['candidates_80%']} / {entry['candidates_95%']}", f"{entry['ndcg@10 alone'][0]:.3f}",
                *(changed(entry, depth) for depth in (RERANKED, max(DEPTHS))), f"{entry['search_ms']:.1f}",
            )
            for entry in part["rows"]
        ]  # fmt: skip
        mean, low, high = part["exact"]
        parts.append(
            f"**{part['collection']}**, {part['documents']:,} documents of {part['tokens_per_document']:.0f} vectors, "
            f"{part['token_bytes_per_document']:,.0f} bytes; exact MaxSim {mean:.3f} ({low:.3f} to {high:.3f})\n\n"
            + markdown_table(head, rows).rstrip()
        )
    return "\n\n".join(parts)


def changed(entry: dict[str, Any], depth: int) -> str:
    """nDCG@10 after a rerank, and how far from exact MaxSim, with its interval; bold where that excludes zero."""
    value, (mean, low, high) = entry[f"ndcg@10 of {depth}"][0], entry[f"difference of {depth}"]
    text = f"{value:.3f}, {mean:+.3f} ({low:+.3f} to {high:+.3f})"
    return Strong(text) if low > 0 or high < 0 else text


def main() -> None:
    """Measure, and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collections", nargs="+", choices=ALL, default=ALL)
    parser.add_argument("--dims", nargs="+", type=int, default=DIMS)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=KEPT)
    parser.add_argument("--model", default="embedded")
    options = parser.parse_args()
    for name in options.collections:
        part = collection(name, options.model, options.dims, options.forms)
        if (tuple(options.dims), tuple(options.forms)) != (DIMS, KEPT):
            print(table([part]))
            continue
        text = PAGE.read_text(encoding="utf-8")
        found = machine.save_part("muvera", part, ALL)
        PAGE.write_text(replace_between(text, "muvera", table(found)), encoding="utf-8")


if __name__ == "__main__":
    main()
