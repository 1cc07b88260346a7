"""The embedded model beside its untrained backbone: nDCG@10 of scoring every document of five collections.

python -m benchmarks.bench_embedded                      # assets/head
python -m benchmarks.bench_embedded --head FOLDER --head OTHER

Rows: one mean vector, MaxSim at 384 dimensions, the teacher of `workbench.embedded.teacher`, and each head, with the
adapter that lies beside it. Vectors in float16.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.data import backbone_encoder, embedded_collection
from benchmarks.machine import describe, save
from engine import Collection, Encoder, Ranking, TokenEmbeddings, evaluate, load_collection, maxsim
from engine.retrieval import id_order, top_positions
from workbench.embedded.model import DOCUMENT_LENGTH, HEAD, QUERY_LENGTH, load
from workbench.embedded.teacher import Teacher, means

COLLECTIONS = ("embedded", "cranfield", "cisi", "med", "npl")


def ndcg(scores: np.ndarray, collection: Collection) -> float:
    """Mean nDCG@10 of float32 scores [queries, documents]."""
    ids = list(collection.documents)
    order, rankings = id_order(ids), []
    for row in scores:
        best = top_positions(row, order, 10)
        rankings.append(Ranking([ids[i] for i in best], row[best]))
    return evaluate(rankings, collection, metrics=["ndcg@10"]).mean["ndcg@10"]


def untrained(name: str) -> tuple[Collection, TokenEmbeddings, TokenEmbeddings]:
    """A collection with its queries' and documents' vectors at 384 dimensions."""
    if name != "embedded":
        part = embedded_collection(name)
        return part.collection, part.queries, part.documents
    return encode(backbone_encoder(), load_collection("embedded"))


def encode(encoder: Encoder, collection: Collection) -> tuple[Collection, TokenEmbeddings, TokenEmbeddings]:
    """Queries and documents in float16."""
    queries = encoder.encode_query(list(collection.queries.values()))
    documents = encoder.encode_document(list(collection.documents.values()))
    return collection, queries.astype("float16"), documents.astype("float16")


def backbone_scores(name: str) -> dict[str, float]:
    """The rows that need no head, on one collection."""
    collection, queries, documents = untrained(name)
    tokenizer = backbone_encoder().model.tokenizer
    query_ids, document_ids = (
        tokenizer(list(texts.values()), truncation=True, max_length=length)["input_ids"]
        for texts, length in ((collection.queries, QUERY_LENGTH), (collection.documents, DOCUMENT_LENGTH))
    )
    teacher = Teacher(query_ids, document_ids, queries, documents)
    single = means(queries, np.ones(queries.n_tokens)) @ means(documents, np.ones(documents.n_tokens)).T
    return {
        "one mean vector, untrained": ndcg(single, collection),
        "MaxSim, 384 dimensions, untrained": ndcg(maxsim(queries, documents), collection),
        "the teacher": ndcg(teacher.scores(), collection),
    }


def head_score(folder: Path, name: str) -> float:
    """MaxSim at the head's dimensions, on one collection."""
    model, note = load(device="cpu", head=folder)
    model.eval()
    collection = load_collection("embedded") if name == "embedded" else embedded_collection(name).collection
    return ndcg(maxsim(*encode(Encoder(model, "embedded", note), collection)[1:]), collection)


def main() -> None:
    """Measure, print a table and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", type=Path, action="append", help="folder of a head; may be repeated")
    parser.add_argument("--collections", nargs="+", default=COLLECTIONS)
    options = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    for name in options.collections:
        values = backbone_scores(name)
        for folder in options.head or [HEAD]:
            values[f"{folder.parent.name}/{folder.name}"] = head_score(folder, name)
        for label, value in values.items():
            found.setdefault(label, {})[name] = value
        print(name, values, flush=True)
    print(f"| | {' | '.join(options.collections)} | mean |\n{'| --- ' * (len(options.collections) + 2)}|")
    for label, values in found.items():
        row = [*values.values(), float(np.mean(list(values.values())))]
        print(f"| {label} | {' | '.join(f'{value:.4f}' for value in row)} |")
    save("embedded-model", {"machine": describe(), "ndcg@10": found})


if __name__ == "__main__":
    main()
