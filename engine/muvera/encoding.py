"""From token vectors to fixed dimensional encodings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.muvera.settings import Layout, MuveraSettings
from engine.muvera.stored import Encodings

COLUMNS = 32  # of a panel; see `engine.simd.centroids`
BLOCK_BYTES = 1 << 26  # encodings in float32 that are in memory at once, beside what is kept
Progress = Callable[[int, int], None]  # documents done, documents


@dataclass(frozen=True, eq=False)
class Muvera:
    """A map from texts of token vectors to one vector each; use `make`.

    Args:
        settings: What was asked for.
        layout: What follows from it.
        planes: float32 [repetitions, k_sim, vector dim], normals of the hyperplanes.
        projections: float32 [repetitions, projection, vector dim], or [1, vector dim, vector dim], the identity.
        buckets: int64 [layout.width], where a coordinate goes in the final projection; empty without one.
        flips: float32, the sign that it gets there.
    """

    settings: MuveraSettings
    layout: Layout
    planes: np.ndarray
    projections: np.ndarray
    buckets: np.ndarray
    flips: np.ndarray

    @classmethod
    def make(cls, vector_dim: int, settings: MuveraSettings | None = None) -> Muvera:
        """Draw hyperplanes and projections.

        Args:
            vector_dim: Dimension of the token vectors.
            settings: The defaults when None.

        Returns:
            The map; the same for the same arguments.

        Raises:
            InputError: settings that do not fit the dimension.
        """
        settings = settings or MuveraSettings()
        layout = settings.layout(vector_dim)
        shape = (layout.repetitions, layout.k_sim, vector_dim)
        planes = np.random.default_rng([settings.seed, 0]).standard_normal(shape, np.float32)
        projections = np.eye(vector_dim, dtype=np.float32)[None]
        if layout.projection < vector_dim:
            signs = _signs([settings.seed, 1], (layout.repetitions, layout.projection, vector_dim))
            projections = signs / np.float32(np.sqrt(layout.projection))
        buckets, flips = np.empty(0, np.int64), np.empty(0, np.float32)
        if layout.width > layout.dim:
            buckets = np.random.default_rng([settings.seed, 2]).integers(0, layout.dim, layout.width)
            flips = _signs([settings.seed, 3], (layout.width,))
        return cls(settings, layout, planes, projections, buckets, flips)

    @property
    def vector_dim(self) -> int:
        """Dimension of the token vectors."""
        return self.planes.shape[2]

    def encode_query(self, queries: TokenEmbeddings) -> np.ndarray:
        """Encode queries: sums of the tokens in each part of space, so that a token counts by its length.

        Args:
            queries: m queries.

        Returns:
            float32 [m, dim]; its product with the encoding of a document approximates their MaxSim.

        Raises:
            InputError: another dimension, or a vector that holds NaN or infinity.
        """
        self._check(queries, [f"query {i}" for i in range(len(queries))])
        return self._encoded(queries, document=False) / np.float32(self.layout.repetitions)

    def encode_document(self, documents: TokenEmbeddings) -> np.ndarray:
        """Encode documents: averages of the tokens in each part of space; an empty one has the nearest token.

        Args:
            documents: n documents.

        Returns:
            float32 [n, dim], zeros for a document without tokens; `encode` keeps many in less memory.

        Raises:
            InputError: another dimension, or a vector that holds NaN or infinity.
        """
        self._check(documents)
        return self._encoded(documents, document=True)

    def encode(self, documents: TokenEmbeddings, progress: Progress | None = None) -> Encodings:
        """Encode documents block by block, and keep them in the form of the settings.

        Args:
            documents: n documents.
            progress: Called with (documents done, n).

        Returns:
            n encodings, ready to be searched.

        Raises:
            InputError: another dimension, or a vector that holds NaN or infinity.
        """
        self._check(documents)
        kept = Encodings.empty(len(documents), self.settings.form, self.layout.dim)
        step = max(BLOCK_BYTES // (4 * self.layout.dim), 1)
        for start in range(0, len(documents), step):
            block = documents[start : start + step]
            kept.put(start, self._encoded(block, document=True), block.lengths > 0)
            if progress is not None:
                progress(start + len(block), len(documents))
        return kept

    def _check(self, texts: TokenEmbeddings, names: list[str] | None = None) -> None:
        if texts.dim != self.vector_dim and texts.n_tokens:
            raise InputError(
                f"Expected vectors of dimension {self.vector_dim}, those that this encoding was made for, got "
                f"{texts.dim}: make one for them."
            )
        texts.check(names)

    def _encoded(self, texts: TokenEmbeddings, document: bool) -> np.ndarray:
        """float32 [n, dim], each text by one thread."""
        from engine.muvera import cpu
        from engine.simd import threads

        out = np.zeros((len(texts), self.layout.dim), np.float32)
        if len(texts) == 0 or texts.n_tokens == 0:
            return out
        planes, (panels, chunks) = self._plane_panels, self._projection_panels
        bounds = threads.cut(texts.lengths + 1, 8 * threads.thread_count())

        def part(number: int) -> None:
            first, last = bounds[number], bounds[number + 1]
            offsets = texts.offsets[first : last + 1]
            rows = np.array(texts.values[offsets[0] : offsets[-1]], np.float32).reshape(-1)
            cpu.encode(
                rows, offsets - offsets[0], self.vector_dim, planes, self.layout.k_sim, panels, chunks,
                self.layout.projection, self.buckets, self.flips, document, out[first:last],
            )  # fmt: skip

        threads.run_parts(part, len(bounds) - 1)
        return out

    @cached_property
    def _plane_panels(self) -> np.ndarray:
        """The hyperplanes in panels of 32 columns, those of a repetition in one panel."""
        return _panels(
            [turn.reshape(-1, self.vector_dim) for turn in _groups(self.planes, COLUMNS // self.layout.k_sim)]
        )

    @cached_property
    def _projection_panels(self) -> tuple[np.ndarray, np.ndarray]:
        """The projections in panels of 32 columns, and where each repetition finds its pieces: see `cpu.encode`."""
        width = self.layout.projection
        pieces, beside = -(-width // COLUMNS), max(COLUMNS // width, 1)
        if pieces == 1:
            rows = [turn.reshape(-1, self.vector_dim) for turn in _groups(self.projections, beside)]
        else:
            rows = [turn[at : at + COLUMNS] for turn in self.projections for at in range(0, width, COLUMNS)]
        chunks = np.empty((self.layout.repetitions, pieces, 4), np.int64)
        for turn in range(self.layout.repetitions):
            own = turn if len(self.projections) > 1 else 0
            for piece in range(pieces):
                panel, column = (own * pieces + piece, 0) if pieces > 1 else (own // beside, own % beside * width)
                chunks[turn, piece] = panel, column, piece * COLUMNS, min(width - piece * COLUMNS, COLUMNS)
        return _panels(rows), chunks


def _signs(seed: list[int], shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, shape).astype(np.float32) * 2 - 1


def _groups(items: np.ndarray, size: int) -> list[np.ndarray]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _panels(rows: list[np.ndarray]) -> np.ndarray:
    """Panels [dim, 32] of up to 32 rows each, padded with zeros, one after the other."""
    laid = np.zeros((len(rows), rows[0].shape[1], COLUMNS), np.float32)
    for panel, group in zip(laid, rows, strict=True):
        panel[:, : len(group)] = group.T
    return laid.reshape(-1)
