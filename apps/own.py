"""Texts from a browser as a collection: checked against stated limits, never unpacked, executed or opened by name."""

from __future__ import annotations

import base64
import binascii
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from apps.text import asked, visible
from engine import Collection, Encoder, load_collection
from engine.errors import InputError, MissingExtraError, WorkbenchError
from engine.fields import Fields
from engine.letters import clean
from engine.reading.apart import PAPERS, Limits, check_installed
from engine.reading.documents import read_folder
from engine.reading.lines import GZIP, Lines
from engine.reading.passages import Passages, Span, cut_collection, token_spans
from workbench.questions import from_texts, with_questions

PLAIN, TABLES = (".txt", ".md"), (".jsonl", ".json", ".csv", ".tsv")
PAPER_LIMITS = Limits(bytes=20_000_000, unpacked=200_000_000, pages=2_000, characters=20_000_000, seconds=30.0)
PASSAGES = "150:30"  # words and overlap that the page offers first
WINDOWS = "256:32"  # tokens and overlap that it offers first
MADE = 50  # questions that are made for those who bring none
BEIR = {"corpus.jsonl": "corpus.jsonl", "queries.jsonl": "queries.jsonl"}  # and the judgements, in any .tsv
MOST_FILES = 200
MOST_BYTES = 20_000_000
MOST_DOCUMENTS = 20_000
MOST_QUESTIONS = 1_000
LONGEST_NAME = 80
UNSAFE = re.compile(r"[^\w .()\[\]#&+,-]")  # what a file's name is written without


def limits() -> dict[str, Any]:
    """The limits, for the page to state."""
    return {
        "files": MOST_FILES, "bytes": MOST_BYTES, "documents": MOST_DOCUMENTS, "types": types(),
        "pages": PAPER_LIMITS.pages, "seconds": PAPER_LIMITS.seconds, "passages": PASSAGES, "made": MADE,
        "windows": WINDOWS,
    }  # fmt: skip


def types() -> list[str]:
    """Suffixes of the files that are taken: those of documents only where the libraries that read them are there."""
    found = []
    for suffix, kind in PAPERS.items():
        with suppress(MissingExtraError):
            check_installed(kind)
            found.append(suffix)
    return [*PLAIN, *found, *TABLES]


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


class HeldFolder(type(Path())):
    """A folder that is there as long as something refers to it."""

    held: tempfile.TemporaryDirectory[str]


def own_collection(request: Mapping[str, Any], encoder: Encoder | None = None) -> Collection:
    """Make a collection of what a person pasted or chose.

    Args:
        request: "name"; "text" (pasted) or "files"; "cut" ("paragraphs" of text files, "passages" of "size" as
            "words:overlap" or "tokens:overlap:tokens", or nothing: a file or a page is a document); "questions" (one a
            line, or nothing); "make" (whether questions are made where there are none).
        encoder: Whose tokens passages count; those of the embedded model without one.

    Returns:
        The collection.

    Raises:
        InputError: a limit is passed, or there is no text.
    """
    name = visible(asked(request, "name")).strip()[:LONGEST_NAME]
    pasted, cut = asked(request, "text"), asked(request, "cut")
    if pasted.strip():
        content = read_files([{"name": "pasted.txt", "text": pasted}], PLAIN)[0][1]
        collection = _plain([("paragraph", content)], True, name or "pasted text")
    else:
        collection = _of_files(read_files(request.get("files"), types()), name, cut == "paragraphs")
    if cut == "passages":
        collection = cut_collection(collection, Passages.parse(asked(request, "size") or PASSAGES), _spans(encoder))
    if len(collection.documents) > MOST_DOCUMENTS:
        raise InputError(
            f"Expected at most {MOST_DOCUMENTS:,} documents, got {len(collection.documents):,}: start the workbench on "
            "them instead, `workbench ui --collection my-folder`."
        )
    return _with_questions(collection, asked(request, "questions"), bool(request.get("make")))


def _of_files(files: Sequence[tuple[str, bytes]], name: str, paragraphs: bool) -> Collection:
    if not files:
        raise InputError("There is no text yet: paste some, or choose files.")
    suffixes = [Path(entry).suffix.lower() for entry, _ in files]
    tables = [suffix in TABLES for suffix in suffixes]
    if all(tables):
        return _tables(files, name)
    if any(tables):
        raise InputError(
            "Expected either texts (.txt, .md, .pdf, .html, .docx) or one table (.jsonl, .csv, .tsv): choose one kind."
        )
    if not any(suffix in PAPERS for suffix in suffixes):
        return _plain(files, paragraphs, name or files[0][0])
    if paragraphs:
        raise InputError("Paragraphs are known of text files only: choose passages, or no cutting.")
    return _papers(files, name or (files[0][0] if len(files) == 1 else f"{files[0][0]} and {len(files) - 1} more"))


def _papers(files: Sequence[tuple[str, bytes]], title: str) -> Collection:
    """Documents as `load_collection` reads a folder; the folder stays while the collection does, for its pictures."""
    held = tempfile.TemporaryDirectory(prefix="workbench-")
    folder = HeldFolder(held.name)
    folder.held = held
    for name, content in files:
        safe = UNSAFE.sub("_", name).lstrip(".") or "file"
        while (folder / safe).exists():
            safe = f"{Path(safe).stem}'{Path(safe).suffix}"
        (folder / safe).write_bytes(content)
    try:
        read = read_folder(folder, PAPER_LIMITS)
    except WorkbenchError as error:
        raise type(error)(str(error).replace(f"{folder}/", "").replace(str(folder), "the files")) from None
    assert read.fields is not None
    rows = {key: {**row, "modified": None} for key, row in read.fields.read().items()}  # when they were sent is no news
    return replace(read, name=title, folder=folder, fields=Fields(("path", "suffix", "bytes"), lambda: rows))


def _spans(encoder: Encoder | None) -> Callable[[str], list[Span]] | None:
    return None if encoder is None else token_spans(encoder)


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
            read_fields = read.fields
            rows = {} if read_fields is None else read_fields.read()  # while the files are there
        except WorkbenchError as error:
            raise InputError(named(str(error))) from None
    notes = tuple(named(note) for note in read.notes)
    fields = None
    if read_fields is not None:
        fields = replace(read_fields, read=lambda: rows)
    return replace(read, name=name or fallback, notes=notes, fields=fields)


def _with_questions(collection: Collection, text: str, make: bool = False) -> Collection:
    asked = [line.strip() for line in text.encode("utf-8", "replace").decode().splitlines() if line.strip()]
    if len(asked) > MOST_QUESTIONS:
        raise InputError(f"Expected at most {MOST_QUESTIONS:,} questions, got {len(asked):,}: leave some out.")
    if asked:
        added = {f"question {number}": line for number, line in enumerate(asked, start=1)}
        return replace(collection, queries={**collection.queries, **added})
    if not make or collection.queries:
        return collection
    try:
        return with_questions(collection, from_texts(collection, MADE))
    except InputError as error:  # texts that make no question are searched all the same
        return replace(collection, notes=(*collection.notes, str(error)))
