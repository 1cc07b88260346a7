"""Token vectors that every benchmark shares, computed once and kept in a cache folder.

`python -m benchmarks.data --cache FOLDER` fills the cache; the benchmarks call `small_set()`, `all_set()` and, for the
vectors of the embedded model with its head, `trained_collection()`.
The vectors are those of all-MiniLM-L6-v2 with no head: documents cut at 256 tokens, queries at 64, 384 dimensions,
float16, computed in float32, or with `--dtype bfloat16` faster and at a mean cosine of .9999; the sets are brought to
96 dimensions by one projection (the leading eigenvectors of the second moments of the small set's document tokens) and
normalised.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from engine import Collection, Encoder, TokenEmbeddings, load_collection

SMALL = ("cranfield", "cisi", "med")
ALL = (*SMALL, "npl", "medquad")
DIM = 96


@dataclass(frozen=True)
class Embedded:
    """One collection, or several joined, with vectors.

    Args:
        collection: Texts and judgements; joined ids are "cranfield/17".
        ids: n document ids, in the order of `documents`.
        documents: n documents.
        query_ids: m query ids, in the order of `queries`.
        queries: m queries.
    """

    collection: Collection
    ids: list[str]
    documents: TokenEmbeddings
    query_ids: list[str]
    queries: TokenEmbeddings


def cache_folder(folder: str | Path | None = None) -> Path:
    """The cache: the argument, else $WORKBENCH_BENCHMARK_CACHE, else "benchmarks" in $WORKBENCH_HOME or user data."""
    chosen = folder or os.environ.get("WORKBENCH_BENCHMARK_CACHE")
    if chosen:
        return Path(chosen)
    if home := os.environ.get("WORKBENCH_HOME"):
        return Path(home) / "benchmarks"
    from platformdirs import user_data_dir

    return Path(user_data_dir("late-interaction-workbench", appauthor=False)) / "benchmarks"


def collections_folder() -> Path:
    """Where the test collections lie: $WORKBENCH_COLLECTIONS, else beside the repository."""
    default = Path(__file__).resolve().parents[2] / "shared" / "collections"
    return Path(os.environ.get("WORKBENCH_COLLECTIONS", default))


@cache
def backbone_encoder(dtype: str = "float32") -> Encoder:
    """The encoder of the cached vectors: the packaged backbone without a head, on the CPU."""
    from workbench.embedded.model import load

    model, note = load(device="cpu", head=None)
    model.eval()
    return Encoder(model, "all-MiniLM-L6-v2", note).compute_in(dtype)


def _encoded(folder: Path, kind: str, texts: list[str], dtype: str, head: bool = False) -> TokenEmbeddings:
    path = folder / kind
    if not (path / "manifest.json").exists():
        encoder = Encoder.load("embedded", "cpu", dtype) if head else backbone_encoder(dtype)
        encode = encoder.encode_query if kind == "queries" else encoder.encode_document

        def progress(done: int, total: int) -> None:
            if sys.stdout.isatty() or done == total:
                print(f"\r{path}: {done}/{total}", end="\n" if done == total else "", flush=True)

        encode(texts, progress).astype("float16").save(path)
    return TokenEmbeddings.open(path)


def embedded_collection(name: str, folder: str | Path | None = None, dtype: str = "float32") -> Embedded:
    """One test collection at 384 dimensions, float16; encoded on the first call.

    Args:
        name: "cranfield", "cisi", "med", "npl" or "medquad".
        folder: See `cache_folder`.
        dtype: What the model computes in, "float32" or "bfloat16"; what is cached stays as it is.
    """
    collection = load_collection(collections_folder() / name)
    path = cache_folder(folder) / f"{name}-384"
    documents = _encoded(path, "documents", list(collection.documents.values()), dtype)
    queries = _encoded(path, "queries", list(collection.queries.values()), dtype)
    return Embedded(collection, list(collection.documents), documents, list(collection.queries), queries)


def trained_collection(name: str, dim: int | None = None, folder: str | Path | None = None) -> Embedded:
    """One collection by the embedded model with its head; encoded on the first call, documents with 8-bit layers.

    Args:
        name: One of ALL, or "dictionary", which is made of two packages of Debian (`benchmarks.dictionary`).
        dim: Leading dimensions to keep; all when None.
        folder: See `cache_folder`.
    """
    from benchmarks.dictionary import collection as dictionary

    found = dictionary(cache_folder(folder) / "debian") if name == "dictionary" else None
    collection = found or load_collection(collections_folder() / name)
    path, sides = cache_folder(folder) / f"{name}-trained", {}
    texts = {"documents": list(collection.documents.values()), "queries": list(collection.queries.values())}
    for kind, dtype in (("documents", "int8"), ("queries", "float32")):
        whole = _encoded(path, kind, texts[kind], dtype, head=True)
        sides[kind] = whole if dim is None else whole.prefix(dim)
    return Embedded(
        collection, list(collection.documents), sides["documents"], list(collection.queries), sides["queries"]
    )


def projection(folder: str | Path | None = None) -> np.ndarray:
    """[384, 96] float32, the same for every set."""
    path = cache_folder(folder) / "projection.npy"
    if not path.exists():
        moments = np.zeros((384, 384))
        for name in SMALL:
            documents = embedded_collection(name, folder).documents
            for start in range(0, documents.n_tokens, 65536):
                block = documents.values[start : start + 65536].astype(np.float64)
                moments += block.T @ block
        _, vectors = np.linalg.eigh(moments)
        np.save(path, np.ascontiguousarray(vectors[:, ::-1][:, :DIM]).astype(np.float32))
    return np.load(path)


def project(embeddings: TokenEmbeddings, matrix: np.ndarray) -> TokenEmbeddings:
    """Bring vectors to fewer dimensions and to length 1, float16, block by block."""
    values = np.empty((embeddings.n_tokens, matrix.shape[1]), np.float16)
    for start in range(0, len(values), 65536):
        block = embeddings.values[start : start + 65536].astype(np.float32) @ matrix
        values[start : start + 65536] = block / np.maximum(np.linalg.norm(block, axis=1, keepdims=True), 1e-12)
    return TokenEmbeddings(values, embeddings.offsets, f"{embeddings.fingerprint}-{matrix.shape[1]}")


def _joined(names: tuple[str, ...], label: str, folder: str | Path | None) -> Embedded:
    path = cache_folder(folder) / label
    parts = [load_collection(collections_folder() / name) for name in names]
    merged = Collection(
        {f"{n}/{i}": text for n, part in zip(names, parts, strict=True) for i, text in part.documents.items()},
        {f"{n}/{i}": text for n, part in zip(names, parts, strict=True) for i, text in part.queries.items()},
        {
            f"{n}/{q}": {f"{n}/{d}": grade for d, grade in grades.items()}
            for n, part in zip(names, parts, strict=True)
            for q, grades in part.qrels.items()
        },
        label,
    )
    ids, query_ids = list(merged.documents), list(merged.queries)
    if not (path / "ids.json").exists():
        matrix = projection(folder)
        for kind in ("documents", "queries"):
            sides = [project(getattr(embedded_collection(name, folder), kind), matrix) for name in names]
            lengths = np.concatenate([side.lengths for side in sides])
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
            values = np.concatenate([side.values for side in sides])
            TokenEmbeddings(values, offsets, sides[0].fingerprint).save(path / kind)
        (path / "ids.json").write_text(json.dumps({"documents": ids, "queries": query_ids}))
    documents, queries = (TokenEmbeddings.open(path / kind) for kind in ("documents", "queries"))
    return Embedded(merged, ids, documents, query_ids, queries)


def small_set(folder: str | Path | None = None) -> Embedded:
    """cranfield, cisi and med joined: 3,891 documents at 96 dimensions, float16, memory-mapped.

    Args:
        folder: See `cache_folder`.
    """
    return _joined(SMALL, "small", folder)


def all_set(folder: str | Path | None = None) -> Embedded:
    """All five collections joined: 28,909 documents at 96 dimensions, float16, memory-mapped.

    Args:
        folder: See `cache_folder`.
    """
    return _joined(ALL, "all", folder)


def main() -> None:
    """Fill the cache."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", help="cache folder")
    parser.add_argument("--set", choices=[*ALL, "small", "all", "dictionary"], default="small", help="what to compute")
    parser.add_argument("--trained", action="store_true", help="by the embedded model with its head")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="for one collection")
    options = parser.parse_args()
    if options.set == "dictionary" or options.trained:
        found = trained_collection(options.set, folder=options.cache)
    elif options.set in ALL:
        found = embedded_collection(options.set, options.cache, options.dtype)
    else:
        found = (small_set if options.set == "small" else all_set)(options.cache)
    print(f"{len(found.documents)} documents, {found.documents.n_tokens} tokens, {len(found.queries)} queries")


if __name__ == "__main__":
    main()
