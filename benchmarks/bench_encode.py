"""Encoding on a CPU beside sentence-transformers, and the quality that narrower numbers keep.

`python -m benchmarks.bench_encode` prints tokens a second; with `--quality` instead nDCG@10 of every dtype.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from benchmarks.data import SMALL, collections_folder, embedded_collection
from benchmarks.machine import RESULTS, describe, save, timed
from engine import Encoder, TokenEmbeddings, load_collection
from engine.maxsim import QuantizedDocuments, maxsim_topk
from engine.precision import choose_dtype, instructions

DTYPES = ("float32", "bfloat16", "int8")


def encoder_in(dtype: str) -> Encoder:
    """The encoder of the benchmarks, computing in a dtype."""
    from workbench.embedded.model import load

    model, note = load(device="cpu", head=None)
    return Encoder(model.eval(), "all-MiniLM-L6-v2", note).compute_in(dtype)


def speed(texts: list[str], questions: list[str], repeats: int) -> dict[str, Any]:
    """Tokens a second of each way to encode the same texts, and milliseconds of one question alone."""
    encoders = {dtype: encoder_in(dtype) for dtype in DTYPES}
    plain = encoders["float32"]
    tokens = plain.encode_document(texts).n_tokens
    ways: dict[str, Any] = {"sentence-transformers defaults": lambda: plain.model.encode_document(texts)}
    ways |= {name: lambda e=encoder: e.encode_document(texts) for name, encoder in encoders.items()}
    rows = {name: timed(work, repeats) for name, work in ways.items()}
    base = rows["sentence-transformers defaults"]
    for row in rows.values():
        row["tokens_a_second"] = tokens / row["wall_ms"] * 1e3
        row["times_as_fast"] = base["wall_ms"] / row["wall_ms"]
        row["times_as_fast_processor_time"] = base["processor_ms"] / row["processor_ms"]
    single: dict[str, Any] = {"sentence-transformers defaults": plain.model.encode_query}
    single |= {name: encoder.encode_query for name, encoder in encoders.items()}
    one = {name: timed(lambda e=e: [e([q]) for q in questions], repeats) for name, e in single.items()}
    return {
        "texts": len(texts),
        "tokens": tokens,
        "auto": dict(zip(("dtype", "why"), choose_dtype("embedded", "cpu", instructions("cpu")), strict=True)),
        "ways": rows,
        "one_query_ms": {name: row["wall_ms"] / len(questions) for name, row in one.items()},
    }


def ndcg(queries: TokenEmbeddings, documents: TokenEmbeddings, collection: Any, query_ids: list[str]) -> float:
    """Mean nDCG@10 of exact search."""
    from engine import Ranking, evaluate

    ids = list(collection.documents)
    best, scores = maxsim_topk(queries, QuantizedDocuments.build(documents), 10)
    rankings = [Ranking([ids[i] for i in row], row_scores) for row, row_scores in zip(best, scores, strict=True)]
    assert query_ids == list(collection.queries)
    return evaluate(rankings, collection, metrics=["ndcg@10"]).mean["ndcg@10"]


def quality(names: tuple[str, ...], dtypes: tuple[str, ...]) -> dict[str, Any]:
    """nDCG@10 with float32 vectors and with others, and how close they are."""
    found: dict[str, Any] = {}
    for name in names:
        reference = embedded_collection(name)
        collection = load_collection(collections_folder() / name)
        base = ndcg(reference.queries, reference.documents, collection, reference.query_ids)
        found[name] = {"float32": {"ndcg@10": base}}
        for dtype in dtypes:
            encoder = encoder_in(dtype)
            documents = encoder.encode_document(list(collection.documents.values()))
            queries = encoder.encode_query(list(collection.queries.values()))
            cosine = np.einsum(
                "td,td->t", documents.values.astype(np.float32), np.asarray(reference.documents.values, np.float32)
            )
            reached = ndcg(queries, documents, collection, reference.query_ids)
            found[name][dtype] = {
                "ndcg@10": reached,
                "difference": reached - base,
                "mean_cosine": float(cosine.mean()),
                "least_cosine": float(cosine.min()),
            }
            print(name, dtype, found[name][dtype], flush=True)
    return found


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=128, help="documents of cranfield to encode")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--quality", nargs="*", choices=SMALL, help="also measure nDCG@10; all three when none is named"
    )
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES[1:], default=DTYPES[1:], help="for --quality")
    options = parser.parse_args()
    if options.quality is not None:
        dtypes = tuple(options.dtypes)
        path = RESULTS / "encoding-quality.json"
        known = json.loads(path.read_text())["collections"] if path.exists() else {}
        for name in tuple(options.quality) or SMALL:
            known[name] = known.get(name, {}) | quality((name,), dtypes)[name]
            save("encoding-quality", {"machine": describe(), "collections": known})
        return
    collection = load_collection(collections_folder() / "cranfield")
    texts, questions = list(collection.documents.values())[: options.texts], list(collection.queries.values())[:20]
    save("encoding", {"machine": describe(), **speed(texts, questions, options.repeats)})


if __name__ == "__main__":
    main()
