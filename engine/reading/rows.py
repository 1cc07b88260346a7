"""Files as rows: JSON lines, JSON, CSV, TSV and Parquet, with the number of the line that each row comes from."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.reading.lines import Lines, open_bytes, reading
from engine.reading.values import plain_name

TABLES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")  # each also with .gz
Row = dict[str, Any]

csv.field_size_limit(2**31 - 1)  # a text has any length; this is the most that every platform takes


class _TwoValuesError(ValueError):
    """An object that gives one name two values."""


def _object(pairs: list[tuple[str, Any]]) -> Row:
    found = dict(pairs)
    if len(found) < len(pairs):  # of several values, json would keep the last
        name = next((name for name, value in pairs if value != found[name]), None)
        if name is not None:
            raise _TwoValuesError(name)
    return found


_DECODER = json.JSONDecoder(parse_int=str, object_pairs_hook=_object)  # an id keeps its digits, however many
_NAME = re.compile(r"[^\W\d][\w .\-]{0,39}")  # what a column's name looks like


@dataclass(frozen=True)
class Table:
    """Rows with where they come from.

    Args:
        name: What sentences call the source.
        rows: Column -> cell; a column that a row lacks is not in it.
        numbers: Line or row of the source that each row stands in, counted from 1.
        columns: Over all rows, in the order of their first appearance.
        unit: What `numbers` count: "Line" or "Row".
        notes: What the reader guessed or replaced.
    """

    name: str
    rows: list[Row]
    numbers: Sequence[int]
    columns: tuple[str, ...]
    unit: str = "Line"
    notes: tuple[str, ...] = ()

    def where(self, position: int) -> str:
        """Line and source of a row, to begin a sentence with."""
        return f"{self.unit} {self.numbers[position]} of {self.name}"

    @classmethod
    def of_rows(cls, name: str, rows: Iterable[Any]) -> Table:
        """A table of dicts that are in memory.

        Raises:
            InputError: a row is no mapping.
        """
        found: list[Row] = []
        for number, row in enumerate(rows, start=1):
            if not isinstance(row, Mapping):
                raise InputError(f"Row {number} of {name} is a {type(row).__name__}: give mappings of column to value.")
            found.append({str(column): value for column, value in row.items()})
        return cls(name, found, range(1, len(found) + 1), _columns(found), "Row")


def table_kind(path: Path) -> str | None:
    """The suffix that says how a file is read, without .gz and in small letters, or None where it is no table."""
    name = path.name.lower().removesuffix(".gz")
    return next((suffix for suffix in TABLES if name.endswith(suffix)), None)


def table_stem(path: Path) -> str:
    """The file's name without what `table_kind` knows of it."""
    kind = table_kind(path)
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return name[: -len(kind)] if kind else name


def read_table(path: Path, names: Iterable[str] = (), headerless: Mapping[int, Sequence[str]] | None = None) -> Table:
    """Read a file of rows.

    Args:
        path: A .jsonl, .json, .csv, .tsv or .parquet file, or one of these as .gz.
        names: Column names by which the first line of a .tsv file is known to be a header.
        headerless: How the columns of a .tsv file without a header are called, by their number.

    Returns:
        The rows.

    Raises:
        NotFoundError: there is no such file.
        InputError: another format, or a malformed line, named by its number.
    """
    kind = table_kind(path)
    if kind is None:
        raise InputError(f"Unknown format of {path}: give {', '.join(TABLES)}, or one of these as .gz.")
    if kind == ".json" or (kind in (".jsonl", ".ndjson") and _is_array(path)):
        return _json(path)
    if kind in (".jsonl", ".ndjson"):
        return _table(path, _json_lines, Lines(path))
    if kind == ".parquet":
        return _parquet(path)
    lines = Lines(path)
    if kind == ".csv":
        header, rows = _csv(path, lines)
        return _with_header(path, lines, header, rows)
    return _tsv(path, lines, {plain_name(name) for name in names}, headerless or {})


def _columns(rows: Iterable[Row]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for row in rows:
        if not row.keys() <= found.keys():
            found.update(dict.fromkeys(row))
    return tuple(found)


def _table(path: Path, read: Callable[[Path, Iterable[tuple[int, str]]], Iterator[tuple[int, Row]]], lines: Lines
           ) -> Table:  # fmt: skip
    numbers, rows = [], []
    for number, row in read(path, lines):
        numbers.append(number)
        rows.append(row)
    return Table(str(path), rows, numbers, _columns(rows), notes=tuple(lines.notes))


def _decode(text: str, where: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{where} is not JSON ({error.msg} at column {error.colno}): correct or remove it.") from None
    except _TwoValuesError as error:
        raise InputError(f"{where} gives {str(error)!r} two values in one object: keep one of them.") from None
    except RecursionError:
        raise InputError(f"{where} is nested too deeply to be read: flatten or remove it.") from None
    except ValueError as error:
        raise InputError(f"{where} is not JSON ({error}): correct or remove it.") from None


def _json_lines(path: Path, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, Row]]:
    for number, line in lines:
        if not line.strip():
            continue
        row = _decode(line.strip(), f"Line {number} of {path}")
        if not isinstance(row, dict):
            raise InputError(f"Line {number} of {path} holds a {_named(row)}, expected an object: correct it.")
        yield number, row


def _is_array(path: Path) -> bool:
    """Whether a file of lines is one JSON array: its first line opens it and does not close it before another one."""
    first, second = islice(chain((line for _, line in Lines(path) if line.strip()), ("", "")), 2)
    return first.lstrip().startswith("[") and not (first.rstrip().endswith("]") and second.lstrip().startswith("["))


def _named(value: Any) -> str:
    kinds = {str: "text or number", type(None): "null", dict: "object", float: "number", bool: "truth value"}
    return kinds.get(type(value), type(value).__name__)


def _json(path: Path) -> Table:
    """A JSON array of objects, an object that holds one such array, or JSON lines under another name."""
    lines = Lines(path)
    text = lines.text().strip()
    first, _, rest = text.partition("\n")
    if text.startswith("{") and (not rest.strip() or rest.lstrip().startswith("{")):
        whole = _decode(first, f"Line 1 of {path}")
        if rest or not _arrays(whole):
            return _table(path, _json_lines, Lines(path))
    value = _decode(text, str(path)) if text else []
    if isinstance(value, dict) and len(_arrays(value)) == 1:
        value = _arrays(value)[0]
    if not isinstance(value, list):
        raise InputError(f"{path} holds a {_named(value)}, expected an array of objects: write one object a row.")
    wrong = next((number for number, row in enumerate(value, start=1) if not isinstance(row, dict)), None)
    if wrong is not None:
        raise InputError(f"Row {wrong} of {path} holds a {_named(value[wrong - 1])}, expected an object: correct it.")
    return Table(str(path), value, range(1, len(value) + 1), _columns(value), "Row", tuple(lines.notes))


def _arrays(value: Any) -> list[list[Row]]:
    """The members of an object that are arrays of objects."""
    members = value.values() if isinstance(value, dict) else ()
    return [member for member in members if isinstance(member, list) and member and isinstance(member[0], dict)]


def _parquet(path: Path) -> Table:
    import pyarrow as pa
    from pyarrow import parquet

    with reading(path):
        try:
            with open_bytes(path) as stream:
                table = parquet.read_table(pa.BufferReader(stream.read()))
            header = _checked(list(table.column_names), path)
            rows = table.to_pylist()
        except (pa.ArrowException, NotImplementedError, ValueError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{path} is no Parquet file that can be read ({reason}): write it again.") from None
    return Table(str(path), rows, range(1, len(rows) + 1), tuple(header), "Row")


def _checked(header: list[str], path: Path) -> list[str]:
    """Column names, spaces around them removed, those without one numbered."""
    names = [name.strip() or f"column {number}" for number, name in enumerate(header, start=1)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path} has two columns {twice!r}: rename one.")
    return names


def _with_header(
    path: Path, lines: Lines, header: Sequence[str], rows: Iterable[tuple[int, list[str]]], notes: Sequence[str] = ()
) -> Table:
    width, numbers, found = len(header), [], []
    for number, cells in rows:
        if len(cells) > width and any(cells[width:]):
            raise InputError(
                f"Line {number} of {path} has {len(cells)} fields, expected {width} ({', '.join(header)}): quote or "
                "replace the separator in its text."
            )
        numbers.append(number)
        found.append(dict(zip(header, cells, strict=False)))  # what a short line lacks is not there
    return Table(str(path), found, numbers, tuple(header), notes=(*lines.notes, *notes))


def _csv(path: Path, lines: Lines) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    numbered = iter(lines)
    first = next((entry for entry in numbered if entry[1].strip()), None)
    if first is None:
        return [], iter(())
    separator = next((mark for mark in (",", ";", "\t") if mark in first[1]), ",")
    spaced = all(name.startswith(" ") for name in first[1].split(separator)[1:])
    last = [first[0]]

    def texts() -> Iterator[str]:
        yield first[1]
        for number, line in numbered:
            last[0] = number
            yield line

    reader = csv.reader(texts(), delimiter=separator, strict=True, skipinitialspace=spaced)

    def rows() -> Iterator[tuple[int, list[str]]]:
        begun = first[0]
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise InputError(
                    f"Line {begun} of {path} is no CSV ({error}): close or double its quotes, or save it as .tsv, "
                    "where quotes are text."
                ) from None
            if cells:
                yield last[0], cells
            begun = last[0] + 1

    found = rows()
    return _checked(next(found)[1], path), found


def _tsv(path: Path, lines: Lines, names: set[str], headerless: Mapping[int, Sequence[str]]) -> Table:
    """Tab-separated lines as this field writes them: no quoting, every line is a row, often no header."""
    split = ((number, line.rstrip("\r\n").split("\t")) for number, line in lines if line.strip())
    first = next(split, None)
    if first is None:
        return Table(str(path), [], (), (), notes=tuple(lines.notes))
    named = any(plain_name(cell) in names for cell in first[1])
    if named and all(_NAME.fullmatch(cell.strip()) or not cell.strip() for cell in first[1]):
        return _with_header(path, lines, _checked(first[1], path), split)
    columns = headerless.get(len(first[1]))
    if columns is None:
        raise InputError(
            f"{path} has {len(first[1])} columns and no header that names them (it begins with {first[1][0][:40]!r}): "
            f"write a first line such as {', '.join(list(headerless.values())[-1]) if headerless else 'id, text'}."
        )
    note = f"{path.name} has no header: its columns were read as {', '.join(columns)}, the first line included"

    def rows() -> Iterator[tuple[int, list[str]]]:
        yield first
        yield from split

    return _with_header(path, lines, list(columns), rows(), (note,))
