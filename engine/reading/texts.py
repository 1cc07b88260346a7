"""Rows as documents and queries: one rule for ids, titles, empty texts and repeats, whatever the rows come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from engine.collection import Part, join_title
from engine.errors import InputError
from engine.letters import clean
from engine.reading.rows import Row, Table
from engine.reading.values import (
    ID_COLUMNS,
    QUERY_TEXT_COLUMNS,
    TEXT_COLUMNS,
    TITLE_COLUMNS,
    as_text,
    asked_column,
    cell_of,
    find_column,
    listed,
)

HEADERLESS = {1: ("text",), 2: ("id", "text"), 4: ("id", "url", "title", "text")}  # the last two as MS MARCO ships them
DOCUMENT_ROLES = {"id": ID_COLUMNS, "text": TEXT_COLUMNS, "title": TITLE_COLUMNS}
QUERY_ROLES = {"id": ("query_id", "qid", *ID_COLUMNS), "text": QUERY_TEXT_COLUMNS}
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
        parts: Id of a page -> where it stands.
        made: Query -> how it was made, of those that say so.
        confirmed: Made queries that a person has confirmed.
    """

    kind: str = "documents"
    texts: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    empty: dict[str, None] = field(default_factory=dict)
    repaired: dict[str, None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)
    confirmed: set[str] = field(default_factory=set)

    def add_pages(self, key: str, pages: Sequence[str], where: str) -> None:
        """Take the pages of one text under "key#p1", "key#p2", ...; those without text are counted.

        Raises:
            InputError: an id was there before.
        """
        whole = clean(key)
        filled = {page: text for page, text in enumerate(pages, start=1) if text.strip()}
        for page, text in filled.items():
            self.add(f"{key}#p{page}", None, text, where)
            self.parts[f"{whole}#p{page}"] = Part(whole, page, len(pages))
        if len(filled) < len(pages):
            self.notes.append(f"{len(pages) - len(filled)} of {len(pages)} pages of {whole} hold no text")

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
    found, several, named = Texts(), list(tables), asked or {}
    for table in several:
        columns = roles(table, named)
        if columns["text"] is None and columns["title"] is None and table.rows:
            raise InputError(
                f"{table.name} has no text column among {list(TEXT_COLUMNS)}, it has {listed(table.columns)}: rename "
                "it, or name it with text_column."
            )
        if columns["text"] is None and table.rows:
            found.notes.append(f"{table.name} has no column of texts: its titles alone are searched")
        if columns["id"] is None and len(several) > 1:
            raise InputError(f"{table.name} has no column of ids, which a corpus of several files needs: add one.")
        _gather(found, table, columns, _usual(named))
    return found


def roles(table: Table, asked: Mapping[str, str | None]) -> dict[str, str | None]:
    """Role of a document -> the column of a table that plays it, or None.

    Raises:
        InputError: the table lacks a column that a person named.
    """
    return {
        role: find_column(table.columns, usual)
        if (name := asked.get(role)) is None
        else asked_column(table.columns, name, table.name)
        for role, usual in DOCUMENT_ROLES.items()
    }


def ids_of(table: Table, asked: Mapping[str, str | None]) -> Iterator[str | None]:
    """The id of each row of a table, as `gather_documents` takes it; None where a row has none."""
    name, usual = roles(table, asked)["id"], _usual(asked)["id"]
    for position, row in enumerate(table.rows):
        yield _id(table, position, row, name, usual, table.where(position))


def _usual(asked: Mapping[str, str | None]) -> dict[str, Sequence[str]]:
    return {role: () if asked.get(role) else names for role, names in DOCUMENT_ROLES.items()}


def _id(table: Table, position: int, row: Row, name: str | None, usual: Sequence[str], where: str) -> str | None:
    if name is None:
        return str(table.numbers[position])
    return as_text(cell_of(row, name, usual), "the id", where)


def gather_queries(tables: Iterable[Table]) -> Texts:
    """Queries from rows; see `gather_documents`, except that every query needs an id."""
    found = Texts("queries")
    for table in tables:
        columns = {role: find_column(table.columns, usual) for role, usual in QUERY_ROLES.items()}
        missing = next((role for role, column in columns.items() if column is None), None)
        if missing is not None and table.rows:
            raise InputError(
                f"{table.name} has no {missing} column, it has {listed(table.columns)}: queries need `_id` and `text`."
            )
        _gather(found, table, columns, QUERY_ROLES)
        _gather_made(found, table, columns["id"])
    return found


def _gather_made(found: Texts, table: Table, name: str | None) -> None:
    """What the columns "made" and "confirmed" of queries say, where there are such."""
    made, confirmed = (find_column(table.columns, [column]) for column in ("made", "confirmed"))
    if made is None:
        return
    for position, row in enumerate(table.rows):
        where = table.where(position)
        how = as_text(cell_of(row, made), "how the question was made", where)
        if how and how.strip():
            query = clean(_id(table, position, row, name, QUERY_ROLES["id"], where) or "")
            found.made[query] = clean(how.strip())
            if str(cell_of(row, confirmed)).lower() in ("true", "1", "1.0", "yes"):
                found.confirmed.add(query)


def _gather(found: Texts, table: Table, columns: Mapping[str, str | None], usual: Mapping[str, Sequence[str]]) -> None:
    found.notes.extend(table.notes)
    name, text, title = (columns.get(role) for role in ("id", "text", "title"))
    ids, texts, titles = (usual.get(role, ()) for role in ("id", "text", "title"))
    for position, row in enumerate(table.rows):
        where = table.where(position)
        key = _id(table, position, row, name, ids, where)
        if key is None or not key.strip():
            raise InputError(f"{where} has no id in the column {name!r}, as others have: give it one.")
        found.add(
            key,
            as_text(cell_of(row, title, titles), "the title", where),
            as_text(cell_of(row, text, texts), "the text", where),
            where,
        )
