"""The embedded model beside its untrained backbone and BM25: every row of the card in assets/head.

python -m benchmarks.bench_embedded                      # the shipped head
python -m benchmarks.bench_embedded --head FOLDER --collections embedded cranfield

nDCG@10 of scoring every document, vectors in float16, the backbone computed in the dtype that is shipped on this
machine. Heads are applied to the backbone's vectors, which are encoded once; the last row is the model as it is loaded.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contract_table import replace_between
from benchmarks.data import collections_folder
from benchmarks.embedded_head.fit_head import Pairs, encode
from benchmarks.machine import describe, save
from engine import Collection, Encoder, Ranking, TokenEmbeddings, evaluate, load_collection, maxsim, pool
from engine.late_head import LateHead
from engine.precision import choose_dtype, instructions
from engine.retrieval import id_order, top_positions
from workbench.cache import cached_embeddings
from workbench.embedded.model import DOCUMENT_LENGTH, HEAD, QUERY_LENGTH, load

COLLECTIONS = ("embedded", "cranfield", "cisi", "med", "npl")
FACTORS = (2, 4)
BLOCK = 512  # texts that a head turns into vectors at once


def ndcg(scores: Iterator[np.ndarray] | np.ndarray, collection: Collection) -> float:
    """Mean nDCG@10 of float32 scores, a row [documents] a query."""
    ids = list(collection.documents)
    order, rankings = id_order(ids), []
    for row in scores:
        best = top_positions(row, order, 10)
        rankings.append(Ranking([ids[i] for i in best], row[best]))
    return evaluate(rankings, collection, metrics=["ndcg@10"]).mean["ndcg@10"]


def rows_of_scores(queries: TokenEmbeddings, documents: TokenEmbeddings) -> Iterator[np.ndarray]:
    """MaxSim of one query at a time with every document."""
    for number in range(len(queries)):
        yield maxsim(queries.select([number]), documents)[0]


def bm25(collection: Collection) -> float:
    """BM25 of bm25s with its defaults, English stop words and stems."""
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    documents, queries = (
        bm25s.tokenize(list(texts.values()), stopwords="en", stemmer=stemmer, show_progress=False)
        for texts in (collection.documents, collection.queries)
    )
    retriever = bm25s.BM25()
    retriever.index(documents, show_progress=False)
    return ndcg((retriever.get_scores(tokens) for tokens in queries_as_lists(queries)), collection)


def queries_as_lists(tokenized: Any) -> list[list[str]]:
    """The tokens of each query as words, as bm25s scores them."""
    words = {number: word for word, number in tokenized.vocab.items()}
    return [[words[number] for number in ids] for ids in tokenized.ids]


def backbone(collection: Collection) -> Pairs:
    """The untrained model's vectors of a collection, in the shipped dtype, kept for next time."""
    model, note = load("cpu", head=None)
    model.eval()
    dtype, _ = choose_dtype("embedded", "cpu", instructions("cpu"))
    encoder = Encoder(model, "all-MiniLM-L6-v2", note).compute_in(dtype)
    queries, documents = list(collection.queries.values()), list(collection.documents.values())
    query_ids, document_ids = (
        model.tokenizer(texts, truncation=True, max_length=length)["input_ids"]
        for texts, length in ((queries, QUERY_LENGTH), (documents, DOCUMENT_LENGTH))
    )
    vectors = cached_embeddings(encoder, queries, "query"), cached_embeddings(encoder, documents, "document")
    return Pairs(query_ids, document_ids, *vectors)


def applied(head: LateHead, vectors: Pairs) -> tuple[TokenEmbeddings, TokenEmbeddings]:
    """A head's vectors of queries and documents, in float16."""
    import torch

    sides = []
    for side, (ids, given) in enumerate(
        ((vectors.query_ids, vectors.queries), (vectors.document_ids, vectors.documents))
    ):
        parts = []
        for start in range(0, len(ids), BLOCK):
            rows = range(start, min(start + BLOCK, len(ids)))
            piece, chosen = given.select(list(rows)), [ids[i] for i in rows]
            with torch.no_grad():
                made = encode(head, Pairs(chosen, chosen, piece, piece))[side]
            parts.append(TokenEmbeddings(made.values.numpy().astype(np.float16), made.offsets.numpy()))
        joined = TokenEmbeddings.from_list([array for part in parts for array in part])
        sides.append(replace(joined, added=len(head.added_tokens)))
    return sides[0], sides[1]


def without_means(vectors: TokenEmbeddings) -> TokenEmbeddings:
    """Only the tokens of the texts."""
    return TokenEmbeddings.from_list([array[:-2] for array in vectors])


def measure(name: str, folder: Path) -> dict[str, float]:
    """Every row of the table, on one collection."""
    collection = load_collection(name if name == "embedded" else collections_folder() / name)
    vectors = backbone(collection)
    means = [np.add.reduceat(np.asarray(side.values, np.float32), side.offsets[:-1], axis=0)
             for side in (vectors.queries, vectors.documents)]  # fmt: skip
    unit = [values / np.linalg.norm(values, axis=1, keepdims=True) for values in means]
    found = {
        "BM25 (bm25s)": bm25(collection),
        "one mean vector, untrained": ndcg(unit[0] @ unit[1].T, collection),
        "MaxSim, 384 dimensions, untrained": ndcg(rows_of_scores(vectors.queries, vectors.documents), collection),
    }
    found |= rows_of_head(LateHead.load(str(folder)).float().eval(), vectors, collection)
    if folder == HEAD:
        encoder = Encoder.load("embedded", device="cpu")
        queries = cached_embeddings(encoder, list(collection.queries.values()), "query")
        documents = cached_embeddings(encoder, list(collection.documents.values()), "document")
        found[f"as it is loaded, {encoder.dim} dimensions, {encoder.dtype}"] = ndcg(
            rows_of_scores(queries, documents), collection
        )
    return found


def rows_of_head(head: LateHead, vectors: Pairs, collection: Collection) -> dict[str, float]:
    """The head at its dimensions, without each of its parts, and with pooled documents."""
    import torch

    found = {}
    queries, documents = applied(head, vectors)
    for dim in head.nested:
        found[f"the head, {dim} dimensions"] = ndcg(
            rows_of_scores(queries.prefix(dim), documents.prefix(dim)), collection
        )
    bare = without_means(queries), without_means(documents)
    found["without mean tokens"] = ndcg(rows_of_scores(*bare), collection)
    for factor in FACTORS:
        found[f"pool factor {factor}"] = ndcg(rows_of_scores(queries, pool(documents, factor)), collection)
    with torch.no_grad():
        head.query_weights.fill_(1.0)
    unweighted, _ = applied(head, vectors)
    found["without query weights"] = ndcg(rows_of_scores(unweighted, documents), collection)
    return found


def main() -> None:
    """Measure, print a table, write the record and, for the shipped head, the table of its card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", type=Path, default=HEAD, help="folder of a head")
    parser.add_argument("--collections", nargs="+", default=COLLECTIONS)
    options = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    for name in options.collections:
        for label, value in measure(name, options.head).items():
            found.setdefault(label, {})[name] = value
        print(name, {label: round(values[name], 4) for label, values in found.items()}, flush=True)
    lines = [f"| | {' | '.join(options.collections)} | mean |", f"{'| --- ' * (len(options.collections) + 2)}|"]
    for label, values in found.items():
        row = [*values.values(), float(np.mean(list(values.values())))]
        lines.append(f"| {label} | {' | '.join(f'{value:.4f}' for value in row)} |")
    print("\n".join(lines))
    if options.head == HEAD:
        card = HEAD / "README.md"
        page = replace_between(card.read_text(encoding="utf-8"), "quality", "\n".join(lines))
        card.write_text(page, encoding="utf-8")
    save("embedded-model", {"machine": describe(), "ndcg@10": found})


if __name__ == "__main__":
    main()
