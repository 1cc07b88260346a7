"""Training rows in the formats of the field: which column is what, and each row as one question and its documents.

Understood are pairs, triplets and lists under the usual names (sentence-transformers, MS MARCO), FlagEmbedding (`pos`,
`neg`, `pos_scores`, `neg_scores`), Tevatron (`positive_passages`), DPR (`positive_ctxs`, `hard_negative_ctxs`), lists
with a teacher's scores (PyLate), and pairs with a label of 0 or 1. docs/formats.md shows one of each.
"""

from __future__ import annotations

import ast
import json
import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.collection import join_title
from engine.errors import InputError
from engine.reading.rows import Row, Table
from engine.reading.values import TEXT_COLUMNS, TITLE_COLUMNS, as_text, asked_column, find_column, listed, plain_name

QUERY = ("query", "question", "anchor", "queries", "query_text")
POSITIVE = (
    "positive", "pos", "positives", "positive_passages", "positive_ctxs", "positive_passage", "positive_document",
    "positive_text", "answer", "document", "documents", "docs", "text", "passage", "response", "answers",
)  # fmt: skip
SCORES = ("scores", "score", "label", "labels", "relevance", "relevant", "is_relevant", "rel", "grade")
POSITIVE_SCORES, NEGATIVE_SCORES = ("pos_scores", "positive_scores"), ("neg_scores", "negative_scores")
NAMES = {*QUERY, *POSITIVE, *SCORES, "negative", "neg"}
HEADERLESS = {2: ("query", "positive"), 3: ("query", "positive", "negative")}
DEEPEST = 1  # lists in lists
ROLES = ("query", "positive", "negative", "scores")
_NEGATIVE = re.compile(r"(hard_)?neg(ative)?s?(_.*)?")
_NO_TEXT = re.compile(
    r"(.*_)?(id|ids|docid|docids|idx|scores?|ranks?|labels?|prompt|count|num|source|titles?|url|type)(_\d+)?"
)


@dataclass(frozen=True)
class Example:
    """One question with documents.

    Args:
        query: The question.
        positives: Its answers; where `listed`, all its documents, best first.
        negatives: Documents that are none.
        scores: One a document, the positives' first, or None.
        listed: The documents are one scored list, not several answers.
        label: 0 or 1 where the row judges its one document, else None.
    """

    query: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    scores: tuple[float, ...] | None = None
    listed: bool = False
    label: int | None = None


@dataclass(frozen=True)
class Roles:
    """Which columns are what.

    Args:
        query: Name of the column of questions.
        positive: Name of the column of answers.
        negatives: Names of the columns of other documents, in order.
        scores: Name of the column of labels or of lists of scores, one a document; None without one.
        positive_scores: Name of the column of the answers' scores, or None.
        negative_scores: Name of the column of the other documents' scores, or None.
        labels: Whether `scores` judges the one document of each row with 0 or 1.
    """

    query: str
    positive: str
    negatives: tuple[str, ...] = ()
    scores: str | None = None
    positive_scores: str | None = None
    negative_scores: str | None = None
    labels: bool = False

    def used(self) -> set[str | None]:
        """Every column that has a role."""
        return {self.query, self.positive, *self.negatives, self.scores, self.positive_scores, self.negative_scores}


def find_roles(table: Table, mapped: Mapping[str, str]) -> Roles:
    """Decide over all rows which columns are what.

    Args:
        table: The rows.
        mapped: Role -> column, or several joined by +, or "" for none; the others are found by their names.

    Returns:
        The roles.

    Raises:
        InputError: an unknown role, a column that is not there, or none for the query or the positive.
    """
    unknown = next((role for role in mapped if role not in ROLES), None)
    if unknown is not None:
        raise InputError(f"Unknown role {unknown!r} in the columns: map {', '.join(ROLES)}.")
    columns, chosen = table.columns, {}
    for role, usual in (("query", QUERY), ("positive", POSITIVE), ("scores", SCORES)):
        asked = mapped.get(role)
        chosen[role] = find_column(columns, usual) if asked is None else _asked(table, asked)
        if not chosen[role] and role != "scores":
            of_ids = any(re.fullmatch(r"(.*_)?(doc)?ids?", plain_name(column)) for column in columns)
            hint = "; ids are no texts: join these first" if of_ids else ""
            raise InputError(
                f"{table.name} has no column for the {role}: name one {' or '.join(usual[:3])}, or map it, as with "
                f"--map {role}=COLUMN (its columns are {listed(columns)}{hint})."
            )
    asked = mapped.get("negative")
    taken = set(chosen.values())
    if asked is None:
        negatives = [c for c in columns if c not in taken and _is_negative(plain_name(c))]
    else:
        negatives = [asked_column(columns, name, table.name) for name in asked.split("+") if name]
    roles = Roles(chosen["query"] or "", chosen["positive"] or "", tuple(negatives), chosen["scores"])
    if roles.scores is None and mapped.get("scores") is None:
        roles = replace(
            roles, positive_scores=_filled(table, POSITIVE_SCORES), negative_scores=_filled(table, NEGATIVE_SCORES)
        )
    cells = [_plain(row.get(roles.scores)) for row in table.rows] if roles.scores is not None else []
    scalar = any(map(_is_scalar, cells)) and all(cell is None or _is_scalar(cell) for cell in cells)
    single = not negatives and not any(isinstance(row.get(roles.positive), (list, tuple)) for row in table.rows)
    return replace(roles, labels=scalar and single)


def refuse_lookalikes(table: Table, roles: Roles, mapped: Mapping[str, str]) -> None:
    """Refuse columns that hold something else than texts in every row: ids, and lists that were written as text.

    Args:
        table: The rows.
        roles: Which columns are what.
        mapped: Role -> column as a person named it: such a column holds what was meant.

    Raises:
        InputError: the sentence says what was found.
    """
    asked, found = (
        [str(_plain(row[column])).strip() for row in table.rows if row.get(column) is not None]
        for column in (roles.query, roles.positive)
    )
    if not {"query", "positive"} & mapped.keys() and asked and found and all(map(str.isdecimal, [*asked, *found])):
        raise InputError(
            f"The questions and answers of {table.name} are numbers alone ({asked[0]}, {found[0]}), as ids are: join "
            "the texts to them first, or say that they are texts with "
            f"--map query={roles.query},positive={roles.positive}."
        )
    for column in (roles.positive, *roles.negatives):
        cells = [row[column] for row in table.rows if row.get(column)]
        if cells and column not in mapped.values() and all(map(_is_written_list, cells)):
            raise InputError(
                f"The column {column!r} of {table.name} holds lists that were written as text ({cells[0][:40]}): save "
                "the rows as .jsonl, where lists are lists."
            )


def _is_written_list(cell: Any) -> bool:
    if not isinstance(cell, str) or not cell.lstrip().startswith(("['", '["')):
        return False
    try:
        return isinstance(ast.literal_eval(cell.strip()), list)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False


def _asked(table: Table, asked: str) -> str | None:
    return asked_column(table.columns, asked, table.name) if asked else None


def _filled(table: Table, usual: Sequence[str]) -> str | None:
    """The first usual column that holds something in any row: FlagEmbedding writes null where there are no scores."""
    found = find_column(table.columns, usual)
    return found if found is not None and any(_plain(row.get(found)) is not None for row in table.rows) else None


def _is_negative(name: str) -> bool:
    return bool(_NEGATIVE.fullmatch(name)) and not _NO_TEXT.fullmatch(name)


def _plain(value: Any) -> Any:
    """Arrays as lists, scalars of NumPy as Python's."""
    return value.tolist() if hasattr(value, "tolist") else value


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (int, float)) or (isinstance(value, str) and not value.strip().startswith("["))


def read_example(row: Row, roles: Roles, where: str) -> Example | None:
    """One row.

    Args:
        row: Its cells.
        roles: Which are what.
        where: Line and source, to begin a sentence with.

    Returns:
        The example, or None where the question or every answer is empty.

    Raises:
        InputError: a cell that is no text, or scores that do not fit the documents.
    """
    asked = [text for text in _texts(row.get(roles.query), "the query", where) if text]
    if len(asked) > 1:
        raise InputError(f"{where} has {len(asked)} queries: write a row for each.")
    positives = _texts(row.get(roles.positive), "the positive", where)
    negatives = [text for column in roles.negatives for text in _texts(row.get(column), "the negative", where)]
    if not asked or not any(positives):
        return None
    if roles.labels:
        return Example(asked[0], (positives[0] or "",), label=_label(row.get(str(roles.scores)), where))
    scores = _scores(row, roles, len(positives), len(negatives), where)
    if scores is None:
        return Example(asked[0], tuple(filter(None, positives)), tuple(filter(None, negatives)))
    if not all(positives) or not all(negatives):
        return None  # its scores would belong to other documents
    documents = [str(text) for text in positives]
    if not negatives and len(documents) > 1:
        order = sorted(range(len(documents)), key=lambda i: -scores[i])
        best = tuple(documents[i] for i in order)
        return Example(asked[0], best, (), tuple(scores[i] for i in order), listed=True)
    return Example(asked[0], tuple(documents), tuple(map(str, negatives)), tuple(scores))


def _texts(value: Any, what: str, where: str, depth: int = 0) -> list[str | None]:
    """The documents of a cell: a text, an object with title and text, or a list of these; None for empty ones."""
    value = _plain(value)
    if isinstance(value, (list, tuple)):
        if depth > DEEPEST:
            raise InputError(f"{where} holds lists in lists in lists as {what}: write one list.")
        return [text for member in value for text in _texts(member, what, where, depth + 1)]
    if value is None:
        return []
    if not isinstance(value, Mapping):
        text = as_text(value, what, where)
        return [text if text is not None and text.strip() else None]
    column, title = find_column(value, TEXT_COLUMNS), find_column(value, TITLE_COLUMNS)
    if column is None:
        raise InputError(f"{where} holds an object without a text as {what}: give it a member `text`.")
    texts, titles = _plain(value[column]), _plain(value[title]) if title else None
    if isinstance(texts, (list, tuple)):  # `datasets` turns a list of objects into an object of lists
        named = titles if isinstance(titles, (list, tuple)) else [None] * len(texts)
        return [_joined(name, text, what, where) for name, text in zip(named, texts, strict=False)]
    return [_joined(titles, texts, what, where)]


def _joined(title: Any, text: Any, what: str, where: str) -> str | None:
    return join_title(as_text(title, what, where), as_text(text, what, where)) or None


def _label(value: Any, where: str) -> int:
    text = str(_plain(value)).strip().lower()
    found = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}.get(text)
    if found is None:
        raise InputError(
            f"{where} has the one score {value!r} for its document: give labels of 0 and 1, a list of scores for a "
            "list of documents, or leave the column out, as with --map scores="
        )
    return found


def _scores(row: Row, roles: Roles, positives: int, negatives: int, where: str) -> list[float] | None:
    if roles.scores is not None:
        return _numbers(row.get(roles.scores), positives + negatives, "documents", where)
    if roles.positive_scores is None and roles.negative_scores is None:
        return None
    first = _numbers(row.get(str(roles.positive_scores)), positives, "positives", where)
    return first + _numbers(row.get(str(roles.negative_scores)), negatives, "negatives", where)


def _numbers(value: Any, count: int, what: str, where: str) -> list[float]:
    value = _plain(value)
    if value is None or value == "":
        if count == 0:
            return []
        raise InputError(f"{where} has no scores for its {count} {what}, as other rows have: give one a document.")
    try:
        scores = [float(score) for score in (json.loads(value) if isinstance(value, str) else value)]
    except (TypeError, ValueError, RecursionError):
        raise InputError(f"{where} has scores {reprlib.repr(value)}: give a list of numbers, one a document.") from None
    if len(scores) != count or not all(map(math.isfinite, scores)):
        raise InputError(
            f"{where} has {len(scores)} scores for {count} {what}, or one that is not finite: give one number a "
            "document."
        )
    return scores
