"""Texts from a browser as a collection: checked against stated limits, never unpacked, executed or opened by name."""

from __future__ import annotations

import base64
import binascii
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apps.text import asked, visible
from engine import Collection, load_collection
from engine.errors import InputError, WorkbenchError
from engine.letters import clean
from engine.reading.lines import GZIP, Lines

PLAIN, TABLES = (".txt", ".md"), (".jsonl", ".json", ".csv", ".tsv")
BEIR = {"corpus.jsonl": "corpus.jsonl", "queries.jsonl": "queries.jsonl"}  # and the judgements, in any .tsv
MOST_FILES = 200
MOST_BYTES = 20_000_000
MOST_DOCUMENTS = 20_000
MOST_QUESTIONS = 1_000
LONGEST_NAME = 80


def limits() -> dict[str, Any]:
    """The limits, for the page to state."""
    return {"files": MOST_FILES, "bytes": MOST_BYTES, "documents": MOST_DOCUMENTS, "types": [*PLAIN, *TABLES]}


def read_files(files: Any, types: Sequence[str], most: int = MOST_FILES) -> list[tuple[str, bytes]]:
    """Check what a browser sent as files.

    Args:
        files: A list of {"name", "data"} (a data address in base64, the file as it is), or {"name", "text"}.
        types: Suffixes that are taken.
        most: How many.

    Returns:
        Name (its last part, shortened) and content of each.

    Raises:
        InputError: too many or too large, another type, or no content.
    """
    entries = files if isinstance(files, list) else []
    if len(entries) > most:
        raise InputError(f"Expected at most {most} files, got {len(entries)}: choose fewer, or join them in a .jsonl.")
    found, size = [], 0
    for entry in entries:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("data", entry.get("text")), str):
            raise InputError("Expected files with a name and a text: choose them again.")
        name = visible(re.split(r"[\\/]", str(entry.get("name") or "file"))[-1])[-LONGEST_NAME:]
        if Path(name).suffix.lower() not in types:
            raise InputError(f"Expected {', '.join(types)}, got {name!r}: save it as one of these.")
        content = _content(entry, name)
        size += len(content)
        if size > MOST_BYTES:
            raise InputError(f"Expected at most {MOST_BYTES // 1_000_000} MB in all: choose fewer files.")
        if content.startswith(GZIP):  # unpacked it may have any size
            raise InputError(f"{name!r} is compressed: unpack it first.")
        found.append((name, content))
    return found


def _content(entry: Mapping[str, Any], name: str) -> bytes:
    if "data" not in entry:
        return entry["text"].encode("utf-8", "replace")
    if entry["data"] == "data:":  # what some browsers send of an empty file
        return b""
    head, comma, body = entry["data"].partition(",")
    try:
        if not comma or not head.startswith("data:") or not head.endswith(";base64"):
            raise binascii.Error
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"{name!r} did not arrive whole: choose it again.") from None


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
        content = read_files([{"name": "pasted.txt", "text": pasted}], PLAIN)[0][1]
        collection = _plain([("paragraph", content)], True, name or "pasted text")
    else:
        files = read_files(request.get("files"), (*PLAIN, *TABLES))
        if not files:
            raise InputError("There is no text yet: paste some, or choose files.")
        tables = [entry for entry in files if Path(entry[0]).suffix.lower() in TABLES]
        if not tables:
            collection = _plain(files, paragraphs, name or files[0][0])
        elif len(tables) == len(files):
            collection = _tables(files, name)
        else:
            raise InputError("Expected either texts (.txt, .md) or one table (.jsonl, .csv, .tsv): choose one kind.")
    if len(collection.documents) > MOST_DOCUMENTS:
        raise InputError(
            f"Expected at most {MOST_DOCUMENTS:,} documents, got {len(collection.documents):,}: start the workbench on "
            "them instead, `workbench ui --collection my-folder`."
        )
    return _with_questions(collection, asked(request, "questions"))


def _plain(files: Sequence[tuple[str, bytes]], paragraphs: bool, title: str) -> Collection:
    documents: dict[str, str] = {}
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="workbench-") as temporary:
        path = Path(temporary) / "text.txt"
        for name, content in files:
            path.write_bytes(content)
            lines = Lines(path)
            try:
                text = clean(lines.text())
            except WorkbenchError as error:
                raise InputError(str(error).replace(str(path), name)) from None
            notes += [note.replace(path.name, name) for note in lines.notes]
            parts = [part.strip() for part in re.split(r"\n[ \t]*\n", text)] if paragraphs else [text.strip()]
            kept = [part for part in parts if part]
            if not kept:
                notes.append(f"{name} is empty and was left out")
            for number, part in enumerate(kept, start=1):
                key = f"{name} {number}" if len(kept) > 1 else name
                while key in documents:
                    key += "'"
                documents[key] = part
    if not documents:
        raise InputError("Every text is empty: choose others.")
    return Collection(documents, name=title, notes=tuple(notes))


def _tables(files: Sequence[tuple[str, bytes]], name: str) -> Collection:
    """One table, or the three files of a BEIR collection, read by the engine from a folder with names of our own."""
    given = {entry.lower(): content for entry, content in files}
    with tempfile.TemporaryDirectory(prefix="workbench-") as temporary:
        folder = Path(temporary)
        names = {}  # ours -> the person's
        if "corpus.jsonl" in given:
            for source, target in BEIR.items():
                if source in given:
                    (folder / target).write_bytes(given[source])
            judgements = [entry for entry in given if entry.endswith(".tsv")]
            if judgements:
                (folder / "qrels").mkdir()
                (folder / "qrels" / "test.tsv").write_bytes(given[judgements[0]])
                names["qrels/test.tsv"] = judgements[0]
            source, fallback = folder, "corpus.jsonl"
        elif len(files) == 1:
            fallback = files[0][0]
            source = folder / f"documents{Path(fallback).suffix.lower()}"
            source.write_bytes(files[0][1])
            names[source.name] = fallback
        else:
            raise InputError(
                "Expected one table, or corpus.jsonl with queries.jsonl and a .tsv of judgements: choose these."
            )

        def named(sentence: str) -> str:
            told = sentence.replace(f"{folder}/", "").replace(str(folder), "the files").replace(repr(folder.name), "it")
            for ours, theirs in names.items():
                told = told.replace(ours, theirs)
            return told

        try:
            read = load_collection(str(source))
        except WorkbenchError as error:
            raise InputError(named(str(error))) from None
    notes = tuple(named(note) for note in read.notes)
    return Collection(read.documents, read.queries, read.qrels, name or fallback, notes, read.titles)


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
