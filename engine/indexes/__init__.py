"""Indexes behind one contract: create by kind, open from a folder."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from engine import storage
from engine.errors import InputError
from engine.indexes.base import Index

KINDS = {
    "exact": "engine.indexes.exact:ExactIndex",
    "hnsw": "engine.indexes.hnsw:HnswIndex",
    "plaid": "engine.indexes.plaid:PlaidIndex",
    "fast-plaid": "engine.indexes.fast_plaid:FastPlaidIndex",
    "lancedb": "engine.indexes.lancedb:LanceIndex",
    "qdrant": "engine.indexes.qdrant:QdrantIndex",
    "xtr-warp": "engine.indexes.xtr_warp:XtrWarpIndex",
}
DEFAULT_KIND = "plaid"


def index_class(kind: str) -> type[Index]:
    """The class of a kind.

    Raises:
        InputError: an unknown kind; the sentence lists the known ones.
    """
    if kind not in KINDS:
        raise InputError(f"Unknown index kind {kind!r}: choose among {', '.join(KINDS)}.")
    module, _, name = KINDS[kind].partition(":")
    return getattr(import_module(module), name)


def create_index(kind: str = DEFAULT_KIND, path: str | Path = "index", **settings: Any) -> Index:
    """Create an empty index in a folder.

    Args:
        kind: "plaid", "exact", "hnsw", "fast-plaid", ...
        path: A folder that does not exist or is empty.
        settings: Settings of the kind; `index_class(kind).settings_class` lists them with defaults.

    Returns:
        The index, ready for `add`.

    Raises:
        InputError: an unknown kind or setting, a value that makes no sense, or a folder that is in use.
        MissingExtraError: the kind needs a package that is not installed.
    """
    return index_class(kind).create(Path(path), settings)


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
    return index_class(kind).open(Path(path))


__all__ = ["DEFAULT_KIND", "KINDS", "Index", "create_index", "index_class", "open_index"]
