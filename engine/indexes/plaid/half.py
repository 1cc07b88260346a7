"""The codec that keeps vectors themselves, in float16: centroids only choose which documents are looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.indexes.plaid.codec import SCALES, Codec
from engine.indexes.plaid.settings import PlaidSettings
from engine.simd.choice import chosen
from engine.simd.jit import kernel
from engine.simd.kernels import columns_of, max_products, query_panels, widen

if TYPE_CHECKING:
    import torch


class HalfVectors(NamedTuple):
    """The tokens of an index for compiled loops.

    Args:
        offsets: int64 [slots + 1], tokens of each slot.
        codes: [tokens], numbers of centroids.
        halves: uint16, the bits of the vectors one after the other.
        dim: Dimensions of a vector.
    """

    offsets: np.ndarray
    codes: np.ndarray
    halves: np.ndarray
    dim: int


class HalfQuery(NamedTuple):
    """A query for compiled loops.

    Args:
        blocks: How many blocks of 32 query tokens there are.
        lanes: How many query tokens there are.
        columns: The same, padded to whole registers.
        panels: float32, from `engine.simd.kernels.query_panels`.
    """

    blocks: int
    lanes: int
    columns: int
    panels: np.ndarray


def half_scores(stage, stored, asked, tables, b, slots, highest, first, last, out):
    """See `crew.score_documents`; all query tokens are scored with the first block of them."""
    if b == 0:
        exact_scores(stored, asked, slots, first, last, out)


@kernel
def exact_scores(stored, asked, slots, first, last, out):
    """out[i] = MaxSim in float32 on the float16 vectors of a document."""
    offsets, dim = stored.offsets, stored.dim
    values, best = np.empty(0, np.float32), np.empty(asked.columns, np.float32)
    for i in range(first, last):
        start, end = offsets[slots[i]], offsets[slots[i] + 1]
        if len(values) < (end - start) * dim:
            values = np.empty((end - start) * dim, np.float32)
        widen(stored.halves, start * dim, (end - start) * dim, values)
        best[:] = -np.inf
        max_products(values, 0, end - start, dim, asked.panels, asked.columns, best)
        total = np.float32(0)
        for lane in range(asked.lanes):
            total += best[lane]
        out[i] = total


@dataclass(frozen=True, eq=False)
class HalfCodec(Codec):
    """Centroids, and the vectors in float16."""

    refines = False
    stored_class = HalfVectors
    scores = staticmethod(half_scores)

    @classmethod
    def row_bytes(cls, dim: int, settings: PlaidSettings) -> int:
        """Two bytes a dimension."""
        return 2 * dim

    @classmethod
    def fit(cls, vectors: np.ndarray, codes: np.ndarray, centroids: np.ndarray, settings: PlaidSettings) -> Codec:
        """There is nothing to choose."""
        return cls(centroids)

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], settings: PlaidSettings, largest: float) -> Codec:
        """See the base class; only the centroids are used."""
        return cls(arrays["centroids"].astype(np.float32), group=arrays.get("groups"))

    def arrays(self) -> dict[str, np.ndarray]:
        """The centroids, and zeros for the others, so that a folder holds the same files with every codec."""
        zeros = {"steps": np.zeros(self.dim, np.float32), "lengths": np.zeros(SCALES, np.float32)}
        return {"centroids": self.centroids.astype(np.float16), "groups": self.groups.group, **zeros}

    def sound(self) -> bool:
        """Whether the centroids are finite, and in groups."""
        return self.grouped() and bool(np.isfinite(self.centroids).all())

    @property
    def row_size(self) -> int:
        """Two bytes a dimension."""
        return 2 * self.dim

    @property
    def bits(self) -> float:
        """Of float16."""
        return 16.0

    @property
    def farthest(self) -> float:
        """Codes that do not exist have no middle."""
        return 0.0

    def distance(self, packed: np.ndarray) -> float:
        """See `farthest`."""
        return 0.0

    def encode(self, vectors: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """The bytes of float16."""
        return np.ascontiguousarray(vectors, "<f2").view(np.uint8)

    def decode(self, codes: np.ndarray, packed: np.ndarray) -> np.ndarray:
        """See the base class."""
        return np.ascontiguousarray(packed).view("<f2").astype(np.float32)

    def decode_on(self, centroids: torch.Tensor, codes: torch.Tensor, packed: torch.Tensor) -> torch.Tensor:
        """See the base class."""
        import torch

        return packed.view(torch.float16).float()

    def stored(self, offsets: np.ndarray, codes: np.ndarray, packed: np.ndarray) -> HalfVectors:
        """See the base class."""
        return HalfVectors(offsets, codes, packed.reshape(-1).view(np.uint16), self.dim)

    def asked(self, query: np.ndarray) -> Any:
        """See the base class."""
        level = chosen()
        columns, panels = columns_of(len(query), level), query_panels(query, 1, level)
        return HalfQuery(-(-len(query) // 32), len(query), columns, panels)
