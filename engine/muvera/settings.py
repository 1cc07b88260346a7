"""Settings of fixed dimensional encodings, and how a dimension is spent on repetitions, partitions and projections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.checks import require_whole
from engine.errors import InputError

FORMS = ("float32", "float16", "int8", "1bit")  # how encodings of documents are kept
BYTES = {"float32": 4.0, "float16": 2.0, "int8": 1.0, "1bit": 0.125}  # of one coordinate
LARGEST_DIM = 1 << 16  # sums of products of bytes still fit in int32
MOST_PLANES = 10
# The least dimension, hyperplanes and projection of the settings that the paper finds best at 10,240, 5,120, 2,560 and
# 1,280 dimensions, all with 20 repetitions (section 3.1).
BEST = ((10240, 5, 16), (5120, 5, 8), (2560, 4, 8), (0, 3, 8))


@dataclass(frozen=True)
class Layout:
    """How an encoding is made up.

    Args:
        k_sim: Hyperplanes of a repetition, which tell 2 ** k_sim parts of space apart.
        repetitions: How often, with other hyperplanes each time.
        projection: Dimension that vectors are projected to within a part; that of the vectors keeps them as they are.
        dim: Dimension of the encoding.
    """

    k_sim: int
    repetitions: int
    projection: int
    dim: int

    @property
    def width(self) -> int:
        """Dimension before the final projection, `dim` where there is none."""
        return self.repetitions * (self.projection << self.k_sim)


@dataclass(frozen=True)
class MuveraSettings:
    """Settings of fixed dimensional encodings; what is left out follows from `dim`.

    Args:
        dim: Dimension of the encoding.
        k_sim: Hyperplanes of a repetition, up to 10; 0 takes 3, 4 or 5 by `dim`.
        projection: Dimension within a part of space, at most that of the vectors; 0 takes 8 or 16 by `dim`.
        repetitions: How often; 0 takes as many as fill `dim`. More than that are brought to `dim` by a final random
            projection (a count sketch).
        form: How encodings of documents are kept: "float32", "float16", "int8" or "1bit".
        seed: Decides hyperplanes and projections.
    """

    dim: int = 10240
    k_sim: int = 0
    projection: int = 0
    repetitions: int = 0
    form: Literal["float32", "float16", "int8", "1bit"] = "int8"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise InputError(f"Unknown form {self.form!r} of encodings: choose among {', '.join(FORMS)}.")
        require_whole("dim", self.dim)
        require_whole("seed", self.seed, least=0)
        if self.dim > LARGEST_DIM:
            raise InputError(f"Expected dim of at most {LARGEST_DIM}, got {self.dim}: lower it.")
        if self.dim % 8:
            raise InputError(f"Expected dim as a multiple of 8, got {self.dim}: take {self.dim // 8 * 8 + 8}.")
        for name in ("k_sim", "projection", "repetitions"):
            require_whole(name, getattr(self, name), least=0)
        if self.k_sim > MOST_PLANES:
            raise InputError(f"Expected k_sim of at most {MOST_PLANES}, got {self.k_sim}: lower it.")

    @property
    def bytes_per_document(self) -> int:
        """Bytes of one document's encoding, its scale included."""
        return int(self.dim * BYTES[self.form]) + (4 if self.form in ("int8", "1bit") else 0)

    def layout(self, vector_dim: int) -> Layout:
        """Spend the dimension on vectors of a dimension.

        Args:
            vector_dim: Dimension of the token vectors.

        Returns:
            The layout, whose width is `dim`, or more where a final projection follows.

        Raises:
            InputError: a projection to more than the vectors have, or a dimension that the parts do not fill.
        """
        best_planes, best_projection = next(rest for least, *rest in BEST if self.dim >= least)
        k_sim = self.k_sim or best_planes
        projection = self.projection or min(best_projection, 1 << (vector_dim.bit_length() - 1))
        if projection > vector_dim:
            raise InputError(
                f"Expected a projection of at most {vector_dim}, the dimension of the vectors, got {projection}: "
                "lower it."
            )
        part = projection << k_sim
        repetitions = self.repetitions or self.dim // part
        found = Layout(k_sim, repetitions, projection, self.dim)
        if found.width < self.dim:
            fills = self.dim // part * part
            near = " or ".join(str(size) for size in (fills, fills + part) if size)
            advice = f"raise repetitions to {-(-self.dim // part)}" if self.repetitions else f"take {near}"
            raise InputError(
                f"Expected dim that repetitions of {1 << k_sim} parts x {projection} dimensions fill, got {self.dim}: "
                f"{advice}."
            )
        return found
