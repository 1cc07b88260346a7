"""The caller's string ids: bytes in the order in which they came, and their sorted order beside them.

Both questions that every index asks, where an id stands and which of two goes first, are answered by the sorted order,
so nothing is made of a million ids when an index is opened, changed or searched. An addition appends bytes and lengths
and writes the order anew, 4 bytes an id; a removal writes only which places are gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from engine import storage
from engine.errors import CorruptDataError, InputError
from engine.indexes.id_order import find, packed, sorted_order

GROWING = {"ids": "u1", "id_lengths": "<i4"}  # files that an addition appends to, with the type of a row
FILES = frozenset({*GROWING, "id_order", "id_gone", "id_offsets"})  # the last was of earlier versions
NONE = np.empty(0, np.int32)


class IdTable:
    """Ids in storage order: those in the places that are not gone.

    Args:
        block: uint8 [bytes], ids in UTF-8, one place after the other.
        offsets: int64 [places + 1].
        gone: int32, rising, places whose ids were removed.
        order: int32 [places] sorted by bytes, of equal ids the first place first; None computes it when it is needed.
        written: Entries of the files that hold the beginning or all of this, by name.
    """

    def __init__(
        self,
        block: np.ndarray,
        offsets: np.ndarray,
        gone: np.ndarray = NONE,
        order: np.ndarray | None = None,
        written: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        self.block = block
        self.offsets = offsets
        self.gone = gone
        self._order = order
        self._written = dict(written or {})

    @classmethod
    def from_list(cls, names: Sequence[str]) -> IdTable:
        """Encode a list of ids, all different."""
        try:
            return cls(*packed([name.encode("utf-8") for name in names]))
        except UnicodeEncodeError as error:
            raise InputError(
                f"Id {error.object!r} holds half of a surrogate pair: give ids of valid Unicode."
            ) from None

    @classmethod
    def open(cls, folder: Path, manifest: storage.Manifest) -> IdTable:
        """Map the ids of an index.

        Raises:
            CorruptDataError: the files are damaged, as far as their lengths can tell.
        """

        def array(name: str, mmap: bool = False) -> np.ndarray:
            return np.asarray(storage.open_array(folder, manifest, name, mmap))

        block, order, gone, entries = array("ids", True), None, NONE, {}
        if "id_offsets" in manifest.files:
            offsets = array("id_offsets")
        else:
            entries = {name: entry for name, entry in manifest.files.items() if name in FILES}
            offsets = np.concatenate([[0], np.cumsum(array("id_lengths"), dtype=np.int64)])
            order, gone = array("id_order", True), array("id_gone") if "id_gone" in entries else NONE
        if not _fit_together(block, offsets, gone, order):
            raise CorruptDataError(f"The ids in {folder} do not fit together: restore the folder or build it again.")
        return cls(block, offsets, gone, order, entries)

    def files(self, folder: Path) -> dict[str, dict[str, Any]]:
        """Write what no file holds yet, and return the entries of all files of the ids for `storage.commit` to keep."""
        generation, entries = storage.next_generation(folder), dict(self._written)
        for name, rows in (("ids", self.block), ("id_lengths", np.diff(self.offsets).astype(np.int32))):
            entry = entries.get(name) or storage.grow_entry(name, generation, GROWING[name])
            done = entry["bytes"] // rows.itemsize
            if name not in entries or done < len(rows):
                entries[name] = storage.append_rows(folder, entry, rows[done:])
        for name, rows in (("id_order", self.order), ("id_gone", self.gone)):
            if name not in entries and (name == "id_order" or len(rows)):
                entries[name] = storage.append_rows(folder, storage.grow_entry(name, generation, "<i4"), rows)
        return entries

    def __len__(self) -> int:
        return self._places - len(self.gone)

    @property
    def _places(self) -> int:
        return len(self.offsets) - 1

    def __contains__(self, name: str) -> bool:
        return bool(self.positions([name])[0] >= 0)

    def __getitem__(self, position: int) -> str:
        # As many are gone before the i-th living one as have at most i living ones before them.
        place = position + int(np.searchsorted(self._living_before, position, side="right"))
        return _decoded(self.block[self.offsets[place] : self.offsets[place + 1]].tobytes())

    def at(self, positions: np.ndarray) -> list[str]:
        """The ids at some positions, int [n]: those of a ranking, at once."""
        places = positions + np.searchsorted(self._living_before, positions, side="right")
        spans = zip(self.offsets[places].tolist(), self.offsets[places + 1].tolist(), strict=True)
        return [_decoded(self.block[start:end].tobytes()) for start, end in spans]

    @cached_property
    def _living_before(self) -> np.ndarray:
        return self.gone - np.arange(len(self.gone))

    @cached_property
    def names(self) -> list[str]:
        """All ids, in storage order."""
        text, ends = self.block.tobytes(), self.offsets.tolist()
        names = [_decoded(text[start:end]) for start, end in pairwise(ends)]
        return [names[place] for place in np.flatnonzero(self._alive).tolist()] if len(self.gone) else names

    @property
    def _alive(self) -> np.ndarray:
        """Which places are not gone, bool [places]."""
        alive = np.ones(self._places, bool)
        alive[self.gone] = False
        return alive

    @cached_property
    def order(self) -> np.ndarray:
        """int32 [places], the places sorted by their ids, of equal ids the first place first."""
        return sorted_order(self.block, self.offsets) if self._order is None else self._order

    @cached_property
    def tie_order(self) -> np.ndarray:
        """int64 [n], the rank of each id among all: how equal scores are ordered."""
        ranks = np.empty(len(self), np.int64)
        ranks[self._living_order] = np.arange(len(self))
        return ranks

    @property
    def _living_order(self) -> np.ndarray:
        """Storage positions sorted by their ids, int [n]."""
        if len(self.gone) == 0:
            return self.order
        alive = self._alive
        return (np.cumsum(alive, dtype=np.int32) - 1)[self.order[alive[self.order]]]

    def positions(self, names: Sequence[str]) -> np.ndarray:
        """Storage positions, int64; -1 for an id that is not here."""
        asked = packed([name.encode("utf-8", "surrogatepass") for name in names])  # half a pair is nobody's id
        places = find(self.order, self.block, self.offsets, *asked)[1]
        before = np.searchsorted(self.gone, places)
        dead = np.isin(places, self.gone) if len(self.gone) else False
        return np.where((places < 0) | dead, -1, places - before)

    def joined(self, names: Sequence[str]) -> IdTable:
        """With more ids at the end, none of which is here."""
        mine = self.compacted() if 2 * len(self.gone) > self._places else self
        more = IdTable.from_list(names)
        at = find(mine.order, mine.block, mine.offsets, more.block, more.offsets)[0][more.order]
        return IdTable(
            np.concatenate([mine.block, more.block]),
            np.concatenate([mine.offsets, mine.offsets[-1] + more.offsets[1:]]),
            mine.gone,
            np.insert(mine.order, at, more.order + np.int32(mine._places)),
            {name: entry for name, entry in mine._written.items() if name != "id_order"},
        )

    def without(self, positions: np.ndarray) -> IdTable:
        """Without the ids at some positions."""
        places = np.flatnonzero(self._alive)[positions]
        gone = np.union1d(self.gone, places).astype(np.int32)
        written = {name: entry for name, entry in self._written.items() if name != "id_gone"}
        return IdTable(self.block, self.offsets, gone, self.order, written)

    def compacted(self) -> IdTable:
        """Without the room of removed ids."""
        if len(self.gone) == 0:
            return self
        alive, lengths = self._alive, np.diff(self.offsets)
        offsets = np.concatenate([[0], np.cumsum(lengths[alive])]).astype(np.int64)
        return IdTable(np.asarray(self.block)[np.repeat(alive, lengths)], offsets, order=self._living_order)


def others(files: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The entries of a manifest's files that are not those of the ids."""
    return {name: entry for name, entry in files.items() if name not in FILES}


def _fit_together(block: np.ndarray, offsets: np.ndarray, gone: np.ndarray, order: np.ndarray | None) -> bool:
    """Whether arrays of ids fit together: they are looked up without bounds checks."""
    if not (offsets.ndim == block.ndim == gone.ndim == 1 and (offsets.dtype, block.dtype) == (np.int64, np.uint8)):
        return False
    if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(block) or not (np.diff(offsets) > 0).all():
        return False
    places = len(offsets) - 1
    if len(gone) and not (gone[0] >= 0 and gone[-1] < places and (np.diff(gone) > 0).all()):
        return False
    if order is None or places == 0:
        return order is None or len(order) == 0
    return len(order) == places and order.dtype == np.int32 and bool(order.min() >= 0 and order.max() < places)


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise CorruptDataError(f"An id is damaged ({text!r}): restore the folder or build it again.") from None
