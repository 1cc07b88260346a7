"""What people typed reaches spreadsheets, papers and Markdown as text."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from workbench.exports import Strong, csv_table, latex_table, markdown_table, visible

FORMULAS = ["x\r=1", "=1+1", "+1", "-cmd|x", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", "\n@x"]
TEXTS = [
    "a|b",
    "*x* _y_ `z`",
    "<b>&amp;</b>",
    "[a](b)",
    "line\nbreak",
    "back\\slash",
    "1. x",
    "# x",
    "~~x~~",
    "\u202ex",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_in_a_csv_is_a_formula(text: str) -> None:
    table = pd.DataFrame({text: [text, "plain"], "number": [-1.5, 2.0]})
    head, first, second = csv.reader(io.StringIO(csv_table(table), newline=""))
    assert head[0] == first[0] == (text if text.startswith("x") else f"'{text}")
    assert second[0] == "plain"
    assert [first[1], second[1]] == ["-1.5", "2.0"]  # numbers stay numbers


@pytest.mark.parametrize("text", [*FORMULAS, *TEXTS])
def test_markdown_shows_what_was_typed(text: str) -> None:
    page = MarkdownIt("gfm-like", {"linkify": False}).render(markdown_table([text, "n"], [[text, Strong("+1.5")]]))
    soup = BeautifulSoup(page, "html.parser")
    cells = [cell.text for cell in soup.find_all(["th", "td"])]
    shown = " ".join(visible(text).split())
    assert cells == [shown, "n", shown, "+1.5"]
    assert [tag.name for tag in soup.find_all(["strong", "em", "a", "code", "b", "s"])] == ["strong"]


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=2, max_size=2))
def test_a_markdown_table_never_breaks(cells: list[str]) -> None:
    page = MarkdownIt("gfm-like", {"linkify": False}).render(markdown_table(["one", "two"], [cells]))
    soup = BeautifulSoup(page, "html.parser")
    assert len(soup.find_all("tr")) == 2
    assert [len(row.find_all("td")) for row in soup.find_all("tr")] == [0, 2]


def test_latex_escapes_what_latex_would_read() -> None:
    table = pd.DataFrame({"a_b": ["x & 100% #1 $ {y} ~ ^ \\input{z}", "two\nlines"], "n": [0.12345, float("nan")]})
    text = latex_table(table)
    assert text.startswith(r"\begin{tabular}{lr}")
    assert r"a\_b" in text
    assert (
        r"x \& 100\% \#1 \$ \{y\} \textasciitilde \space \textasciicircum \space \textbackslash input\{z\} & 0.123"
        in text
    )
    assert "two lines" in text
