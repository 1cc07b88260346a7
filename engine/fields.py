"""The columns of a collection beside its ids and texts: rows of any source as a table whose columns have types."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from engine.collection import Collection

PLACE = "__place"  # the column that says which document a row is

_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?")
_TRUTH = {"true": True, "false": False}

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Fields:
    """The other columns of the rows that documents come from, read when they are first asked for.

    Args:
        names: Of the columns.
        read: Gives id -> row; of a document in parts the id is that of the whole.
    """

    names: tuple[str, ...]
    read: Callable[[], Mapping[str, Row]]


def table(collection: Collection) -> pa.Table:
    """The documents of a collection as a table, one a row, in their order, with their place as the first column.

    Args:
        collection: The collection.

    Returns:
        See `engine.conditions.Rows` for its columns.
    """
    import pyarrow as pa

    keys = list(collection.documents)
    columns: dict[str, Any] = {PLACE: pa.array(range(len(keys)), pa.int64())}
    taken = {PLACE}

    def add(name: str, values: Callable[[], Any]) -> None:
        if name.lower() not in taken:  # SQL knows no capital letters in names
            taken.add(name.lower())
            columns[name] = values()

    for name, values in of_fields(collection).items():
        add(name, lambda values=values: values)
    if collection.parts:
        wholes = [collection.parts[key].document if key in collection.parts else key for key in keys]
        places = [collection.parts.get(key) for key in keys]
        add("document", lambda: pa.array(wholes, pa.string()))
        for name in ("page", "passage"):
            if any(getattr(place, name, None) is not None for place in places):
                add(name, lambda name=name: pa.array([getattr(place, name, None) for place in places], pa.int64()))
    add("id", lambda: pa.array(keys, pa.string()))
    add("title", lambda: pa.array([collection.titles.get(key) for key in keys], pa.string()))
    add("text", lambda: pa.array(list(collection.documents.values()), pa.string()))
    return pa.table(columns)


def of_fields(collection: Collection) -> dict[str, pa.Array]:
    """The columns that the fields of a collection name, one value a document."""
    fields = collection.fields
    if fields is None:
        return {}
    rows, parts = fields.read(), collection.parts
    chosen = [
        rows.get(key) or rows.get(parts[key].document if key in parts else key) or {} for key in collection.documents
    ]
    return {name: typed([row.get(name) for row in chosen]) for name in fields.names}


def typed(values: Sequence[Any]) -> pa.Array:
    """Values of one column as an array of the narrowest type that holds them all.

    Args:
        values: What a reader found, None where a row has no such column; lists and objects are typed within.

    Returns:
        The array; NULL for None, NaN and empty texts, JSON texts where the values have nothing in common.
    """
    import pyarrow as pa

    values = [_plain(value) for value in values]
    there = [value for value in values if value is not None]
    if not there:
        return pa.array([None] * len(values), pa.string())
    if all(isinstance(value, dict) for value in there) and any(there):
        names = list(dict.fromkeys(str(name) for value in there for name in value))
        members = [typed([None if value is None else value.get(name) for value in values]) for name in names]
        return pa.StructArray.from_arrays(members, names, mask=pa.array([value is None for value in values]))
    if all(isinstance(value, list) for value in there):
        ends, members = [0], typed([member for value in values for member in value or ()])
        for value in values:
            ends.append(ends[-1] + len(value or ()))
        return pa.ListArray.from_arrays(
            pa.array(ends, pa.int32()), members, mask=pa.array([value is None for value in values])
        )
    read = _reader(there)
    if read is None:
        values = [None if value is None else _written(value) for value in values]
        return pa.array(values, pa.string())
    try:
        return pa.array([None if value is None else read(value) for value in values])
    except (pa.ArrowException, ValueError, OverflowError):  # the thirtieth of February
        return pa.array([None if value is None else _written(value) for value in values], pa.string())


def _plain(value: Any) -> Any:
    """A value of Python for one of NumPy, and None for NaN and an empty text."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    return list(value) if isinstance(value, (tuple, set)) else value


def _reader(values: Sequence[Any]) -> Callable[[Any], Any] | None:
    """What makes every one of the values one of the same type, or None where nothing does."""
    if all(isinstance(value, (bool, str)) for value in values):
        if all(isinstance(value, bool) or value.lower() in _TRUTH for value in values):
            return lambda value: value if isinstance(value, bool) else _TRUTH[value.lower()]
        for pattern, read in ((_WHOLE, int), (_NUMBER, float), (_DATE, date.fromisoformat), (_MOMENT, _moment)):
            if all(isinstance(value, str) and pattern.fullmatch(value.strip()) for value in values):
                return lambda value: read(value.strip())
        return None
    if all(_is_number(value) for value in values):
        whole = all(isinstance(value, int) or (isinstance(value, str) and _WHOLE.fullmatch(value)) for value in values)
        return int if whole else float
    kinds = {type(value) for value in values}
    return (lambda value: value) if len(kinds) == 1 and not kinds & {dict, list} else None


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return _NUMBER.fullmatch(value) is not None
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _written(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
