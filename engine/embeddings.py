"""TokenEmbeddings: ragged token vectors, the only currency between the stages of the engine."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import SupportsIndex, overload

import numpy as np

from engine import storage
from engine.errors import CorruptDataError, InputError
from engine.finite import check_finite, check_range

KIND = "token-embeddings"


@dataclass(frozen=True, eq=False)
class TokenEmbeddings:
    """The token vectors of n texts (or of anything else), one after the other.

    Args:
        values: [total tokens, dim] float16 or float32.
        offsets: [n + 1] int64; item i owns the rows offsets[i] to offsets[i + 1].
        fingerprint: What made the vectors: model, lengths and dtype. Indexes refuse to mix two of them; None matches
            any.
        truncated: How many of the n texts were cut at the model's maximum length; with `counts` these decide.
        added: How many last vectors of each item stand for no token of it, such as mean tokens: pooling leaves them be.
        unread: Tokens of the texts that were not read, and all of their tokens; zeros where nobody counted. With
            `counts` these decide.
        counts: int64 [n, 2], the same of each text; None where at most the sums are known, as of vectors that an
            earlier version kept or a server sent: those of some of the texts are then unknown.

    Raises:
        InputError: shapes, dtypes or offsets do not fit together.
    """

    values: np.ndarray
    offsets: np.ndarray
    fingerprint: str | None = None
    truncated: int = 0
    added: int = 0
    unread: tuple[int, int] = (0, 0)
    counts: np.ndarray | None = None

    def __post_init__(self) -> None:
        values, offsets = self.values, self.offsets
        if values.ndim != 2 or values.dtype not in (np.float16, np.float32):
            raise InputError(
                f"Expected token vectors [total tokens, dim] in float16 or float32, got {values.dtype} with shape "
                f"{list(values.shape)}: convert them first."
            )
        if offsets.ndim != 1 or offsets.dtype != np.int64 or len(offsets) == 0:
            raise InputError(
                f"Expected offsets int64 [n + 1], got {offsets.dtype} {list(offsets.shape)}: convert them."
            )
        if offsets[0] != 0 or offsets[-1] != len(values) or np.any(np.diff(offsets) < 0):
            raise InputError(
                f"Expected offsets that rise from 0 to {len(values)} tokens: rebuild them from the lengths."
            )
        if self.counts is not None:
            if self.counts.shape != (len(self), 2):
                raise InputError(
                    f"Expected counts [{len(self)}, 2] of tokens that were not read, got {list(self.counts.shape)}: "
                    "count each text."
                )
            unread, tokens = self.counts.sum(0).tolist()
            object.__setattr__(self, "unread", (unread, tokens))
            object.__setattr__(self, "truncated", int(np.count_nonzero(self.counts[:, 0])))

    @classmethod
    def from_list(
        cls, arrays: Sequence[np.ndarray], fingerprint: str | None = None, dim: int | None = None
    ) -> TokenEmbeddings:
        """Join one array a text.

        Args:
            arrays: n arrays [tokens, dim], float16 or float32 (torch tensors on the CPU work too).
            fingerprint: See the class.
            dim: The dimension, needed only when `arrays` is empty.

        Returns:
            The joined embeddings, in the dtype of the first array (float32 for any other dtype).

        Raises:
            InputError: an array has another dimension than the first; the sentence names its position.
        """
        items = [np.asarray(array) for array in arrays]
        if not items:
            return cls(np.empty((0, dim or 0), np.float32), np.zeros(1, np.int64), fingerprint)
        dtype = np.float16 if items[0].dtype == np.float16 else np.float32
        width = dim or items[0].shape[-1]
        for position, item in enumerate(items):
            if item.ndim != 2 or item.shape[1] != width:
                raise InputError(
                    f"Expected [tokens, {width}] for item {position}, got shape {list(item.shape)}: "
                    "encode all texts with one model."
                )
        offsets = np.zeros(len(items) + 1, np.int64)
        np.cumsum([len(item) for item in items], out=offsets[1:])
        return cls(np.concatenate(items).astype(dtype, copy=False), offsets, fingerprint)

    @classmethod
    def join(cls, parts: Sequence[TokenEmbeddings], places: Sequence[np.ndarray] | None = None) -> TokenEmbeddings:
        """The items of several embeddings as one, with all that is known of them.

        Args:
            parts: At least one; those of one model, in one dimension.
            places: int64, where the items of each part belong, together 0 to n - 1; one part after the other when None.

        Returns:
            n items, in float16 where all parts are; texts that were cut and tokens that were not read are added up.

        Raises:
            InputError: parts of another model or dimension than the first.
        """
        first = parts[0]
        models = {part.fingerprint for part in parts} - {None}
        for what, found in (("dim", {part.dim for part in parts}), ("model", models),
                            ("number of added vectors", {part.added for part in parts})):  # fmt: skip
            if len(found) > 1:
                raise InputError(
                    f"Expected vectors of one {what}, got {', '.join(sorted(map(str, found)))}: encode all texts with "
                    "one model."
                )
        ends = np.cumsum([0, *map(len, parts)])
        where = [np.arange(*pair) for pair in pairwise(ends)] if places is None else places
        offsets = np.zeros(ends[-1] + 1, np.int64)
        for part, own in zip(parts, where, strict=True):
            offsets[own + 1] = part.lengths
        np.cumsum(offsets, out=offsets)
        values = np.empty((offsets[-1], first.dim), np.result_type(*(part.values.dtype for part in parts)))
        for part, own in zip(parts, where, strict=True):
            values[np.repeat(offsets[own] - part.offsets[:-1], part.lengths) + np.arange(part.n_tokens)] = part.values
        unread = sum(part.unread[0] for part in parts), sum(part.unread[1] for part in parts)
        truncated = sum(part.truncated for part in parts)
        known = [part.counts for part in parts if part.counts is not None]
        counts = None
        if len(known) == len(parts):
            counts = np.empty((ends[-1], 2), np.int64)
            counts[np.concatenate(where)] = np.concatenate(known)
        return cls(values, offsets, next(iter(models), None), truncated, first.added, unread, counts)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, position: SupportsIndex) -> np.ndarray: ...

    @overload
    def __getitem__(self, position: slice) -> TokenEmbeddings: ...

    def __getitem__(self, position: SupportsIndex | slice) -> np.ndarray | TokenEmbeddings:
        """The vectors of one item, [tokens, dim], or the items of a slice; neither copies (but a slice with a step)."""
        if isinstance(position, slice):
            return self._slice(position)
        n, position = len(self), operator.index(position)
        if not -n <= position < n:
            raise IndexError(f"position {position} is outside 0 to {n - 1}")
        position %= n
        return self.values[self.offsets[position] : self.offsets[position + 1]]

    def _slice(self, part: slice) -> TokenEmbeddings:
        start, stop, step = part.indices(len(self))
        if step != 1:
            return self.select(np.arange(start, stop, step))
        if (start, stop) == (0, len(self)):
            return self
        offsets = self.offsets[start : max(stop, start) + 1]
        values = self.values[offsets[0] : offsets[-1]]
        counts = None if self.counts is None else self.counts[start:stop]
        return TokenEmbeddings(values, offsets - offsets[0], self.fingerprint, added=self.added, counts=counts)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each item, int64 [n]."""
        return np.diff(self.offsets)

    @property
    def without_vectors(self) -> int:
        """Items of which nothing is left to score; each scores minus infinity."""
        return int(np.count_nonzero(self.lengths == 0))

    @property
    def unread_share(self) -> float:
        """Share of the texts' tokens that was not read, 0 to 1."""
        return self.unread[0] / max(self.unread[1], 1)

    @property
    def dim(self) -> int:
        """Dimension of a vector."""
        return self.values.shape[1]

    @property
    def n_tokens(self) -> int:
        """Tokens of all items together."""
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors."""
        return self.values.nbytes

    def prefix(self, dim: int) -> TokenEmbeddings:
        """The leading coordinates of nested (Matryoshka) vectors, each vector at the length that it has.

        Args:
            dim: How many, at most the dimension.

        Returns:
            The same items, [tokens, dim] in the same dtype; themselves where `dim` is the dimension.

        Raises:
            InputError: a `dim` that the vectors do not have.
        """
        if not 1 <= dim <= self.dim:
            raise InputError(
                f"Expected a dim from 1 to {self.dim}, that of the vectors, got {dim!r}: choose one of these."
            )
        if dim == self.dim:
            return self
        whole = np.asarray(self.values, np.float32)
        lengths = np.linalg.norm(whole, axis=1, keepdims=True)
        short = whole[:, :dim] * (lengths / np.maximum(np.linalg.norm(whole[:, :dim], axis=1, keepdims=True), 1e-12))
        fingerprint = None if self.fingerprint is None else f"{self.fingerprint}-{dim}"
        return replace(self, values=short.astype(self.values.dtype), fingerprint=fingerprint)

    def select(self, positions: Sequence[int] | np.ndarray) -> TokenEmbeddings:
        """Copy some items, in the order given.

        Args:
            positions: int [m], positions of items.

        Returns:
            Embeddings of m items.
        """
        positions = np.asarray(positions, np.int64)
        lengths = self.lengths[positions]
        offsets = np.zeros(len(positions) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        rows = np.repeat(self.offsets[positions] - offsets[:-1], lengths) + np.arange(offsets[-1])
        counts = None if self.counts is None else self.counts[positions]
        return TokenEmbeddings(self.values[rows], offsets, self.fingerprint, added=self.added, counts=counts)

    def astype(self, dtype: str | np.dtype, names: Sequence[str] | None = None) -> TokenEmbeddings:
        """The same vectors in float16 or float32.

        Args:
            dtype: "float16" or "float32".
            names: n names for the error message; positions are used when absent.

        Raises:
            InputError: a finite value is beyond the range of float16; the sentence names its item.
        """
        with np.errstate(over="ignore"):
            values = self.values.astype(dtype, copy=False)
        if values.dtype == np.float16 and self.values.dtype != np.float16:
            check_range(self.values, values, self.offsets, names)
        return replace(self, values=values)

    def check(self, names: Sequence[str] | None = None) -> None:
        """Find vectors that no score can be computed from.

        Args:
            names: n names for the error message; positions are used when absent.

        Raises:
            InputError: an item holds NaN or an infinity; the sentence names it.
        """
        check_finite(self.values, self.offsets, names)

    def save(self, path: str | Path) -> None:
        """Write to a folder that `open` maps into memory; replaced as a whole or not at all.

        Args:
            path: The folder.
        """
        folder = Path(path)
        record = {"fingerprint": self.fingerprint, "truncated": self.truncated, "dim": self.dim, "items": len(self),
                  "added": self.added, "unread": list(self.unread)}  # fmt: skip
        arrays = {"values": self.values, "offsets": self.offsets}
        if self.counts is not None:
            arrays["counts"] = self.counts
        with storage.writer_lock(folder):
            storage.commit(folder, KIND, record, arrays)

    @classmethod
    def open(cls, path: str | Path) -> TokenEmbeddings:
        """Map a saved folder; nothing is read until it is used.

        Args:
            path: A folder written by `save`.

        Returns:
            The embeddings, memory-mapped and read-only.

        Raises:
            NotFoundError: nothing was saved there.
            CorruptDataError: the files are damaged, as far as their lengths and offsets can tell; `verify` reads all.
        """
        folder = Path(path)
        manifest = storage.read_manifest(folder, KIND)
        values = storage.open_array(folder, manifest, "values")
        offsets = storage.open_array(folder, manifest, "offsets", mmap=False)
        try:
            record = manifest.record  # earlier versions knew of no added vectors, and of tokens nothing or their sums
            unread, tokens = record.get("unread", (0, 0))
            counts = storage.open_array(folder, manifest, "counts", mmap=False) if "counts" in manifest.files else None
            return cls(
                values, offsets, record["fingerprint"], record["truncated"], record.get("added", 0), (unread, tokens),
                counts,
            )  # fmt: skip
        except (InputError, KeyError, TypeError, ValueError) as error:
            raise CorruptDataError(f"{folder} is damaged ({error}): restore it or save it again.") from None

    @staticmethod
    def verify(path: str | Path) -> None:
        """Compare the files of a saved folder with their checksums.

        Args:
            path: A folder written by `save`.

        Raises:
            CorruptDataError: a file differs from what was written.
        """
        storage.verify(Path(path), storage.read_manifest(Path(path), KIND))
