"""Files of every format and encoding as rows, and one sentence with the line for what cannot be read."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import tempfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from engine import load_collection
from engine.errors import InputError, NotFoundError, WorkbenchError
from engine.reading.rows import TABLES, read_table

FORMATS = ("jsonl", "json", "csv", "tsv", "parquet", "jsonl.gz", "csv.gz", "tsv.gz", "json.gz")
LAYOUTS = {1: ("text",), 2: ("id", "text")}
letters = st.characters(exclude_categories=("Cs",), exclude_characters="\0\ufeff")
one_line = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\t\r\n\ufeff"), min_size=1)


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write rows of one set of columns by the suffix, as other programs write them."""
    kind, stream = path.name.removesuffix(".gz").rpartition(".")[2], io.StringIO(newline="")
    if kind == "parquet":
        pd.DataFrame(rows).to_parquet(path)
        return path
    if kind == "csv":
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    elif kind == "tsv":
        stream.write("\n".join("\t".join(row) for row in [list(rows[0]), *(row.values() for row in rows)]))
    else:
        stream.write(json.dumps(rows) if kind == "json" else "\n".join(json.dumps(row) for row in rows))
    data = stream.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(one_line, one_line), min_size=1, max_size=6))
def test_every_format_gives_back_what_was_written(cells: list[tuple[str, str]]) -> None:
    rows = [{"text": text, "other": other} for text, other in cells]
    with tempfile.TemporaryDirectory() as folder:
        for suffix in FORMATS:
            table = read_table(write(Path(folder, f"t.{suffix}"), rows), names=["text"])
            assert table.rows == rows, suffix
            assert table.columns == ("text", "other")


@hypothesis_settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text(letters, min_size=1), min_size=1, max_size=5), st.sampled_from(["utf-8-sig", "utf-16", "utf-32"])
)
def test_texts_of_several_lines_survive_csv_and_json_in_any_marked_encoding(texts: list[str], encoding: str) -> None:
    rows = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("csv", "jsonl"):
            path = write(Path(folder, f"t.{suffix}"), rows)
            path.write_bytes(path.read_bytes().decode().encode(encoding))
            assert read_table(path).rows == rows, suffix


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_zeros_at_every_second_byte_are_utf_16_without_a_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.csv").write_bytes("id,text\na,café au lait\n".encode(encoding))
    assert read_table(tmp_path / "t.csv").rows == [{"id": "a", "text": "café au lait"}]


def test_lines_that_are_not_utf_8_are_read_and_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("id,text\na,café “au” lait\n".encode("cp1252"))
    table = read_table(tmp_path / "t.csv")
    assert table.rows == [{"id": "a", "text": "café “au” lait"}]
    assert "first line 2" in table.notes[0]
    (tmp_path / "t.csv").write_bytes("id,text\na,café €".encode()[:-1])
    table = read_table(tmp_path / "t.csv")
    assert table.rows == [{"id": "a", "text": "café \ufffd"}]
    assert "damaged letters, first line 2" in table.notes[0]


def test_tab_separated_lines_have_no_quoting(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text('id\ttext\n1\t"Dune is a novel\n2\tHe said "no"\n3\t\u2028x\x85y\n\n4\t""\n')
    assert [row["text"] for row in read_table(tmp_path / "t.tsv", ["text"]).rows] == [
        '"Dune is a novel', 'He said "no"', "\u2028x\x85y", '""'
    ]  # fmt: skip


def test_old_line_ends_are_line_ends(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_bytes(b"id\ttext\ra\tone\rb\ttwo\r")
    assert load_collection(tmp_path / "t.tsv").documents == {"a": "one", "b": "two"}


def test_tab_separated_lines_without_a_header_get_the_usual_columns(tmp_path: Path) -> None:
    (tmp_path / "collection.tsv").write_text('7067032\tThe first\n7067033\tabout "quotes\n')
    collection = load_collection(tmp_path / "collection.tsv")
    assert collection.documents == {"7067032": "The first", "7067033": 'about "quotes'}
    assert "has no header" in collection.notes[0]
    (tmp_path / "lines.tsv").write_text("one text\nanother\n")
    assert load_collection(tmp_path / "lines.tsv").documents == {"1": "one text", "2": "another"}
    (tmp_path / "docs.tsv").write_text("D1\thttp://x\tTitle\tBody of it\n")
    assert load_collection(tmp_path / "docs.tsv").documents == {"D1": "Title Body of it"}
    (tmp_path / "odd.tsv").write_text("1\t2\t3\n")
    with pytest.raises(InputError, match="3 columns and no header"):
        load_collection(tmp_path / "odd.tsv")


@pytest.mark.parametrize(
    "text",
    [
        "id;text\na;one, two\n",
        "id\ttext\na\tone, two\n",
        'id, text\na, "one, two"\n',
        'id,text\ra,"one, two"\r',
        'id,text\na,"one, two",,\n',
        'ID,Text\r\na,"one, two"\r\n',
    ],
)
def test_csv_as_spreadsheets_write_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text, newline="")
    assert load_collection(tmp_path / "t.csv").documents == {"a": "one, two"}


def test_a_field_has_any_length(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,text\na," + "x" * 131_073 + "\n")
    assert len(load_collection(tmp_path / "t.csv").documents["a"]) == 131_073


@pytest.mark.parametrize("text", ['[{"text": "x"}]', '[\n {"text":\n "x"}\n]', '{"rows": [{"text": "x"}]}',
                                  '{"text": "x"}', '{\n "rows": [\n  {"text": "x"}]}'])  # fmt: skip
def test_json_in_its_usual_shapes(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)
    assert load_collection(tmp_path / "t.json").documents == {"1": "x"}
    (tmp_path / "t.jsonl").write_text("\n[\n" + '{"text": "x"}, {"text": "y"}]')
    assert load_collection(tmp_path / "t.jsonl").documents == {"1": "x", "2": "y"}
    (tmp_path / "t.json").write_text('{"text": "x"}\n{"text": "y"}\n')
    assert load_collection(tmp_path / "t.json").documents == {"1": "x", "2": "y"}


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(gzip.compress(b'{"id": "a", "text": "x"}'))
    assert load_collection(tmp_path / "t.jsonl").documents == {"a": "x"}


BAD = {
    "not.jsonl": (b'{"text": "x"}\n{"text": \n', "Line 2 of .*not JSON"),
    "list.jsonl": (b'{"text": "x"}\n\n["x"]\n', "Line 3 of .*holds a list"),
    "deep.jsonl": (b'{"text": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "Line 1 of .*nested too deeply"),
    "deep.json": (b"[" * 200_000 + b"]" * 200_000, "nested too deeply"),
    "endless.jsonl": (b'{"text": 1e999}', "Line 1 of .*infinite number"),
    "wide.json": (json.dumps([{f"column {i}": "x" for i in range(99)}]).encode(), "and 87 more"),
    "text.json": (b'"x"', "expected an array of objects"),
    "mixed.json": (b'[{"text": "x"}, 3]', "Row 2 of .*expected an object"),
    "open.csv": (b'id,text\na,one\nb,"two\nc,three\n', "Line 3 of .*no CSV"),
    "after.csv": (b'id,text\na,"Dune" is a novel\n', "Line 2 of .*no CSV"),
    "wide.csv": (b"id,text\na,one, two\n", "Line 2 of .*has 3 fields, expected 2"),
    "wide.tsv": (b"id\ttext\na\tone\ttwo\n", "Line 2 of .*has 3 fields, expected 2"),
    "twice.csv": (b"id,text,text\na,b,c\n", "two columns 'text'"),
    "empty.csv": (b"", "holds nothing"),
    "header.csv": (b"id,text\n", "a header .id, text. and no rows"),
    "header.tsv": (b"id\ttext\n", "a header .id, text. and no rows"),
    "blank.jsonl": (b"\n\n", "holds nothing"),
    "empty.json": (b"", "holds nothing"),
    "none.parquet": (b"PAR1 nothing", "no Parquet file"),
    "cut.jsonl.gz": (gzip.compress(b'{"text": "x"}' * 999)[:40], "cannot be read"),
    "bad.csv.gz": (b"\x1f\x8b" + b"\0" * 30, "cannot be read"),
    "binary.csv": (b"\0\1\0\0\0\7\0\0" * 40, "is no text"),
    "word.xml": (b"<a/>", "Unknown format"),
    "all.csv": (b"id,text\na,\nb, \n", "only 2 with empty texts"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_one_sentence_with_the_line(tmp_path: Path, name: str) -> None:
    content, sentence = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        load_collection(tmp_path / name)


def test_archives_and_absent_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.csv", "w") as archive:
        archive.writestr("t.csv", "id,text\na,b\n")
    with pytest.raises(InputError, match="zip archive"):
        load_collection(tmp_path / "t.csv")
    with pytest.raises(NotFoundError, match="no file"):
        read_table(tmp_path / "absent.csv")


def test_an_id_keeps_its_digits_however_many(tmp_path: Path) -> None:
    digits = "9" * 5000
    (tmp_path / "t.jsonl").write_text(f'{{"id": {digits}, "text": "x"}}')
    assert list(load_collection(tmp_path / "t.jsonl").documents) == [digits]


@hypothesis_settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(TABLES))
def test_any_bytes_are_rows_or_one_sentence(content: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"t{suffix}")
        path.write_bytes(content)
        with contextlib.suppress(WorkbenchError):  # anything else fails the test
            assert all(isinstance(row, dict) for row in read_table(path, ["text"], LAYOUTS).rows)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("lists.jsonl", '["a", "b"]\n["c", "d"]\n', "Line 1 of .* holds a list, expected an object"),
        ("numbers.jsonl", "1\n2\n", "Line 1 of .* holds a text or number"),
        ("true.jsonl", "true\n", "holds a truth value"),
        ("broken.parquet", "PAR1" + "\0" * 100 + "PAR1", r"^[^\n]*$"),
    ],
)
def test_what_holds_no_rows_is_said_in_one_true_sentence(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_table(tmp_path / name)


@pytest.mark.parametrize("text", ['[{"text": "a"}]', '[\n{"text": "a"}\n]', '[{"text": "a"},\n{"text": "b"}]'])
def test_an_array_under_the_name_of_lines_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.jsonl").write_text(text)
    assert read_table(tmp_path / "t.jsonl").rows[0] == {"text": "a"}
