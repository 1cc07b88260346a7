"""The error map of a pair: exact minus compressed similarity, token by token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine import TokenEmbeddings
from engine.errors import InputError
from engine.indexes import Index


@dataclass(frozen=True, eq=False)
class ErrorMap:
    """What compression did to the similarities of one query and one document.

    Args:
        document: Its id.
        exact: float32 [q, d], similarities on the original vectors.
        stored: float32 [q, d], on the vectors that the index stores.
        error: float32 [q, d], exact minus stored.
        best_exact: int64 [q], the best document token of each query token on the original vectors.
        best_stored: int64 [q], the same on the stored vectors.
        contribution_error: float32 [q], what each query token adds to the exact score minus what it adds to the
            stored score; sums to `score_error`.
        score_exact: MaxSim on the original vectors.
        score_stored: MaxSim on the stored vectors.
    """

    document: str
    exact: np.ndarray
    stored: np.ndarray
    error: np.ndarray
    best_exact: np.ndarray
    best_stored: np.ndarray
    contribution_error: np.ndarray
    score_exact: float
    score_stored: float

    @property
    def score_error(self) -> float:
        """Exact score minus stored score."""
        return self.score_exact - self.score_stored

    @property
    def rms(self) -> float:
        """Root of the mean squared error of a similarity."""
        return float(np.sqrt((self.error.astype(np.float64) ** 2).mean()))

    @property
    def moved(self) -> np.ndarray:
        """Bool [q], query tokens whose best document token changed."""
        return self.best_exact != self.best_stored


def error_map(index: Index, query: np.ndarray, document: str, original: np.ndarray) -> ErrorMap:
    """Compare the similarities of a pair before and after the index stored the document.

    Args:
        index: It holds the document and gives back what it stores.
        query: [q, dim] float16 or float32, q at least 1.
        document: Its id.
        original: [d, dim], its vectors before they were indexed.

    Returns:
        The map.

    Raises:
        NotFoundError: the document is not in the index.
        UnsupportedError: the kind cannot give back what it stores.
        InputError: shapes do not fit.
    """
    kept: TokenEmbeddings = index.stored([document])
    if query.ndim != 2 or len(query) == 0 or original.shape != kept.values.shape or query.shape[1] != kept.dim:
        raise InputError(
            f"Expected a query [q, {kept.dim}] and the original vectors {list(kept.values.shape)} of {document!r}, got "
            f"{list(query.shape)} and {list(original.shape)}: pass the vectors that were indexed."
        )
    question = query.astype(np.float32)
    exact, stored = question @ original.astype(np.float32).T, question @ kept.values.astype(np.float32).T
    rows = np.arange(len(question))
    best_exact, best_stored = exact.argmax(axis=1), stored.argmax(axis=1)
    before, after = exact[rows, best_exact], stored[rows, best_stored]
    return ErrorMap(
        document, exact, stored, exact - stored, best_exact, best_stored, before - after,
        float(before.sum()), float(after.sum()),
    )  # fmt: skip
