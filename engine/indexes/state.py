"""What every index knows of its folder in one generation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine import storage
from engine.indexes.ids import IdTable


@dataclass(frozen=True, eq=False)
class State:
    """What every kind knows of its documents in one generation.

    Args:
        manifest: The manifest of this generation.
        ids: The ids, in storage order.
        dim: Dimension of the vectors, 0 while empty.
        fingerprint: What identifies the model that made the vectors, or None.
    """

    manifest: storage.Manifest
    ids: IdTable
    dim: int
    fingerprint: str | None

    @classmethod
    def read(cls, folder: Path, manifest: storage.Manifest) -> State:
        """Read it from a folder."""
        record = manifest.record
        return State(manifest, IdTable.open(folder, manifest), record["dim"], record["fingerprint"])
