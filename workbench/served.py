"""What `workbench serve` and `workbench mcp` open, before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.indexes import kinds
from workbench.experiments.experiment import INDEX
from workbench.experiments.plan import parse_spec
from workbench.systems.text import parse_system


@dataclass(frozen=True)
class Served:
    """Collections, and indexes on disk, with what searches them.

    Args:
        collections: Names or paths for `load_collection`; the first is meant where a request names none.
        indexes: Folders that `workbench index` wrote; documents can be added and removed.
        store: Folder in which requests may make collections.
        model: Encodes collections, and what requests make.
        kind: Of index over collections.
        settings: Of it.
        scorer: What ranks where a request does not say.
        systems: Whole systems over the first collection that are built at once and not at their first request.
        device: Where models run.
    """

    collections: tuple[str, ...] = ()
    indexes: tuple[Path, ...] = ()
    store: Path | None = None
    model: str = "embedded"
    kind: str = "plaid"
    settings: Mapping[str, Any] = field(default_factory=dict)
    scorer: str = INDEX
    systems: tuple[str, ...] = ()
    device: str = "auto"

    @classmethod
    def of(cls, collections: list[str] | None, indexes: list[str] | None, **others: Any) -> Served:
        """What was typed: `indexes` are folders, and at most one kind of index with its settings.

        Raises:
            InputError: two kinds of index, one that is unknown, or no system.
        """
        given = indexes or []
        folders = [text for text in given if Path(text).is_dir() and text not in kinds()]
        specs = [text for text in given if text not in folders]
        if len(specs) > 1:
            raise InputError(f"Expected one kind of index over collections, got {' and '.join(specs)}: leave one out.")
        kind, settings = parse_spec(specs[0]) if specs else ("plaid", {})
        for text in others.get("systems", ()):
            parse_system(text)
        alone = not folders and others.get("store") is None
        return cls(
            tuple(collections or (["embedded"] if alone else [])), tuple(map(Path, folders)), kind=kind,
            settings=settings, **others,
        )  # fmt: skip
