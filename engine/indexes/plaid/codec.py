"""What a codec is: how a token vector becomes the number of its nearest centroid and a row of bytes, and back.

A new codec is a subclass in a file of its own and a line in `codecs.py`. Nobody else looks into the bytes of a row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from engine.indexes.plaid import kmeans
from engine.indexes.plaid.groups import Groups
from engine.indexes.plaid.rounded import RoundedCentroids
from engine.indexes.plaid.settings import PlaidSettings

if TYPE_CHECKING:
    import torch

SCALES = 256  # numbers in the file "lengths"
TRAINED = frozenset({"centroids", "groups", "steps", "lengths"})  # the files of a codec


@dataclass(frozen=True, eq=False)
class Codec(ABC):
    """Centroids, and how what remains of a vector is stored beside the number of its centroid.

    A subclass also names, for the compiled loops of a search, `stored_class` (the tuple that `stored` makes) and
    `scores` (a function in numba's language, see `crew.score_documents`).

    Args:
        centroids: float32 [c, dim].
        group: int32 [c], the group of each; None where they have yet to be put into groups.
    """

    centroids: np.ndarray
    group: np.ndarray | None = field(default=None, kw_only=True)

    refines: ClassVar[bool]  # whether scoring the tokens near the centroids says more than the centroids
    stored_class: ClassVar[type]
    scores: ClassVar[Callable[..., Any]]

    @classmethod
    @abstractmethod
    def row_bytes(cls, dim: int, settings: PlaidSettings) -> int:
        """Bytes of a token beside the number of its centroid."""

    @classmethod
    @abstractmethod
    def fit(cls, vectors: np.ndarray, codes: np.ndarray, centroids: np.ndarray, settings: PlaidSettings) -> Codec:
        """Make a codec from a sample: float32 [n, dim], [n] numbers of centroids, float32 [c, dim]."""

    @classmethod
    @abstractmethod
    def load(cls, arrays: Mapping[str, np.ndarray], settings: PlaidSettings, largest: float) -> Codec:
        """Make a codec from what `arrays` and `distance` gave.

        Args:
            arrays: "centroids", "steps" and "lengths", as they lie in the files; "groups" in those of this version.
            settings: Settings of the index.
            largest: The largest of its distances.
        """

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """What is kept in files.

        Returns:
            "centroids" float16 [c, dim], "groups" int32 [c], "steps" float32 [dim] and "lengths" float32 [256].
        """

    @abstractmethod
    def sound(self) -> bool:
        """Whether its numbers are such that the compiled loops can use them."""

    def grouped(self) -> bool:
        """Whether the groups that were read, if any, are groups of these centroids."""
        group, count = self.group, len(self.centroids)
        return group is None or bool(
            group.shape == (count,)
            and group.dtype == np.int32
            and 0 <= group.min(initial=0) <= group.max(initial=0) < max(count, 1)
            and (np.bincount(group) > 0).all()
        )

    @property
    @abstractmethod
    def row_size(self) -> int:
        """Bytes of a token beside the number of its centroid."""

    @property
    @abstractmethod
    def bits(self) -> float:
        """Bits a dimension, on average."""

    @property
    @abstractmethod
    def farthest(self) -> float:
        """The largest `distance` that stored tokens can have."""

    @abstractmethod
    def distance(self, packed: np.ndarray) -> float:
        """How far some rows, uint8 [n, row size], lie from the middle of all codes, at most."""

    @abstractmethod
    def encode(self, vectors: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Rows, uint8 [n, row size], of vectors [n, dim] in float16 or float32 and the numbers [n] of centroids."""

    @abstractmethod
    def decode(self, codes: np.ndarray, packed: np.ndarray) -> np.ndarray:
        """The vectors that an index stores, float32 [n, dim]."""

    @abstractmethod
    def decode_on(self, centroids: torch.Tensor, codes: torch.Tensor, packed: torch.Tensor) -> torch.Tensor:
        """The same on the device of the tensors; centroids are those of this codec."""

    @abstractmethod
    def stored(self, offsets: np.ndarray, codes: np.ndarray, packed: np.ndarray) -> Any:
        """The tokens of an index as a named tuple for the compiled loops; packed is uint8 [tokens, row size]."""

    @abstractmethod
    def asked(self, query: np.ndarray) -> Any:
        """A query, float32 [m, dim], as a named tuple for the compiled loops."""

    def reaching(self, largest: float) -> Codec:
        """The same codec, with all that it has worked out, for tokens whose largest `distance` is this."""
        return self

    def with_centroids(self, more: np.ndarray) -> Codec:
        """The same codec with more centroids, float32 [n, dim], behind those it has."""
        return replace(self, centroids=np.concatenate([self.centroids, more]), group=self.groups.joined(more))

    @cached_property
    def groups(self) -> Groups:
        """The centroids in groups."""
        return Groups(self.centroids, kmeans.group(self.centroids) if self.group is None else self.group)

    @cached_property
    def rounded(self) -> RoundedCentroids:
        """The centroids in 7 bits a dimension."""
        return RoundedCentroids.of(self.centroids)

    @cached_property
    def rooms(self) -> list[Any]:
        """Memory of searches that are over, for those to come; see `room.Room`."""
        return []

    @property
    def dim(self) -> int:
        """Dimension of a vector."""
        return self.centroids.shape[1]

    @cached_property
    def centre(self) -> np.ndarray:
        """Mean of the centroids, float32 [dim]."""
        return self.centroids.mean(axis=0, dtype=np.float64).astype(np.float32)

    @cached_property
    def reach(self) -> float:
        """Length of the longest centroid."""
        return float(np.linalg.norm(self.centroids, axis=1).max())

    @property
    def code_dtype(self) -> np.dtype:
        """Of centroid numbers."""
        return np.dtype(np.uint16 if len(self.centroids) <= 1 << 16 else np.uint32)
