"""Conditions that say which documents are searched: SQL on their rows, which can compare columns and nothing else.

DuckDB reads a condition and evaluates it, in memory, in a connection that reaches no file, no network and no extension.
What it may hold is a list of functions that always give the same, end soon and take little memory.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine.errors import InputError
from engine.fields import PLACE, table

if TYPE_CHECKING:
    from engine.collection import Collection

SECONDS = 10.0  # that a condition may take
MEMORY = "1GB"
NAMED = 12  # columns in a sentence
LONGEST = 10_000  # characters of a condition

# What a condition consists of, as DuckDB's parser names it: no subquery, no star, no lambda, no window.
CLASSES = {"BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION",
           "OPERATOR", "TYPE"}  # fmt: skip
_LISTED = """
    + - * / // % || ~~ !~~ ~~* !~~* ~~~ like_escape not_like_escape ilike_escape not_ilike_escape
    lower upper length len strlen trim ltrim rtrim contains starts_with prefix ends_with suffix substring substr left
    right instr strpos position regexp_matches regexp_full_match regexp_extract concat string_split levenshtein
    abs round floor ceil ceiling sign trunc mod ln log sqrt pow power greatest least isnan isinf nullif ifnull
    list_contains array_contains list_has list_has_any list_has_all list_position list_value array_length
    struct_extract array_extract list_extract
    year month day quarter week dayofweek isodow dayofyear hour minute second date_part datepart date_trunc datetrunc
    date_diff datediff last_day make_date strftime epoch to_years to_months to_weeks to_days to_hours to_minutes
    to_seconds -> ->> json_extract json_extract_string json_array_length json_contains
"""
FUNCTIONS = frozenset(_LISTED.split())


@dataclass(frozen=True)
class Selection:
    """The documents that fit a condition.

    Args:
        condition: It.
        ids: Those that fit, in the order of the collection.
        total: How many documents there are.
    """

    condition: str
    ids: tuple[str, ...]
    total: int

    def __str__(self) -> str:
        return f"{len(self.ids):,} of {self.total:,} documents ({self.condition})"


class Rows:
    """The documents of a collection as rows that conditions are tried on.

    The columns are those of its fields; `id`, `title` and `text`, where the fields have none of that name; and
    `document`, `page` and `passage` where documents are parts of longer ones. What a file can only write as text is a
    number, a date or a truth value where every row of the column says so; empty texts are NULL.

    Args:
        collection: The collection.

    Raises:
        InputError: its source has changed since it was read.
    """

    def __init__(self, collection: Collection) -> None:
        self._ids = list(collection.documents)
        self._table = table(collection)
        self._lock = threading.Lock()

    @property
    def columns(self) -> dict[str, str]:
        """Name -> type, as DuckDB calls it."""
        return {name: kind for name, kind in self._kinds.items() if name != PLACE}

    @cached_property
    def _kinds(self) -> dict[str, str]:
        rows = self._connection.table("documents")
        return dict(zip(rows.columns, map(str, rows.types), strict=True))

    @cached_property
    def _connection(self) -> Any:
        import duckdb

        connection = duckdb.connect(":memory:", config={
            "autoinstall_known_extensions": "false", "autoload_known_extensions": "false", "memory_limit": MEMORY,
            "threads": "1", "python_enable_replacements": "false",
        })  # fmt: skip
        connection.register("documents", self._table)
        for setting in ("max_temp_directory_size='0B'", "enable_external_access=false", "lock_configuration=true"):
            connection.execute(f"SET {setting}").fetchall()
        return connection

    def select(self, condition: str) -> Selection:
        """The documents that fit a condition.

        Args:
            condition: A SQL expression on the columns, such as "year >= 2020 AND page < 3".

        Returns:
            The selection.

        Raises:
            InputError: it is empty, no such expression, neither true nor false, takes too long, or fits no document.
        """
        if not isinstance(condition, str) or not condition.strip() or len(condition) > LONGEST:
            raise self._wrong(condition, "it is empty" if not str(condition).strip() else "it is too long")
        import duckdb

        with self._lock:
            connection, late = self._connection, threading.Event()
            timer = threading.Timer(SECONDS, lambda: (late.set(), connection.interrupt()))
            timer.daemon = True
            timer.start()
            try:
                self._check(condition)
                rows = connection.table("documents")
                kind = str(rows.project(f"({condition})").types[0])
                if kind != "BOOLEAN":
                    raise self._wrong(condition, f"it gives a {kind} and neither true nor false")
                places = [place for (place,) in rows.filter(condition).project(f'"{PLACE}"').fetchall()]
            except (duckdb.Error, RuntimeError, UnicodeError, ValueError) as error:
                if isinstance(error, InputError):
                    raise
                told = str(error).strip().splitlines() or [type(error).__name__]
                reason = f"it takes longer than {SECONDS:g} seconds" if late.is_set() else told[0]
                raise self._wrong(condition, re.sub(r"^\w+( \w+)? Error: ", "", reason)) from None
            finally:
                timer.cancel()
        found = Selection(condition, tuple(self._ids[place] for place in sorted(places)), len(self._ids))
        if not found.ids:
            raise InputError(f"None of the {found.total:,} documents fits {condition!r}: loosen the condition.")
        return found

    def _check(self, condition: str) -> None:
        """Refuse what is more than a comparison of columns: it might read what it must not, never end, or be chance."""
        read = self._connection.execute("SELECT json_serialize_sql(?)", [f"SELECT ({condition})"]).fetchall()[0][0]
        found = json.loads(read)
        if found["error"]:
            raise self._wrong(condition, found["error_message"])
        statement = found["statements"][0]["node"]
        nodes = list(_nodes(statement["select_list"])) if statement["type"] == "SELECT_NODE" else []
        if len(found["statements"]) != 1 or not nodes or len(statement["select_list"]) != 1 or statement["modifiers"]:
            raise self._wrong(condition, "it is more than one condition")
        for node in nodes:
            kind, name = node["class"], node.get("function_name", "")
            if kind == "FUNCTION" and name not in FUNCTIONS:
                raise self._wrong(condition, f"the function {name} is none of those that a condition may use")
            if kind not in CLASSES:
                raise self._wrong(condition, f"a condition compares columns, it holds no {kind.lower()}")

    def _wrong(self, condition: object, reason: str) -> InputError:
        kinds = [f"{quoted(name)} ({kind})" for name, kind in self.columns.items()]
        named = ", ".join(kinds[:NAMED]) + (f" and {len(kinds) - NAMED} more" if len(kinds) > NAMED else "")
        reason = reason.rstrip(".!")
        return InputError(
            f"Expected a condition such as year >= 2020 on {named}, got {str(condition)[:200]!r}: {reason}."
        )


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every expression in what the parser found."""
    if isinstance(value, dict):
        if "class" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for member in value:
            yield from _nodes(member)


def quoted(name: str) -> str:
    """A column's name as a condition must write it."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else '"' + name.replace('"', '""') + '"'
