"""Files that are documents themselves: texts, PDF, HTML and .docx, one by itself or all below a folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from engine.collection import Collection
from engine.errors import InputError, MissingExtraError, WorkbenchError
from engine.reading import columns
from engine.reading.apart import PAPERS, Limits, Parser, paper_kind
from engine.reading.assembly import assemble
from engine.reading.lines import Lines
from engine.reading.rows import table_kind
from engine.reading.texts import Texts

PLAIN = {".txt", ".md"}
NOISE = {"node_modules", "__pycache__", "__MACOSX"}  # folders of programs, as the hidden ones are
NAMED = 3  # kinds of files, and files that could not be read, that notes name


@dataclass
class _Found:
    """What a walk below a folder met.

    Args:
        paths: Files that are read.
        hidden: How many hidden files of the same kinds were skipped.
        closed: How many folders were not entered.
        others: Suffix -> how many files of other kinds were skipped.
        tables: Names of tables, whose rows are documents only where the table itself is given.
    """

    paths: list[Path] = field(default_factory=list)
    hidden: int = 0
    closed: int = 0
    others: Counter[str] = field(default_factory=Counter)
    tables: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        """Sentences about what was skipped."""
        kinds = (("hidden files", self.hidden), ("folders of programs or hidden ones", self.closed))
        hidden = [f"{count} {kind}" for kind, count in kinds if count]
        notes = [f"{' and '.join(hidden)} were skipped"] if hidden else []
        if self.others:
            named = ", ".join(f"{count} {suffix}" for suffix, count in self.others.most_common(NAMED))
            more = ", ..." if len(self.others) > NAMED else ""
            notes.append(f"{self.others.total()} files of other kinds were skipped ({named}{more})")
        if self.tables:
            notes.append(f"{len(self.tables)} tables were not read, first {min(self.tables)}: give one by its name")
        return notes


def is_document(path: Path) -> bool:
    """Whether a file is a document by its suffix, rather than a table of them."""
    return path.suffix.lower() in PLAIN or paper_kind(path) is not None


def read_document(path: Path, limits: Limits | None = None) -> Collection:
    """A collection of one file: its pages, or itself.

    Args:
        path: The file.
        limits: Of a file that a library must parse.

    Returns:
        The collection.

    Raises:
        InputError: it cannot be read, or holds no text.
        MissingExtraError: the library that reads it is not installed.
    """
    found = Texts()
    with Parser(limits) as parser:
        _gather(found, path, path.name, parser)
    folder = path.absolute().parent
    return assemble(path.name, found, folder=folder, fields=columns.of_files(folder, [path.name]))


def read_folder(folder: Path, limits: Limits | None = None) -> Collection:
    """Every text, PDF, HTML and .docx file below a folder; hidden files and folders of programs are skipped.

    Args:
        folder: The folder.
        limits: Of each file that a library must parse.

    Returns:
        The collection; ids are paths below the folder. A file that cannot be read is left out, and a note says why.

    Raises:
        InputError: there is nothing to read, or no file can be.
        MissingExtraError: the library that reads the only files is not installed.
    """
    met, found = _walk(folder), Texts()
    if not met.paths:
        hint = f"give one of its tables ({', '.join(sorted(met.tables)[:NAMED])})" if met.tables else "add some"
        kinds = ", ".join((*sorted(PLAIN), *PAPERS))
        raise InputError(f"{folder} holds no corpus.jsonl and no {kinds} files: {hint}.")
    errors: list[WorkbenchError] = []
    with Parser(limits) as parser:
        for path in met.paths:
            name = path.relative_to(folder).as_posix()
            try:
                _gather(found, path, name, parser)
            except (InputError, MissingExtraError) as error:  # what one file holds is no reason to read no other
                if paper_kind(path) is None:
                    raise
                errors.append(error)
    if errors and not found.texts:
        raise errors[0]
    notes = [f"{len(found.empty)} empty files were left out"] if found.empty else []
    notes += [*met.notes(), *_left_out(errors, folder)]
    found.empty.clear()
    fields = columns.of_files(folder.absolute(), [path.relative_to(folder).as_posix() for path in met.paths])
    return assemble(folder.resolve().name, found, notes=notes, folder=folder.absolute(), fields=fields)


def _gather(found: Texts, path: Path, name: str, parser: Parser) -> None:
    """Take the texts of one file, or none of them."""
    if paper_kind(path) is not None:
        paper = parser.read(path)
        if paper.paged:
            found.add_pages(name, paper.pages, str(path))
        else:
            found.add(name, paper.title, paper.pages[0], str(path))
        return
    lines = Lines(path)
    found.add(name, None, lines.text(), str(path))
    found.notes += lines.notes


def _left_out(errors: Iterable[WorkbenchError], folder: Path) -> list[str]:
    """Sentences about files that could not be read, the same about several files once."""
    sentences = list(dict.fromkeys(str(error).replace(f"{folder}{os.sep}", "").rstrip(".") for error in errors))
    notes = [f"left out: {sentence}" for sentence in sentences[:NAMED]]
    return notes + ([f"{len(sentences) - NAMED} more files were left out like these"] if sentences[NAMED:] else [])


def _walk(folder: Path) -> _Found:
    """The files below a folder, in the order of their names, and what is not read."""
    met = _Found()
    for place, folders, files in os.walk(folder):
        entered = [name for name in folders if not name.startswith(".") and name not in NOISE]
        met.closed += len(folders) - len(entered)
        folders[:] = entered
        for name in files:
            path = Path(place, name)
            if is_document(path):
                if name.startswith("."):
                    met.hidden += 1
                elif path.is_file():
                    met.paths.append(path)
            elif not name.startswith(".") and path.is_file():
                if table_kind(path):
                    met.tables.append(path.relative_to(folder).as_posix())
                else:
                    met.others[path.suffix.lower() or "without a suffix"] += 1
    met.paths.sort()
    return met
