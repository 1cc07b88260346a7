"""Rows as documents and queries: one rule for ids, titles, empty texts and repeats, whatever the rows come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from engine.collection import join_title
from engine.errors import InputError
from engine.reading.rows import Table
from engine.reading.values import (
    ID_COLUMNS,
    QUERY_TEXT_COLUMNS,
    TEXT_COLUMNS,
    TITLE_COLUMNS,
    as_text,
    asked_column,
    clean,
    find_column,
    first_of,
)

HEADERLESS = {1: ("text",), 2: ("id", "text"), 4: ("id", "url", "title", "text")}  # the last two as MS MARCO ships them
NAMES = {*ID_COLUMNS, *TEXT_COLUMNS, *TITLE_COLUMNS, *QUERY_TEXT_COLUMNS}


@dataclass
class Texts:
    """Documents or queries while they are gathered.

    Args:
        kind: "documents" or "queries".
        texts: id -> text.
        titles: id -> title.
        empty: Ids whose text is empty: left out.
        repaired: Ids whose id, title or text held a NUL or half a surrogate pair.
        notes: What the reader of the rows guessed or replaced.
    """

    kind: str = "documents"
    texts: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    empty: dict[str, None] = field(default_factory=dict)
    repaired: dict[str, None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, key: str, title: str | None, text: str | None, where: str) -> None:
        """Take one text.

        Raises:
            InputError: its id was there before.
        """
        name = clean(key)
        if name in self.texts or name in self.empty:
            raise InputError(f"{where} repeats the id {name!r}: give every one of the {self.kind} its own.")
        joined = join_title(title, text)
        usable = clean(joined)
        if not usable.strip():
            self.empty[name] = None
            return
        if (name is not key and name != key) or usable != joined:
            self.repaired[name] = None
        self.texts[name] = usable
        if title and title.strip():
            self.titles[name] = clean(title)

    def all_notes(self) -> list[str]:
        """Sentences about what was left out or replaced."""
        found = list(self.notes)
        if self.empty:
            found.append(
                f"{len(self.empty)} {self.kind} with empty texts were left out, first {next(iter(self.empty))!r}"
            )
        if self.repaired:
            found.append(
                f"{len(self.repaired)} {self.kind} hold NULs or half surrogate pairs, replaced by U+FFFD, first "
                f"{next(iter(self.repaired))!r}"
            )
        return found


def gather_documents(tables: Iterable[Table], asked: Mapping[str, str | None] | None = None) -> Texts:
    """Documents from rows.

    Args:
        tables: The parts of one corpus.
        asked: Role ("id", "text", "title") -> the column that a person named for it.

    Returns:
        The documents; where no row has an id, the numbers of their lines are their ids.

    Raises:
        InputError: no column of texts, a row without an id among others that have one, a repeated id, a cell that is
            no text.
    """
    found, several = Texts(), list(tables)
    for table in several:
        columns = {
            role: _column(table, (asked or {}).get(role), usual)
            for role, usual in (("id", ID_COLUMNS), ("text", TEXT_COLUMNS), ("title", TITLE_COLUMNS))
        }
        if columns["text"] is None and columns["title"] is None and table.rows:
            raise InputError(
                f"{table.name} has no text column among {list(TEXT_COLUMNS)}, it has {list(table.columns)}: rename it, "
                "or name it with text_column."
            )
        if columns["text"] is None and table.rows:
            found.notes.append(f"{table.name} has no column of texts: its titles alone are searched")
        if columns["id"] is None and len(several) > 1:
            raise InputError(f"{table.name} has no column of ids, which a corpus of several files needs: add one.")
        _gather(found, table, columns)
    return found


def gather_queries(tables: Iterable[Table]) -> Texts:
    """Queries from rows; see `gather_documents`, except that every query needs an id."""
    found = Texts("queries")
    for table in tables:
        columns = {"id": find_column(table.columns, ("query_id", "qid", *ID_COLUMNS)), "title": None,
                   "text": find_column(table.columns, QUERY_TEXT_COLUMNS)}  # fmt: skip
        missing = next((role for role in ("id", "text") if columns[role] is None), None)
        if missing is not None and table.rows:
            raise InputError(
                f"{table.name} has no {missing} column, it has {list(table.columns)}: queries need `_id` and `text`."
            )
        _gather(found, table, columns)
    return found


def _column(table: Table, asked: str | None, usual: Iterable[str]) -> str | None:
    return asked_column(table.columns, asked, table.name) if asked is not None else find_column(table.columns, usual)


def _gather(found: Texts, table: Table, columns: Mapping[str, str | None]) -> None:
    found.notes.extend(table.notes)
    name, text, title = columns["id"], columns["text"], columns["title"]
    for position, row in enumerate(table.rows):
        where = table.where(position)
        key = str(table.numbers[position]) if name is None else as_text(row.get(name), "the id", where)
        if key is None or not key.strip():
            raise InputError(f"{where} has no id in the column {name!r}, as others have: give it one.")
        found.add(
            key,
            as_text(first_of(row, title), "the title", where),
            as_text(first_of(row, text), "the text", where),
            where,
        )
