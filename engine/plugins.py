"""What other packages add: models, collections and index kinds, found through entry points; the engine imports none."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

MODELS = "late_interaction.models"  # name -> function(**options) -> MultiVectorEncoder
COLLECTIONS = "late_interaction.collections"  # name -> function() -> Collection
INDEXES = "late_interaction.indexes"  # name -> subclass of engine.indexes.Index
SCORERS = "late_interaction.scorers"  # name -> class like those of engine.maxsim.scorer_kinds


def names(group: str) -> list[str]:
    """Names registered under a group, sorted."""
    return sorted({point.name for point in entry_points(group=group)})


def find(group: str, name: str) -> Callable[..., Any] | None:
    """The function or class registered under a name, or None."""
    for point in entry_points(group=group):
        if point.name == name:
            return point.load()
    return None
