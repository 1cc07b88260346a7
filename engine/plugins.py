"""What other packages add: models, collections and index kinds, found through entry points; the engine imports none."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from engine.errors import missing_extra

MODELS = "late_interaction.models"  # name -> function(**options) -> MultiVectorEncoder
COLLECTIONS = "late_interaction.collections"  # name -> function() -> Collection
INDEXES = "late_interaction.indexes"  # name -> subclass of engine.indexes.Index
SCORERS = "late_interaction.scorers"  # name -> class like those of engine.maxsim.scorer_kinds


def names(group: str) -> list[str]:
    """Names registered under a group, sorted."""
    return sorted({point.name for point in entry_points(group=group)})


def imported(module: str, package: str, extra: str) -> Any:
    """Import an optional package.

    Args:
        module: What is imported.
        package: What it is called where it is installed from.
        extra: Of this project, which installs it.

    Returns:
        The module.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        raise missing_extra(package, extra) from None


def find(group: str, name: str) -> Callable[..., Any] | None:
    """The function or class registered under a name, or None."""
    for point in entry_points(group=group):
        if point.name == name:
            return point.load()
    return None
