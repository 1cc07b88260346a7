"""The caller's string ids, stored as one block of UTF-8 and its offsets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from engine import storage
from engine.errors import CorruptDataError, InputError
from engine.retrieval import id_order


class IdTable:
    """Ids in storage order; everything derived from them is computed when it is first asked for.

    Args:
        block: uint8 [bytes], the ids in UTF-8, one after the other.
        offsets: int64 [n + 1].
    """

    def __init__(self, block: np.ndarray, offsets: np.ndarray) -> None:
        self.block = block
        self.offsets = offsets

    @classmethod
    def from_list(cls, names: Sequence[str]) -> IdTable:
        """Encode a list of ids."""
        try:
            encoded = [name.encode("utf-8") for name in names]
        except UnicodeEncodeError as error:
            raise InputError(
                f"Id {error.object!r} holds half of a surrogate pair: give ids of valid Unicode."
            ) from None
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(name) for name in encoded], out=offsets[1:])
        return cls(np.frombuffer(b"".join(encoded), np.uint8), offsets)

    @classmethod
    def open(cls, folder: Path, manifest: storage.Manifest) -> IdTable:
        """Map the ids of an index.

        Raises:
            CorruptDataError: the files are damaged, as far as their lengths can tell.
        """
        block = storage.open_array(folder, manifest, "ids")
        offsets = storage.open_array(folder, manifest, "id_offsets", mmap=False)
        sound = offsets.ndim == block.ndim == 1 and (offsets.dtype, block.dtype) == (np.int64, np.uint8)
        if not (
            sound and len(offsets) and offsets[0] == 0 and offsets[-1] == len(block) and (np.diff(offsets) > 0).all()
        ):
            raise CorruptDataError(f"The ids in {folder} do not fit together: restore the folder or build it again.")
        return cls(block, offsets)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """The arrays to store, by file name."""
        return {"ids": np.asarray(self.block), "id_offsets": self.offsets}

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __contains__(self, name: str) -> bool:
        return name in self._lookup

    def __getitem__(self, position: int) -> str:
        return _decoded(self.block[self.offsets[position] : self.offsets[position + 1]].tobytes())

    @cached_property
    def names(self) -> list[str]:
        """All ids, in storage order."""
        text = self.block.tobytes()
        ends = self.offsets.tolist()
        return [_decoded(text[start:end]) for start, end in pairwise(ends)]

    @cached_property
    def _lookup(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.names)}

    @cached_property
    def tie_order(self) -> np.ndarray:
        """int64 [n], the rank of each id among all: how equal scores are ordered."""
        return id_order(self.names)

    def positions(self, names: Sequence[str]) -> np.ndarray:
        """Storage positions, int64; -1 for an id that is not here."""
        return np.array([self._lookup.get(name, -1) for name in names], np.int64)

    def joined(self, names: Sequence[str]) -> IdTable:
        """With more ids at the end."""
        more = IdTable.from_list(names)
        offsets = np.concatenate([self.offsets, self.offsets[-1] + more.offsets[1:]])
        return IdTable(np.concatenate([self.block, more.block]), offsets)

    def without(self, positions: np.ndarray) -> IdTable:
        """Without the ids at some positions."""
        kept = np.ones(len(self), bool)
        kept[positions] = False
        lengths = np.diff(self.offsets)
        block = np.asarray(self.block)[np.repeat(kept, lengths)]
        return IdTable(block, np.concatenate([[0], np.cumsum(lengths[kept])]).astype(np.int64))


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise CorruptDataError(f"An id is damaged ({text!r}): restore the folder or build it again.") from None
