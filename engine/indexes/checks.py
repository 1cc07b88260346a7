"""What every index checks before it writes or searches: settings, abilities, ids and vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

import numpy as np

from engine.checks import require_whole
from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.indexes.state import State


@dataclass(frozen=True)
class Settings:
    """Base of the settings of a kind: frozen, with defaults, checked in `__post_init__`."""


def require_positive(settings: Settings, *names: str, least: int = 1) -> None:
    """Raise InputError unless these settings are whole numbers of `least` or more."""
    for name in names:
        require_whole(name, getattr(settings, name), least)


ABILITIES = {
    "add": "adds documents to what is there",
    "remove": "removes documents",
    "subset": "searches among given documents only",
    "stored": "gives back the vectors that it stores",
    "exact-scores": "returns the MaxSim on the stored vectors within 1e-3",
    "crash-safe": "keeps its last complete state when a writer is killed",
    "snapshots": "answers a search beside a change of the same object as before or after the change",
    "empty-documents": "keeps documents without token vectors, which score minus infinity",
    "deterministic": "gives the same rankings for the same inputs, settings and seed",
}


def settings(kind: str, settings_class: type[Settings], given: Mapping[str, Any]) -> Any:
    """Check settings by name and value.

    Raises:
        InputError: an unknown name; the sentence lists the known ones.
    """
    known = [entry.name for entry in fields(settings_class)]
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        raise InputError(
            f"Index kind {kind!r} has no setting {unknown!r}: it knows {', '.join(known) or 'no settings'}."
        )
    return settings_class(**given)


class Checked(Protocol):
    """What a check has to know of an index."""

    kind: ClassVar[str]
    state: State

    @property
    def abilities(self) -> frozenset[str]:
        """What it can do."""
        ...


def documents(index: Checked, names: list[str], items: TokenEmbeddings) -> None:
    """Raise InputError unless these documents can be added to an index in the state it is in."""
    state = index.state
    if len(names) != len(items):
        raise InputError(f"Expected one id a document, got {len(names)} ids for {len(items)} documents: match them.")
    seen: set[str] = set()
    for name in names:
        if not isinstance(name, str) or not name:
            raise InputError(f"Expected ids that are non-empty strings, got {name!r}: convert it.")
        if name in seen:
            raise InputError(f"Document {name!r} is given twice: give it once.")
        seen.add(name)
    there = np.flatnonzero(state.ids.positions(names) >= 0)
    if len(there):
        raise InputError(f"Document {names[there[0]]!r} is already in the index: remove it first.")
    empty = np.flatnonzero(items.lengths == 0)
    if len(empty) and "empty-documents" not in index.abilities:
        raise InputError(
            f"Document {names[empty[0]]!r} has no token vectors, which index kind {index.kind!r} cannot hold: leave it "
            "out, or choose exact, hnsw, muvera or plaid."
        )
    if len(names):
        vectors(state, items, names)


def vectors(state: State, items: TokenEmbeddings, names: list[str] | None) -> None:
    """Raise InputError unless these vectors fit the dimension and the model of an index in this state.

    Args:
        state: What the index holds: its dimension and its model count.
        items: Queries or documents.
        names: Ids for the sentence, or None for queries.
    """
    if items.dim == 0 or (state.dim and items.dim != state.dim):
        raise InputError(
            f"Expected vectors of dimension {state.dim or '1 or more'}, got {items.dim}: use the same model."
        )
    mine, theirs = state.fingerprint, items.fingerprint
    if mine is not None and theirs is not None and mine != theirs:
        (model, _, dtype), (other, _, _) = mine.partition("-"), theirs.partition("-")
        first = f'load the model with dtype="{dtype}"' if dtype and model == other else "encode with the first"
        raise InputError(
            f"The index was built with model {mine}, these vectors come from {theirs}: {first}, or build a new index."
        )
    items.check(names)
