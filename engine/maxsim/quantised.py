"""Documents in 7- or 8-bit codes with what is needed to prove how far a score on the codes can be from the exact one.

A component is code x step, with one step a dimension, so that the query is multiplied by the steps before it is rounded
to int8. With d = d' + r and steps * q = unit * z + e, where d' and z are what the codes hold,

    q . d  =  unit * (z . codes)  +  e . codes  +  q . r,     |e . codes| <= |e| |codes|,     |q . r| <= |q| |r|

(Cauchy and Schwarz), and a maximum over tokens moves by no more than its arguments do. Every document keeps the largest
|codes| and |r| of its tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.simd.features import ONE_BYTE_LIMIT

INT16, INT32 = 32767, 2**31 - 1


@dataclass(frozen=True, eq=False)
class QuantizedDocuments:
    """Token vectors in integer codes, beside the vectors themselves; build it once for many queries.

    Args:
        documents: n documents, kept for the exact scores.
        codes: uint8 [tokens, dim padded to a multiple of 4]; `engine.simd.levels.Level.zero` stands for zero.
        steps: float64 [dim], what one unit of a code is worth.
        norms: float64 [n, 5], the largest norms of each document's tokens: what rounding left, codes over the even
            pairs of dimensions, over the odd pairs, over all, and the vectors.
    """

    documents: TokenEmbeddings
    codes: np.ndarray
    steps: np.ndarray
    norms: np.ndarray

    @classmethod
    def build(cls, documents: TokenEmbeddings) -> QuantizedDocuments:
        """Quantise documents; one byte a dimension, in two passes over the vectors.

        Args:
            documents: n documents, float16 or float32.

        Returns:
            The codes.

        Raises:
            InputError: a vector holds NaN or infinity; the sentence names its document.
        """
        from engine.maxsim import cpu
        from engine.simd import choice, kernels, threads
        from engine.simd.jit import flat

        documents.check()
        zero = choice.chosen().zero
        n, dim = len(documents), documents.dim
        half = documents.values.dtype == np.float16
        values = flat(documents.values.view(np.uint16) if half else documents.values)
        bounds = threads.cut(documents.lengths + 1, 4 * threads.thread_count())
        parts = len(bounds) - 1
        largest, scratch = np.zeros((max(parts, 1), dim), np.float32), np.empty((max(parts, 1), dim), np.float32)
        offsets = flat(documents.offsets)
        find = cpu.largest_float16 if half else cpu.largest_float32
        encode = cpu.encode_float16 if half else cpu.encode_float32

        def measure(k: int) -> None:
            find(values, offsets[bounds[k]], offsets[bounds[k + 1]], dim, scratch[k], largest[k])

        threads.run_parts(measure, parts)
        steps = largest.max(axis=0).astype(np.float64) / (zero - 1)
        steps[steps == 0] = 1.0
        width = -(-dim // 4) * 4
        room = np.full(documents.n_tokens * width + kernels.SLACK, zero, np.uint8)
        codes = room[: -kernels.SLACK].reshape(documents.n_tokens, width)
        norms = np.zeros((n, 5))

        def convert(k: int) -> None:
            if documents.n_tokens:
                encode(values, offsets, bounds[k], bounds[k + 1], steps, zero, codes.reshape(-1), norms)

        threads.run_parts(convert, parts)
        return cls(documents, codes, steps, np.sqrt(norms))

    def __len__(self) -> int:
        return len(self.documents)

    @property
    def nbytes(self) -> int:
        """Bytes beside the vectors themselves."""
        return self.codes.nbytes + self.norms.nbytes + self.steps.nbytes

    def _room(self) -> tuple[np.ndarray, np.ndarray]:
        """On AVX2, the largest norms of codes over the even and the odd pairs, and what int16 leaves for sums there.

        Rounding a query to integers can lengthen it by half a unit a dimension, which takes its share away.
        """
        limits = self.norms[:, 1:3].max(axis=0, initial=0.0)
        return limits, INT16 - 1 - 0.5 * np.sqrt(self.codes.shape[1] / 2) * limits

    @property
    def provable(self) -> bool:
        """Whether sums of products fit: up to about 2,000 dimensions in the int16 of AVX2, 65,000 in int32."""
        from engine.simd import choice

        if choice.chosen().short:
            return bool(self._room()[1].min() > INT16 / 4)
        return self.codes.shape[1] * 255 * ONE_BYTE_LIMIT < INT32

    def round_query(self, query: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bring query tokens to int8 on the scale of the codes.

        Args:
            query: [tokens, dim].

        Returns:
                int8 [tokens, padded dim]; float64 [tokens], the unit of each; float64 [tokens, 2], the norms of what
            rounding left and of the token, for `bound`.
        """
        from engine.simd import choice

        padded = np.zeros((len(query), self.codes.shape[1]))
        padded[:, : len(self.steps)] = query * self.steps
        unit = np.abs(padded).max(axis=1, initial=0.0) / ONE_BYTE_LIMIT
        if choice.chosen().short:
            even = np.arange(padded.shape[1]) & 2 == 0
            limits, room = self._room()
            for columns, limit, left in ((even, limits[0], room[0]), (~even, limits[1], room[1])):
                unit = np.maximum(unit, np.linalg.norm(padded[:, columns], axis=1) * limit / left)
        unit[unit == 0] = 1.0
        rounded = np.rint(padded / unit[:, None])
        left = np.linalg.norm(padded - rounded * unit[:, None], axis=1)
        length = np.linalg.norm(query.astype(np.float64), axis=1)
        return rounded.astype(np.int8), unit, np.stack([left, length], axis=1)

    def bound(self, factors: np.ndarray) -> np.ndarray:
        """How far the score of each document on the codes can be from its float32 score.

        Args:
            factors: [tokens, 2], of one query, from `round_query`.

        Returns:
            float64 [n].
        """
        left, length = factors.sum(axis=0)
        # Summing dim float32 products in order is off by at most dim units in the last place of |q| |d| (Higham, 2002,
        # Accuracy and Stability of Numerical Algorithms, section 3.1); twice that covers the last roundings too.
        float32 = 2 * (len(self.steps) + 2) * 2.0**-24
        exact = length * self.norms[:, 0] + left * self.norms[:, 3] + float32 * length * self.norms[:, 4]
        return exact * (1 + 1e-9)
