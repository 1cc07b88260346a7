"""Encodings of documents as they are kept, and the search through them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.retrieval import check_k, top_positions

ZERO = 128  # the code of zero in int8
COLUMNS = 32  # queries of a panel; see `engine.simd.centroids`
BLOCK_SCORES = 1 << 22  # scores that are in memory at once


@dataclass(frozen=True, eq=False)
class Encodings:
    """One vector a document, kept in full or as integers with a scale; made by `Muvera.encode`.

    Args:
        form: "float32", "float16", "int8" or "1bit".
        dim: Dimension of an encoding.
        rows: float32 or float16 [n, dim]; uint8 [n, dim], `ZERO` for zero; or uint8 [n, dim / 8], bit b of byte j the
            sign of coordinate b * dim / 8 + j.
        scales: float32 [n], what one unit is worth; 1 in full.
        present: bool [n], False for a document without tokens, which is never found.
    """

    form: str
    dim: int
    rows: np.ndarray
    scales: np.ndarray
    present: np.ndarray

    @classmethod
    def empty(cls, documents: int, form: str, dim: int) -> Encodings:
        """Room for the encodings of some documents, none of them present yet."""
        dtype = {"float32": np.float32, "float16": np.float16}.get(form, np.uint8)
        rows = np.zeros((documents, dim // 8 if form == "1bit" else dim), dtype)
        return cls(form, dim, rows, np.ones(documents, np.float32), np.zeros(documents, bool))

    def put(self, start: int, encodings: np.ndarray, present: np.ndarray) -> None:
        """Fill room from a place on; for `Muvera.encode`, before anyone searches.

        Args:
            start: The first place.
            encodings: float32 [n, dim].
            present: bool [n].
        """
        places = slice(start, start + len(encodings))
        self.rows[places], self.scales[places] = quantised(encodings, self.form)
        self.present[places] = present

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """Bytes of the encodings and their scales."""
        return self.rows.nbytes + (self.scales.nbytes if self.form in ("int8", "1bit") else 0)

    def scores(self, queries: np.ndarray) -> np.ndarray:
        """The products of queries with the encodings as they are kept.

        Args:
            queries: float32 [m, dim], from `Muvera.encode_query`.

        Returns:
            float32 [m, n], the same at any number of threads and level of instructions; minus infinity for a document
            without tokens.

        Raises:
            InputError: encodings of another dimension.
        """
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise InputError(
                f"Expected encodings of queries [m, {self.dim}], got {list(queries.shape)}: encode them with the map "
                "of these documents."
            )
        if len(queries) == 0 or len(self) == 0:
            return np.empty((len(queries), len(self)), np.float32)
        queries = np.ascontiguousarray(queries, np.float32)
        found = (_byte_scores if self.rows.dtype == np.uint8 else _float_scores)(self, queries)
        found[~self.present] = -np.inf
        return np.ascontiguousarray(found.T)

    def search(
        self, queries: np.ndarray, k: int, tie_order: np.ndarray | None = None, among: np.ndarray | None = None
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """The documents whose encodings have the largest products with those of queries.

        Args:
            queries: float32 [m, dim].
            k: How many.
            tie_order: int [n], lower goes first among equal scores; positions when None.
            among: int64, positions of the documents that may be found; all when None.

        Returns:
            For each query int64 [at most k] positions, best first, and their float32 scores.

        Raises:
            InputError: k below 1, or encodings of another dimension.
        """
        check_k(k)
        everything = np.arange(len(self))
        among, ties = everything if among is None else among, everything if tie_order is None else tie_order
        part = self if len(among) == len(self) else self.chosen(among)
        found, step = [], max(BLOCK_SCORES // max(len(part), 1), 1)
        for start in range(0, len(queries), step):
            for row in part.scores(queries[start : start + step]):
                best = top_positions(row, ties[among], k)
                found.append((among[best], row[best]))
        return found

    def chosen(self, positions: np.ndarray) -> Encodings:
        """The encodings of some documents, in the order given."""
        return Encodings(self.form, self.dim, self.rows[positions], self.scales[positions], self.present[positions])


def quantised(encodings: np.ndarray, form: str) -> tuple[np.ndarray, np.ndarray]:
    """Bring encodings to the form in which they are kept.

    Args:
        encodings: float32 [n, dim].
        form: See `Encodings`.

    Returns:
        Rows and float32 [n] scales, as `Encodings` has them.

    Raises:
        InputError: a value that float16 cannot hold.
    """
    if form in ("float32", "float16"):
        rows = TokenEmbeddings(encodings, np.arange(len(encodings) + 1, dtype=np.int64)).astype(form).values
        return rows, np.ones(len(encodings), np.float32)
    if form == "int8":
        scales = np.abs(encodings).max(axis=1, initial=0) / np.float32(ZERO - 1)
        divisors = np.where(scales > 0, scales, np.float32(1))
        return (np.rint(encodings / divisors[:, None]) + ZERO).astype(np.uint8), scales.astype(np.float32)
    # The scale that leaves the least squared error beside the signs: the mean of the absolute values.
    scales = np.abs(encodings).mean(axis=1, dtype=np.float64).astype(np.float32)
    signs = (encodings > 0).reshape(len(encodings), 8, -1)
    return np.packbits(signs, axis=1, bitorder="little")[:, 0], scales


def _byte_scores(kept: Encodings, queries: np.ndarray) -> np.ndarray:
    """float32 [n, m]: codes stand for code - ZERO, or for -1 and 1."""
    from engine.muvera import cpu
    from engine.simd.jit import flat

    bits, rows, asked = kept.form == "1bit", flat(kept.rows), flat(queries)
    sums = np.empty((len(kept), len(queries)), np.float32)
    _in_parts(len(kept), lambda first, last: cpu.byte_products(rows, first, last, kept.dim, asked, bits, sums))
    step, zero = (2.0, 1.0) if bits else (1.0, float(ZERO))
    exact = step * sums - zero * queries.sum(axis=1, dtype=np.float64)
    return (exact * kept.scales[:, None]).astype(np.float32)


def _float_scores(kept: Encodings, queries: np.ndarray) -> np.ndarray:
    """float32 [n, m]."""
    from engine.muvera import cpu
    from engine.simd.jit import flat

    half = kept.form == "float16"
    rows = flat(kept.rows.view(np.uint16) if half else kept.rows)
    multiply = cpu.half_products if half else cpu.float_products
    scores = np.empty((len(kept), len(queries)), np.float32)
    for start in range(0, len(queries), COLUMNS):
        block = queries[start : start + COLUMNS]
        panel = np.zeros((kept.dim, COLUMNS), np.float32)
        panel[:, : len(block)] = block.T
        found = np.empty((len(kept), COLUMNS), np.float32)
        laid, out = panel.reshape(-1), found.reshape(-1)
        _in_parts(len(kept), lambda first, last: multiply(rows, first, last, kept.dim, laid, out))  # noqa: B023
        scores[:, start : start + len(block)] = found[:, : len(block)]
    return scores


def _in_parts(documents: int, work: Callable[[int, int], None]) -> None:
    """Call `work(first, last)` for runs of documents, on all threads."""
    from engine.simd import threads

    bounds = threads.cut(np.ones(documents, np.int64), 8 * threads.thread_count())
    threads.run_parts(lambda number: work(bounds[number], bounds[number + 1]), len(bounds) - 1)
