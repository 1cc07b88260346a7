"""Encoding on a CPU beside sentence-transformers, and the quality that int8 keeps.

`python -m benchmarks.bench_encode` prints tokens a second; with `--quality` also nDCG@10 of float32 and int8.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from benchmarks.data import SMALL, backbone_encoder, collections_folder, embedded_collection
from benchmarks.machine import describe, save, timed
from engine import Encoder, TokenEmbeddings, load_collection
from engine.maxsim import QuantizedDocuments, maxsim_topk


def int8_encoder() -> Encoder:
    """The encoder of the benchmarks with its linear layers in 8 bits."""
    from workbench.embedded.model import load

    model, note = load(device="cpu", head=None)
    return Encoder(model.eval(), "all-MiniLM-L6-v2", note).compute_in("int8")


def speed(texts: list[str], repeats: int) -> dict[str, Any]:
    """Tokens a second of each way to encode the same texts."""
    plain, narrow = backbone_encoder(), int8_encoder()
    tokens = plain.encode_document(texts).n_tokens
    ways = {
        "sentence-transformers defaults": lambda: plain.model.encode_document(texts),
        "float32": lambda: plain.encode_document(texts),
        "int8": lambda: narrow.encode_document(texts),
    }
    rows = {name: timed(work, repeats) for name, work in ways.items()}
    base = rows["sentence-transformers defaults"]
    for row in rows.values():
        row["tokens_a_second"] = tokens / row["wall_ms"] * 1e3
        row["times_as_fast"] = base["wall_ms"] / row["wall_ms"]
        row["times_as_fast_processor_time"] = base["processor_ms"] / row["processor_ms"]
    return {"texts": len(texts), "tokens": tokens, "ways": rows}


def ndcg(queries: TokenEmbeddings, documents: TokenEmbeddings, collection: Any, query_ids: list[str]) -> float:
    """Mean nDCG@10 of exact search."""
    from engine import Ranking, evaluate

    ids = list(collection.documents)
    best, scores = maxsim_topk(queries, QuantizedDocuments.build(documents), 10)
    rankings = [Ranking([ids[i] for i in row], row_scores) for row, row_scores in zip(best, scores, strict=True)]
    assert query_ids == list(collection.queries)
    return evaluate(rankings, collection, metrics=["ndcg@10"]).mean["ndcg@10"]


def quality(names: tuple[str, ...]) -> dict[str, Any]:
    """nDCG@10 with float32 and int8 vectors, and how close they are."""
    encoder, found = int8_encoder(), {}
    for name in names:
        reference = embedded_collection(name)
        collection = load_collection(collections_folder() / name)
        documents = encoder.encode_document(list(collection.documents.values()))
        queries = encoder.encode_query(list(collection.queries.values()))
        cosine = np.einsum(
            "td,td->t", documents.values.astype(np.float32), np.asarray(reference.documents.values, np.float32)
        )
        found[name] = {
            "float32": ndcg(reference.queries, reference.documents, collection, reference.query_ids),
            "int8": ndcg(queries, documents, collection, reference.query_ids),
            "mean_cosine": float(cosine.mean()),
            "least_cosine": float(cosine.min()),
        }
        found[name]["difference"] = found[name]["int8"] - found[name]["float32"]
        print(name, found[name], flush=True)
    return found


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=128, help="documents of cranfield to encode")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--quality", nargs="*", choices=SMALL, help="also measure nDCG@10; all three when none is named"
    )
    options = parser.parse_args()
    if options.quality is not None:
        save("encoding-quality", {"machine": describe(), "ndcg@10": quality(tuple(options.quality) or SMALL)})
        return
    texts = list(load_collection(collections_folder() / "cranfield").documents.values())[: options.texts]
    save("encoding", {"machine": describe(), **speed(texts, options.repeats)})


if __name__ == "__main__":
    main()
