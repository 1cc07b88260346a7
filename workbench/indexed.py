"""The documents of an index on disk: a file beside its vectors, so that the folder alone can be searched and shown."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine import Collection, Encoder, open_index
from engine.collection import Part
from engine.errors import CorruptDataError, InputError, NotFoundError
from engine.fields import Fields, of_fields
from engine.files import replace_bytes
from engine.model_names import ModelName
from engine.pooling import PoolSettings, parse_pool
from workbench.elsewhere import spread_index
from workbench.experiments.experiment import INDEX
from workbench.experiments.prepare import prepare
from workbench.workspace import Workspace

DOCUMENTS = "documents.parquet"
ABOUT = b"workbench"  # name in the file's metadata
OWN = "__"  # how the names of our own columns begin: no field's does
_COLUMNS = ("id", "title", "text", *Part._fields)


def absolute(model: str) -> str:
    """The name of a model that is right from every folder; how it reads documents stays in it."""
    wanted = ModelName.parse(model)
    return str(replace(wanted, name=str(Path(wanted.name).resolve())) if Path(wanted.name).exists() else wanted)


def keep_documents(folder: Path, collection: Collection, model: str, pool: str = "", cut: str = "") -> None:
    """Write the documents of a collection beside an index, whole or not at all.

    Args:
        folder: Of the index.
        collection: Its documents, titles, parts and fields are kept.
        model: The name of the model that encoded them.
        pool: How their vectors were pooled, as `engine.pooling.parse_pool` reads it.
        cut: What of them was not read, in words.

    Raises:
        StorageError: the disk is full or gone.
        InputError: the source of the fields has changed since it was read.
    """
    import pyarrow as pa
    from pyarrow import parquet

    keys = list(collection.documents)
    parts = [collection.parts.get(key) for key in keys]
    columns: dict[str, Any] = {
        f"{OWN}id": pa.array(keys, pa.string()),
        f"{OWN}title": pa.array([collection.titles.get(key) for key in keys], pa.string()),
        f"{OWN}text": pa.array(list(collection.documents.values()), pa.string()),
    }
    for name in Part._fields:
        kind = pa.string() if name == "document" else pa.int64()
        columns[OWN + name] = pa.array([getattr(part, name, None) for part in parts], kind)
    columns |= {name: values for name, values in of_fields(collection).items() if not name.startswith(OWN)}
    about = {"name": collection.name, "model": model, "folder": collection.folder and str(collection.folder),
             "pool": pool, "cut": cut}  # fmt: skip
    stream = io.BytesIO()
    table = pa.table(columns).replace_schema_metadata({ABOUT: json.dumps(about)})
    parquet.write_table(table, stream, compression="zstd", write_page_checksum=True)
    replace_bytes(folder / DOCUMENTS, stream.getvalue())


def model_of(folder: Path) -> str:
    """The name of the model that encoded the documents of an index on disk; see `read_documents`."""
    from pyarrow import parquet

    try:
        return str(json.loads(parquet.read_schema(folder / DOCUMENTS).metadata[ABOUT])["model"])
    except FileNotFoundError:
        return read_documents(folder)[1]  # which says what is missing
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise _damaged(folder / DOCUMENTS, error) from None


def read_documents(folder: Path) -> tuple[Collection, str, PoolSettings, str]:
    """The documents that `keep_documents` wrote.

    Args:
        folder: Of the index.

    Returns:
        The collection, whose fields are read when they are asked for, the name of the model, how the vectors were
        pooled, and what of the texts was not read.

    Raises:
        NotFoundError: there are none.
        CorruptDataError: the file is damaged.
    """
    path = folder / DOCUMENTS
    if not path.is_file():
        raise NotFoundError(
            f"{folder} holds vectors without their texts ({DOCUMENTS}): build it with `workbench index`, or search its "
            "collection."
        )
    own = [OWN + name for name in _COLUMNS]
    table = _read(path, own)
    try:
        about = json.loads(table.schema.metadata[ABOUT])
        rows = [dict(zip(_COLUMNS, row, strict=True)) for row in zip(*table.to_pydict().values(), strict=True)]
        parts = {
            row["id"]: Part(*(row[name] for name in Part._fields)) for row in rows if row["document"] is not None
        }  # fmt: skip
        names = tuple(name for name in _names(path) if not name.startswith(OWN))
        collection = Collection(
            {row["id"]: row["text"] for row in rows}, name=about["name"],
            titles={row["id"]: row["title"] for row in rows if row["title"]}, parts=parts,
            folder=Path(about["folder"]) if about["folder"] else None,
            fields=Fields(names, lambda: _rows(path, names)) if names else None,
        )  # fmt: skip
        pooling = parse_pool(about.get("pool", ""))  # earlier versions pooled nothing
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise _damaged(path, error) from None
    return collection, str(about["model"]), pooling, str(about.get("cut", ""))


def _rows(path: Path, names: tuple[str, ...]) -> dict[str, Mapping[str, Any]]:
    table = _read(path, [f"{OWN}id", *names])
    return {row.pop(f"{OWN}id"): row for row in table.to_pylist()}


def _names(path: Path) -> list[str]:
    from pyarrow import parquet

    return list(parquet.read_schema(path).names)


def _read(path: Path, columns: list[str]) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.read_table(path, columns=columns, page_checksum_verification=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> CorruptDataError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return CorruptDataError(f"{path} is damaged ({reason}): build the index again.")


def open_indexed(
    folder: str | Path, model: str | Encoder | None = None, device: str = "auto", scorer: str = INDEX
) -> Workspace:
    """Open an index on disk with its documents and its model, ready to be searched.

    Args:
        folder: What `workbench index` wrote.
        model: Instead of the model that encoded its documents.
        device: Where the model runs.
        scorer: What ranks, as in `Experiment`.

    Returns:
        The workspace; its documents are encoded again only where something asks for their original vectors.

    Raises:
        NotFoundError: no index there, or none with documents, or no such model.
        CorruptDataError: a file is damaged.
        InputError: the documents are not those of the index, or another model encoded them.
    """
    path = Path(folder)
    index = spread_index(open_index(path))
    collection, name, pooling, cut = read_documents(path)
    if any(key not in collection.documents for key in index.ids):  # some were removed between the two
        index.refresh()
    absent = next((key for key in index.ids if key not in collection.documents), None)
    if absent is not None:
        raise InputError(f"{path} has a document {absent!r} whose text is not in {DOCUMENTS}: build the index again.")
    if len(index) == 0:
        raise InputError(f"{path} holds an index without documents: add some.")
    collection = replace(collection, documents={key: collection.documents[key] for key in index.ids})
    prepared = prepare(collection, model or name, device=device)
    assert prepared.encoder is not None
    if index.state.fingerprint not in (None, prepared.encoder.fingerprint):
        raise InputError(
            f"{path} was built with another model than {prepared.encoder.name!r}: give the one with --model, it was "
            f"called {name!r}."
        )
    prepared.known_cut = cut
    return Workspace(prepared, index, scorer, pooling=pooling)
