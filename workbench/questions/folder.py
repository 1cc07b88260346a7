"""A collection written as a folder that every command reads again, with the marks of its made questions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from engine import Collection
from engine.fields import of_fields
from engine.files import make_folder, replace_text, require_new


def write_collection(collection: Collection, folder: Path) -> Path:
    """Write a collection in the BEIR layout; the corpus, without which it is none, is written last.

    Args:
        collection: With its fields, and where its parts stand.
        folder: New or empty.

    Returns:
        The folder.

    Raises:
        InputError: the folder holds something, or the source of the fields has changed since it was read.
        StorageError: the disk is full or gone.
    """
    require_new(folder)
    columns = {name: values.to_pylist() for name, values in of_fields(collection).items()}
    make_folder(folder / "qrels")
    judged = [
        f"{query}\t{name}\t{grade}" for query, grades in collection.qrels.items() for name, grade in grades.items()
    ]
    replace_text(folder / "qrels" / "test.tsv", "\n".join(["query-id\tcorpus-id\tscore", *judged]) + "\n")
    replace_text(folder / "queries.jsonl", _lines(_query(collection, query) for query in collection.queries))
    rows = (_document(collection, name, place, columns) for place, name in enumerate(collection.documents))
    replace_text(folder / "corpus.jsonl", _lines(rows))
    return folder


def _query(collection: Collection, query: str) -> dict[str, Any]:
    row: dict[str, Any] = {"_id": query, "text": collection.queries[query]}
    if query in collection.made:
        row |= {"made": collection.made[query], "confirmed": query in collection.confirmed}
    return row


def _document(collection: Collection, name: str, place: int, columns: Mapping[str, list[Any]]) -> dict[str, Any]:
    text, title = collection.documents[name], collection.titles.get(name, "")
    row: dict[str, Any] = {"_id": name}
    if title and text.startswith(title):
        row["title"], text = title, text[len(title) :].lstrip()
    row["text"] = text
    others = {column: values[place] for column, values in columns.items() if column not in row}
    if name in collection.parts:
        others |= {key: value for key, value in collection.parts[name]._asdict().items() if key not in row}
    return row | {column: value for column, value in others.items() if value is not None}


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
