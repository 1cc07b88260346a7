"""Texts from a browser as a collection: checked against stated limits, never unpacked, executed or opened by name."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apps.text import asked, visible
from engine import Collection, load_collection
from engine.errors import InputError, WorkbenchError

PLAIN, TABLES = (".txt", ".md"), (".jsonl", ".csv", ".tsv")
BEIR = {"corpus.jsonl": "corpus.jsonl", "queries.jsonl": "queries.jsonl"}  # and the judgements, in any .tsv
MOST_FILES = 200
MOST_BYTES = 20_000_000
MOST_DOCUMENTS = 20_000
MOST_QUESTIONS = 1_000
LONGEST_NAME = 80


def limits() -> dict[str, Any]:
    """The limits, for the page to state."""
    return {"files": MOST_FILES, "bytes": MOST_BYTES, "documents": MOST_DOCUMENTS, "types": [*PLAIN, *TABLES]}


def read_files(files: Any, types: Sequence[str], most: int = MOST_FILES) -> list[tuple[str, str]]:
    """Check what a browser sent as files.

    Args:
        files: A list of {"name", "text"}.
        types: Suffixes that are taken.
        most: How many.

    Returns:
        Name (its last part, shortened) and text of each.

    Raises:
        InputError: too many or too large, another type, or no text.
    """
    entries = files if isinstance(files, list) else []
    if len(entries) > most:
        raise InputError(f"Expected at most {most} files, got {len(entries)}: choose fewer, or join them in a .jsonl.")
    found, size = [], 0
    for entry in entries:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("text"), str):
            raise InputError("Expected files with a name and a text: choose them again.")
        name = visible(re.split(r"[\\/]", asked(entry, "name", "file"))[-1])[-LONGEST_NAME:]
        if Path(name).suffix.lower() not in types:
            raise InputError(f"Expected {', '.join(types)}, got {name!r}: save it as one of these.")
        text = entry["text"].encode("utf-8", "replace")
        size += len(text)
        if size > MOST_BYTES:
            raise InputError(f"Expected at most {MOST_BYTES // 1_000_000} MB in all: choose fewer files.")
        if b"\0" in text[:4096]:
            raise InputError(f"{name!r} is no text: save it as UTF-8 text.")
        found.append((name, text.decode("utf-8")))
    return found


def own_collection(request: Mapping[str, Any]) -> Collection:
    """Make a collection of what a person pasted or chose.

    Args:
        request: "name"; "text" (pasted) or "files"; "cut" ("paragraphs", or one document a file); "questions" (one a
            line, or nothing).

    Returns:
        The collection.

    Raises:
        InputError: a limit is passed, or there is no text.
    """
    name = visible(asked(request, "name")).strip()[:LONGEST_NAME]
    pasted, paragraphs = asked(request, "text"), request.get("cut") == "paragraphs"
    if pasted.strip():
        files = read_files([{"name": "pasted.txt", "text": pasted}], PLAIN)
        collection = Collection(_plain([("paragraph", files[0][1])], True), name=name or "pasted text")
    else:
        files = read_files(request.get("files"), (*PLAIN, *TABLES))
        if not files:
            raise InputError("There is no text yet: paste some, or choose files.")
        tables = [entry for entry in files if Path(entry[0]).suffix.lower() in TABLES]
        if not tables:
            collection = Collection(_plain(files, paragraphs), name=name or files[0][0])
        elif len(tables) == len(files):
            collection = _tables(files, name)
        else:
            raise InputError("Expected either texts (.txt, .md) or one table (.jsonl, .csv, .tsv): choose one kind.")
    if not collection.documents:
        raise InputError("Every text is empty: choose others.")
    if len(collection.documents) > MOST_DOCUMENTS:
        raise InputError(
            f"Expected at most {MOST_DOCUMENTS:,} documents, got {len(collection.documents):,}: start the workbench on "
            "them instead, `workbench ui --collection my-folder`."
        )
    return _with_questions(collection, asked(request, "questions"))


def _plain(files: Sequence[tuple[str, str]], paragraphs: bool) -> dict[str, str]:
    documents: dict[str, str] = {}
    for name, text in files:
        parts = [part.strip() for part in re.split(r"\n[ \t]*\n", text)] if paragraphs else [text.strip()]
        kept = [part for part in parts if part]
        for number, part in enumerate(kept, start=1):
            key = f"{name} {number}" if len(kept) > 1 else name
            while key in documents:
                key += "'"
            documents[key] = part
    return documents


def _tables(files: Sequence[tuple[str, str]], name: str) -> Collection:
    """One table, or the three files of a BEIR collection, read by the engine from a folder with names of our own."""
    given = {entry.lower(): text for entry, text in files}
    with tempfile.TemporaryDirectory(prefix="workbench-") as temporary:
        folder = Path(temporary)
        if "corpus.jsonl" in given:
            for source, target in BEIR.items():
                if source in given:
                    (folder / target).write_text(given[source], encoding="utf-8")
            judgements = [text for entry, text in given.items() if entry.endswith(".tsv")]
            if judgements:
                (folder / "qrels").mkdir()
                (folder / "qrels" / "test.tsv").write_text(judgements[0], encoding="utf-8")
            source, fallback = folder, "corpus.jsonl"
        elif len(files) == 1:
            fallback = files[0][0]
            source = folder / f"documents{Path(fallback).suffix.lower()}"
            source.write_text(files[0][1], encoding="utf-8")
        else:
            raise InputError(
                "Expected one table, or corpus.jsonl with queries.jsonl and a .tsv of judgements: choose these."
            )
        try:
            read = load_collection(str(source))
        except WorkbenchError as error:
            raise InputError(str(error).replace(str(source), fallback).replace(str(folder), "the files")) from None
    return Collection(read.documents, read.queries, read.qrels, name or fallback, read.notes, read.titles)


def _with_questions(collection: Collection, text: str) -> Collection:
    asked = [line.strip() for line in text.encode("utf-8", "replace").decode().splitlines() if line.strip()]
    if len(asked) > MOST_QUESTIONS:
        raise InputError(f"Expected at most {MOST_QUESTIONS:,} questions, got {len(asked):,}: leave some out.")
    if not asked:
        return collection
    queries = {**collection.queries, **{f"question {number}": line for number, line in enumerate(asked, start=1)}}
    return Collection(
        collection.documents, queries, collection.qrels, collection.name, collection.notes, collection.titles
    )  # fmt: skip
