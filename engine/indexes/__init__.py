"""Indexes behind one contract: create by kind, open from a folder.

A kind is a subclass of `Index` in one file. Those of this repository stand in `BUILT_IN`: they work from a source tree
that was never installed, and opening one looks at no metadata. Kinds of other packages register their class under the
entry point group `late_interaction.indexes`, and every command and page knows them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from engine import plugins, storage
from engine.errors import InputError
from engine.files import missing_folders, remove_empty, remove_new
from engine.indexes.base import Index

BUILT_IN = {
    "exact": "engine.indexes.exact:ExactIndex",
    "plaid": "engine.indexes.plaid:PlaidIndex",
    "hnsw": "engine.indexes.hnsw:HnswIndex",
    "muvera": "engine.indexes.muvera:MuveraIndex",
    "fast-plaid": "engine.indexes.fast_plaid:FastPlaidIndex",
    "lancedb": "engine.indexes.lancedb:LanceIndex",
    "qdrant": "engine.indexes.qdrant:QdrantIndex",
    "xtr-warp": "engine.indexes.xtr_warp:XtrWarpIndex",
    "sharded": "engine.indexes.sharded:ShardedIndex",
}
DEFAULT_KIND = "plaid"


def kinds() -> tuple[str, ...]:
    """The known kinds: those of this repository, then those of other packages by name."""
    return (*BUILT_IN, *(name for name in plugins.names(plugins.INDEXES) if name not in BUILT_IN))


def index_class(kind: str, settings: Mapping[str, Any] | None = None) -> type[Index]:
    """The class of a kind.

    Args:
        kind: Its name.
        settings: Those that it is made with, which decide for a kind that holds others, such as "sharded".

    Raises:
        InputError: an unknown kind, where the sentence lists the known ones, or one whose package cannot be used.
    """
    if kind in BUILT_IN:
        module, _, name = BUILT_IN[kind].partition(":")
        found: type[Index] = getattr(import_module(module), name)
    else:
        found = _registered(kind)
    return cast("type[Index]", found.made_with(settings)) if settings else found


def _registered(kind: str) -> type[Index]:
    try:
        found = plugins.find(plugins.INDEXES, kind)
    except Exception as error:  # another package's import may raise anything
        raise InputError(
            f"The package that registers the index kind {kind!r} cannot be loaded ({type(error).__name__}: {error}): "
            "update or remove it."
        ) from None
    if found is None:
        raise InputError(f"Unknown index kind {kind!r}: choose among {', '.join(kinds())}.")
    if not (isinstance(found, type) and issubclass(found, Index) and getattr(found, "kind", None) == kind):
        raise InputError(
            f"Expected a subclass of Index with kind = {kind!r} under the entry point {kind!r} of {plugins.INDEXES}, "
            f"got {found!r}: mend the package that registers it."
        )
    return found


def classes() -> dict[str, type[Index]]:
    """The classes of all known kinds; without those of a package that cannot be loaded (`doctor` says why)."""
    found = {}
    for kind in kinds():
        with suppress(InputError):
            found[kind] = index_class(kind)
    return found


def packages() -> tuple[str, ...]:
    """Distributions whose version can change the numbers of some kind, those of other packages too."""
    return tuple(dict.fromkeys(name for found in classes().values() for name in found.packages))


def changed_settings(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are not the defaults of a kind."""
    defaults = asdict(index_class(kind, settings).settings_class())
    return {name: value for name, value in settings.items() if defaults.get(name) != value}


def create_index(kind: str = DEFAULT_KIND, path: str | Path = "index", **settings: Any) -> Index:
    """Create an empty index in a folder.

    Args:
        kind: "plaid", "exact", "hnsw", "sharded", ...
        path: A folder that does not exist or is empty.
        settings: Settings of the kind; `index_class(kind).settings_class` lists them with defaults.

    Returns:
        The index, ready for `add`.

    Raises:
        InputError: an unknown kind or setting, a value that makes no sense, or a folder that is in use.
        MissingExtraError: the kind needs a package that is not installed.
    """
    return index_class(kind, settings).create(Path(path), settings)


@contextmanager
def new_index(kind: str = DEFAULT_KIND, path: str | Path = "index", **settings: Any) -> Iterator[Index]:
    """Create an index for the block that fills it; when the block fails, nothing is left behind.

    Args:
        kind: See `create_index`.
        path: See `create_index`.
        settings: See `create_index`.

    Raises:
        InputError: as `create_index`.
        MissingExtraError: as `create_index`.
    """
    folder = Path(path)
    new = missing_folders(folder)
    index = create_index(kind, folder, **settings)
    try:
        yield index
    except BaseException:
        remove_new(folder, set())
        remove_empty(new)
        raise


def open_index(path: str | Path) -> Index:
    """Open an index; its kind is read from the folder.

    Args:
        path: A folder that `create_index` made.

    Returns:
        The index.

    Raises:
        NotFoundError: no index there.
        CorruptDataError: its files are damaged.
    """
    manifest = storage.read_manifest(Path(path))
    prefix, _, kind = manifest.kind.partition("/")
    if prefix != "index":
        raise InputError(f"{path} holds a {manifest.kind!r}, expected an index: give the folder of an index.")
    return index_class(kind, manifest.record.get("settings")).open(Path(path))


__all__ = [
    "BUILT_IN",
    "DEFAULT_KIND",
    "Index",
    "changed_settings",
    "classes",
    "create_index",
    "index_class",
    "kinds",
    "new_index",
    "open_index",
    "packages",
]
