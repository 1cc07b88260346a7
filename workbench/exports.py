"""What people give as text, written so that its reader shows it and does not act on it: displays, files, papers."""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

# Characters that steer the display instead of being seen: C0 (but tab and line feed), DEL, C1, bidirectional controls,
# line and paragraph separators, the byte order mark, and halves of surrogate pairs (no JSON writer takes those).
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
# What makes a spreadsheet take a cell for a formula, also where it skips white space first, and in full width.
_FORMULA = re.compile("\\s*[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]")


class Strong(str):
    """A cell of a table that stands out."""

    __slots__ = ()


def visible(text: str) -> str:
    """Write characters that steer the display as their code point, such as [U+202E]; leave all others alone."""
    return _UNSEEN.sub(lambda match: f"[U+{ord(match.group()):04X}]", text)


def csv_table(table: pandas.DataFrame) -> str:
    """A table as CSV, in which no text is a formula of a spreadsheet.

    Args:
        table: Any; its index is left out.

    Returns:
        The file's text; a text that a spreadsheet would compute begins with an apostrophe.
    """
    harmless = table.map(_no_formula).rename(columns=_no_formula)
    return harmless.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)  # else a carriage return would begin a row


def latex_table(table: pandas.DataFrame) -> str:
    """A table for a paper (package booktabs), numbers to three digits and special characters escaped, both by pandas.

    Args:
        table: Any; its index is left out.

    Returns:
        The environment tabular; numbers to the right.
    """
    words = table.map(_one_line).rename(columns=_one_line)
    return words.to_latex(index=False, escape=True, float_format="%.3f", na_rep="")


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown, special characters escaped by markdownify.

    Args:
        head: Names of the columns.
        rows: Cells, written by `str`; a `Strong` one in bold.

    Returns:
        Lines, the last one ended too.
    """
    from markdownify import MarkdownConverter

    writer: Any = MarkdownConverter(escape_misc=True)

    def cell(value: Any) -> str:
        text = writer.escape(_one_line(str(value)), set())
        return f"**{text}**" if isinstance(value, Strong) else text

    lines = [[cell(name) for name in head], ["---"] * len(head), *([cell(value) for value in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def html_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Container[int] = (), caption: str = ""
) -> str:
    """A table in HTML without styles of its own, special characters escaped.

    Args:
        head: Names of the columns.
        rows: Cells.
        numbers: Positions of the columns whose cells get the class "n".
        caption: How to read the table, or nothing.

    Returns:
        The element.
    """
    told = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    heads = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in head)
    lines = (
        "".join(f"<td{' class=n' if i in numbers else ''}>{html.escape(cell)}</td>" for i, cell in enumerate(row))
        for row in rows
    )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table>{told}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _no_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def _one_line(value: Any) -> Any:
    return " ".join(visible(value).split()) if isinstance(value, str) else value
