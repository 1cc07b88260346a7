"""Settings of a sharded index: its own, and those of the kind that its shards are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields, make_dataclass
from functools import lru_cache
from typing import Any

from engine.checks import require_whole
from engine.errors import InputError
from engine.indexes.base import Index, Settings

OF = "plaid"
ABOUT = """Settings of an index in shards of kind {kind}.

    Args:
        of: Kind of the shards.
        shards: How many; a checksum of its vectors decides where a document goes.
        processes: That search, of this machine: each opens its shards once and stays. 0 searches in this process.
        The others are those of {kind}, and every shard has them.
    """


@lru_cache(maxsize=64)
def settings_of(inner: type[Index]) -> type[Settings]:
    """The settings of an index whose shards are of a kind: a frozen dataclass with those of the kind behind its own.

    Raises:
        InputError: the kind cannot be held in shards.
    """
    # `of` has one default for all kinds, so that a text which names another one always says so.
    own: list[tuple[str, Any, Any]] = [
        ("of", str, field(default=OF)), ("shards", int, field(default=4)), ("processes", int, field(default=0))
    ]  # fmt: skip
    names, theirs = {name for name, _, _ in own}, fields(inner.settings_class)
    shared = next((entry.name for entry in theirs if entry.name in names), None)
    if shared is not None or inner.kind == "sharded":
        own_kind = inner.kind == "sharded"
        why = "it is made of shards itself" if own_kind else f"it has a setting {shared!r} of its own"
        raise InputError(f"Index kind {inner.kind!r} cannot be held in shards, since {why}: choose another one.")

    def check(self: Any) -> None:
        require_whole("shards", self.shards)
        require_whole("processes", self.processes, least=0)
        inner_settings(self, inner)

    name = f"Sharded{inner.settings_class.__name__}"
    space = {"__post_init__": check, "__doc__": ABOUT.format(kind=inner.kind), "__module__": __name__}
    entries = [*own, *((entry.name, entry.type, _default(entry)) for entry in theirs)]
    return make_dataclass(name, entries, bases=(Settings,), namespace=space, frozen=True)


def _default(entry: Field[Any]) -> Any:
    if entry.default_factory is not MISSING:
        return field(default_factory=entry.default_factory)
    return field(default=entry.default)


def inner_settings(settings: Any, inner: type[Index]) -> Any:
    """The settings of the shards.

    Args:
        settings: An object of `settings_of(inner)`.
        inner: Class of the shards.

    Returns:
        An object of `inner.settings_class`.

    Raises:
        InputError: a value that makes no sense there, or an index of it would not keep its last complete state.
    """
    names = [entry.name for entry in fields(inner.settings_class)]
    found = inner.settings_class(**{name: getattr(settings, name) for name in names})
    if "crash-safe" not in inner.able(found):
        raise InputError(
            f"Index kind {inner.kind!r} cannot be held in shards with these settings, since a change that is cut short "
            "would lose its last complete state: choose another kind."
        )
    return found


def named(settings: Mapping[str, Any]) -> str:
    """The kind of the shards that some settings name."""
    of = settings.get("of", OF)
    if not isinstance(of, str):
        raise InputError(f"Expected the kind of the shards as of, got {of!r}: write of=plaid.")
    return of
