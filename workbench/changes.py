"""Changes of an index on disk together with its documents: made, added to and removed from, one writer at a time.

The file of the documents may hold more than the index, never less, so that a kill between the two costs nothing: what
the index does not name is not shown, and the next change leaves it out.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection as Some
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine import Collection, Encoder, TokenEmbeddings, open_index
from engine.errors import InputError, NotFoundError, StorageError, WorkbenchError
from engine.fields import Fields
from engine.files import file_lock, replace_bytes
from engine.indexes import Index, index_class, new_index
from engine.pooling import KEEP_ALL, PoolSettings
from workbench.experiments.prepare import Prepared, prepare
from workbench.experiments.unread import what_was_cut
from workbench.indexed import DOCUMENTS, keep_documents, read_documents

CHANGING = "documents.lock"
HALF = ".half-"  # how a folder is called until it is complete


def create_indexed(
    folder: Path, collection: Collection, encoder: Encoder, model: str, kind: str, settings: Mapping[str, Any]
) -> None:
    """Build an index with its documents; the folder is there when it is complete, and not before.

    Args:
        folder: That is to be; its parent exists.
        collection: The documents.
        encoder: Encodes them.
        model: Its name, by which the index is opened again.
        kind: Of index.
        settings: That are not the defaults.

    Raises:
        InputError: something is there already, or settings that this kind does not have.
        StorageError: the disk is full or gone; nothing is left.
    """
    index_class(kind, dict(settings)).parse_settings(dict(settings))
    index_class(kind, dict(settings)).check_installed()
    if folder.exists():
        raise InputError(f"Expected the name of a new index, got {folder.name!r}, which exists: choose another.")
    vectors, cut = _encoded(collection, encoder, KEEP_ALL)
    half = Path(tempfile.mkdtemp(prefix=HALF, dir=folder.parent))
    try:
        with new_index(kind, half / folder.name, **settings) as created:
            keep_documents(created.path, collection, model, cut=cut)
            created.add(list(collection.documents), vectors)
        os.rename(created.path, folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def sweep_halves(store: Path) -> None:
    """Remove what killed processes left of indexes that were never complete; nobody may be building one here."""
    for left in store.glob(f"{HALF}*"):
        shutil.rmtree(left, ignore_errors=True)


def remove_indexed(folder: Path) -> None:
    """Remove an index with its documents; its name is free at once, and a kill leaves what `sweep_halves` removes.

    Raises:
        StorageError: it cannot be removed.
    """
    half = Path(tempfile.mkdtemp(prefix=HALF, dir=folder.parent))
    try:
        os.rename(folder, half / folder.name)
    except OSError as error:
        raise StorageError(f"{folder} cannot be removed ({error.strerror}): look at its rights.") from None
    finally:
        shutil.rmtree(half, ignore_errors=True)


def add_documents(folder: Path, added: Collection, encoder: Encoder) -> None:
    """Add documents to an index and to the texts beside it; either all are there afterwards, or none.

    Args:
        folder: See `open_indexed`.
        added: The documents with their titles, parts and fields.
        encoder: The model that encoded the others.

    Raises:
        InputError: an id that is there already, or another model; nothing was written.
        BusyError: another process or thread is changing it.
        StorageError: the disk is full or gone; the index is as before.
    """
    index, pooling = open_index(folder), read_documents(folder)[2]
    _check_new(index, added.documents, encoder)
    vectors, cut = _encoded(added, encoder, pooling)
    with _changing(folder) as (index, collection, model, known):  # what was cut: of the last addition that was
        _check_new(index, added.documents, encoder)
        before = (folder / DOCUMENTS).read_bytes()
        keep_documents(folder, _joined(collection, added), model, str(pooling), cut or known)
        try:
            index.add(list(added.documents), vectors)
        except BaseException:
            with suppress(WorkbenchError):
                if next(iter(added.documents)) not in open_index(folder):
                    replace_bytes(folder / DOCUMENTS, before)
            raise


def remove_documents(folder: Path, ids: Sequence[str]) -> None:
    """Remove documents from an index, and their texts and fields from the file beside it.

    Args:
        folder: See `open_indexed`.
        ids: Of documents that are there.

    Raises:
        NotFoundError: an id that is not there; nothing was written.
        InputError: no document would be left.
        BusyError: another process or thread is changing it.
        StorageError: the disk is full or gone.
    """
    gone = set(ids)
    with _changing(folder) as (index, collection, model, cut):
        unknown = next((name for name in ids if name not in index), None)
        if unknown is not None:
            raise NotFoundError(f"The index {folder.name} has no document {unknown!r}: name ids that were added.")
        if len(gone) >= len(index):
            raise InputError("Expected a document to be left, got the ids of all: remove the index instead.")
        left = _among(collection, [key for key in collection.documents if key not in gone])
        pooling = read_documents(folder)[2]
        index.remove(list(gone))
        keep_documents(folder, left, model, str(pooling), cut)


@contextmanager
def _changing(folder: Path) -> Iterator[tuple[Index, Collection, str, str]]:
    """Index, its documents, its model and what was cut, as they are while nobody else changes them."""
    with file_lock(folder / CHANGING, 0.0):
        index = open_index(folder)
        collection, model, _, cut = read_documents(folder)
        yield index, _among(collection, index.ids), model, cut


def _check_new(index: Index, ids: Some[str], encoder: Encoder) -> None:
    known = next((name for name in ids if name in index), None)
    if known is not None:
        raise InputError(f"Expected new ids, got {known!r}, which the index has already: remove it first.")
    if index.state.fingerprint not in (None, encoder.fingerprint):
        raise InputError(f"The index was built with another model than {encoder.name!r}: open it with that one.")


def _encoded(collection: Collection, encoder: Encoder, pooling: PoolSettings) -> tuple[TokenEmbeddings, str]:
    """Vectors of documents as `workbench index` makes them, and what was cut; nothing is kept for next time."""
    about = prepare(collection, encoder)
    vectors = encoder.encode_document(list(collection.documents.values())).astype(about.vectors)
    cut = what_was_cut("documents", vectors, encoder.describe())
    if pooling.keeps_all:
        return vectors, cut
    none = TokenEmbeddings.from_list([], vectors.fingerprint, dim=vectors.dim)
    held = Prepared(collection, about.identity, about.model, about.vectors, encoder, (vectors, none))
    held.pooler.check(pooling)
    return held.pooled(pooling, keep=False)[0], cut


def _rows(collection: Collection) -> dict[str, Mapping[str, Any]]:
    return {} if collection.fields is None else dict(collection.fields.read())


def _names(collection: Collection) -> tuple[str, ...]:
    return () if collection.fields is None else collection.fields.names


def _among(collection: Collection, ids: Sequence[str]) -> Collection:
    """Some documents of a collection, with all that is known of them."""
    rows, chosen = _rows(collection), set(ids)
    return replace(
        collection, documents={key: collection.documents[key] for key in ids},
        titles={key: title for key, title in collection.titles.items() if key in chosen},
        parts={key: part for key, part in collection.parts.items() if key in chosen},
        fields=Fields(collection.fields.names, lambda: rows) if collection.fields else None,
    )  # fmt: skip


def _joined(there: Collection, added: Collection) -> Collection:
    """The documents of two collections under the name of the first."""
    names = tuple(dict.fromkeys([*_names(there), *_names(added)]))
    rows = {**_rows(there), **_rows(added)}
    return replace(
        there, documents={**there.documents, **added.documents}, titles={**there.titles, **added.titles},
        parts={**there.parts, **added.parts}, fields=Fields(names, lambda: rows) if names else None,
    )  # fmt: skip
