"""Relevance judgements: BEIR and TREC files and rows, with what contradicts itself refused by its line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.collection import Qrels
from engine.errors import InputError
from engine.letters import clean
from engine.reading.lines import Lines
from engine.reading.rows import Table
from engine.reading.values import ID_COLUMNS, as_text, find_column, plain_name

QUERY_COLUMNS = ("query_id", "qid", "topic", "topic_id", "query", "q_id")
DOCUMENT_COLUMNS = (
    "corpus_id",
    "doc_id",
    "docid",
    "docno",
    "document_id",
    "pid",
    "passage_id",
    "document",
    "doc",
    "did",
)
GRADE_COLUMNS = ("score", "grade", "relevance", "rel", "label", "judgement", "judgment", "relevancy")
NAMES = {*QUERY_COLUMNS, *DOCUMENT_COLUMNS, *GRADE_COLUMNS, *ID_COLUMNS, "iteration", "iter"}
_GRADE = re.compile(r"[+-]?[0-9]{1,9}(\.0*)?")


@dataclass
class Judgements:
    """Judgements while they are gathered.

    Args:
        qrels: query -> {document: grade}.
        repeated: Lines that say again what another said.
        notes: What the reader guessed or replaced.
    """

    qrels: Qrels = field(default_factory=dict)
    repeated: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, query: str, document: str, grade: Any, where: str) -> None:
        """Take one judgement.

        Raises:
            InputError: the grade is no whole number, or another one than before.
        """
        text = (as_text(grade, "the grade", where) or "").strip()
        if not _GRADE.fullmatch(text):
            raise InputError(
                f"{where} has the grade {text!r}, expected a whole number such as 1: correct or remove it."
            )
        value, grades = int(text.partition(".")[0]), self.qrels.setdefault(clean(query), {})
        known = grades.setdefault(clean(document), value)
        if known != value:
            raise InputError(
                f"{where} gives document {document!r} the grade {value} for query {query!r}, an earlier one says "
                f"{known}: keep one of them."
            )


def read_qrels(path: Path) -> Judgements:
    """Judgements of a text file: `query document grade` (BEIR) or `query 0 document grade` (TREC).

    Columns are separated by tabs, and then ids may hold spaces, or else by spaces. A first line may name the columns;
    empty lines and those that begin with # are passed over.

    Args:
        path: The file.

    Returns:
        The judgements.

    Raises:
        InputError: another form, a run in place of judgements, or a contradiction, named by its line.
    """
    found, lines, order, first = Judgements(), Lines(path), None, True
    for number, line in lines:
        cells = [cell.strip() for cell in line.rstrip().split("\t")] if "\t" in line else line.split()
        where = f"Line {number} of {path}"
        if not any(cells) or (cells[0].startswith("#") and not _is_judgement(cells)):
            continue
        if first and not _is_judgement(cells) and any(plain_name(cell) in NAMES for cell in cells):
            order, first = _order(cells, where), False
            continue
        first = False
        query, document, grade = _parts(cells, order, where)
        found.add(query, document, grade, where)
    found.notes.extend(lines.notes)
    return found


def judgements_of(tables: Sequence[Table]) -> Judgements | None:
    """Judgements of rows with a query id, a document id and a grade, or None where the columns are not these."""
    found = Judgements()
    for table in tables:
        names = [find_column(table.columns, usual) for usual in (QUERY_COLUMNS, DOCUMENT_COLUMNS, GRADE_COLUMNS)]
        if None in names:
            return None
        found.notes.extend(table.notes)
        for position, row in enumerate(table.rows):
            where = table.where(position)
            query, document = (as_text(row.get(str(name)), "an id", where) for name in names[:2])
            if not query or not document:
                raise InputError(f"{where} lacks the id of its {'document' if query else 'query'}: give it one.")
            found.add(query, document, row.get(str(names[2])), where)
    return found


def _is_judgement(cells: Sequence[str]) -> bool:
    return len(cells) in (3, 4) and bool(_GRADE.fullmatch(cells[-1]))


def _order(header: Sequence[str], where: str) -> tuple[int, int, int] | None:
    """Positions of query, document and grade by the names of the columns; None where they are the usual ones."""
    usual = (QUERY_COLUMNS, DOCUMENT_COLUMNS, GRADE_COLUMNS)
    places = [find_column(header, names) for names in usual]
    if None not in places:
        query, document, grade = (header.index(str(place)) for place in places)
        return query, document, grade
    if len(header) in (3, 4):
        return None
    raise InputError(f"{where} names the columns {list(header)}, expected query-id, corpus-id and score: rename them.")


def _parts(cells: Sequence[str], order: tuple[int, int, int] | None, where: str) -> tuple[str, str, str]:
    if order is not None and len(cells) > max(order):
        chosen = cells[order[0]], cells[order[1]], cells[order[2]]
    elif order is None and len(cells) == 3:
        chosen = cells[0], cells[1], cells[2]
    elif order is None and len(cells) == 4:
        chosen = cells[0], cells[2], cells[3]
    elif len(cells) == 6:
        raise InputError(
            f"{where} has the six columns of a run (query Q0 document rank score name), expected judgements: give the "
            "file of qrels."
        )
    else:
        raise InputError(f"{where} is not `query document grade` or `query 0 document grade`: correct or remove it.")
    if not chosen[0] or not chosen[1]:
        raise InputError(f"{where} lacks the id of its {'document' if chosen[0] else 'query'}: give it one.")
    return chosen
