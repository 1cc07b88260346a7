"""Fields: the other columns of rows of any source, with the types that they have."""

from __future__ import annotations

import datetime
import json
import os
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Collection, load_collection
from engine.collection import Part
from engine.errors import InputError
from engine.fields import Fields, typed
from engine.sampling import sample

ROWS = [
    {"id": "a", "text": "The moon", "year": 2019, "price": 1.5, "tags": ["x", "y"], "meta": {"lang": "de", "n": 3}},
    {"id": "b", "text": "Bread", "year": 2020, "price": 2, "tags": [], "open": True, "day": "2020-02-03"},
    {"id": "c", "text": "Tea", "year": 2021, "tags": None, "meta": {"lang": "en"}, "day": "2021-12-31", "a b": "odd"},
    {"id": "d", "text": "Rain", "year": None, "price": "", "open": False},
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    return tmp_path / "t.jsonl"


def test_the_same_rows_give_the_same_in_every_format(source: Path, tmp_path: Path) -> None:
    plain = [{"id": "a", "text": "x", "year": 2019, "day": "2020-02-03"}, {"id": "b", "text": "y", "year": 2020}]
    frame = pd.DataFrame(plain)
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    frame.to_json(tmp_path / "t.json", orient="records")
    frame.assign(day=[datetime.date(2020, 2, 3), None]).to_parquet(tmp_path / "t.parquet")
    (tmp_path / "beir").mkdir()
    (tmp_path / "beir" / "corpus.jsonl").write_text("\n".join(map(json.dumps, plain)))
    for name in ("t.csv", "t.tsv", "t.json", "t.parquet", "beir"):
        rows = load_collection(tmp_path / name).rows
        assert rows.columns == {"year": "BIGINT", "day": "DATE", "id": "VARCHAR", "title": "VARCHAR", "text": "VARCHAR"}
        assert rows.select("year > 2019").ids == ("b",)


def test_files_of_a_folder_have_path_date_and_size(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "old.md").write_text("old")
    (tmp_path / "sub" / "new.txt").write_text("a long text")
    os.utime(tmp_path / "old.md", (86400, 86400))
    rows = load_collection(tmp_path).rows
    assert rows.select("modified < TIMESTAMP '1971-01-01'").ids == ("old.md",)
    assert rows.select("path LIKE 'sub/%' AND bytes > 5 AND suffix = '.txt'").ids == ("sub/new.txt",)
    cut = load_collection(tmp_path, passages="2").rows
    assert cut.select("passage = 2 AND document = 'sub/new.txt' AND bytes > 5").ids == ("sub/new.txt#2",)


def test_pages_have_numbers() -> None:
    parts = {"r#p1": Part("r", 1, 2), "r#p2-1": Part("r", 2, 2, 1, 2), "r#p2-2": Part("r", 2, 2, 2, 2)}
    collection = Collection(dict.fromkeys([*parts, "x"], "text"), parts=parts,
                            fields=Fields(("year",), lambda: {"r": {"year": 1}, "x": {"year": 2}}))  # fmt: skip
    assert collection.rows.select("page = 2 AND passage < 2").ids == ("r#p2-1",)
    assert collection.rows.select("year = 1").ids == tuple(parts)
    assert sample(collection, 2, seed=1).rows.select("year > 0").total == 2


def test_columns_of_ir_datasets_are_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    class Paper(NamedTuple):
        doc_id: str
        title: str
        text: str
        year: int

    dataset = SimpleNamespace(docs_iter=lambda: iter([Paper("a", "", "x", 1990), Paper("b", "", "y", 2000)]),
                              docs_cls=lambda: Paper)  # fmt: skip
    monkeypatch.setitem(__import__("sys").modules, "ir_datasets", SimpleNamespace(load=lambda name: dataset))
    assert load_collection("irds:x").rows.select("year > 1995").ids == ("b",)


def test_fields_are_read_when_they_are_asked_for_and_not_before(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = load_collection(source)
    assert collection.fields is not None
    assert "year" in collection.fields.names
    source.write_text(source.read_text() + "\n" + json.dumps({"id": "e", "text": "more"}))
    with pytest.raises(InputError, match=r"t.jsonl has changed since it was read"):
        collection.rows.select("year > 1")
    bare = source.with_name("bare.csv")
    bare.write_text("id,title,text\na,b,c\n")
    assert load_collection(bare).fields is None
    assert load_collection(bare).rows.select("title = 'b'").ids == ("a",)


@pytest.mark.parametrize(
    ("values", "kind", "same"),
    [
        (["1", "2", None], "int64", [1, 2, None]),
        (["1", "2.5"], "double", [1.0, 2.5]),
        (["2", 2.5, float("nan")], "double", [2.0, 2.5, None]),
        (["007", "8"], "string", ["007", "8"]),
        (["12345678901234567890123", "1"], "double", None),
        (["true", "False"], "bool", [True, False]),
        ([True, False, ""], "bool", [True, False, None]),
        (["2020-01-02", "2020-02-30"], "string", ["2020-01-02", "2020-02-30"]),
        (["2020-01-02T03:04"], "timestamp[us]", [datetime.datetime(2020, 1, 2, 3, 4)]),
        ([datetime.date(2020, 1, 2)], "date32[day]", [datetime.date(2020, 1, 2)]),
        ([Decimal("1.50")], "decimal128(3, 2)", [Decimal("1.50")]),
        ([1, "x", [2]], "string", ["1", "x", "[2]"]),
        ([1, True], "string", ["1", "true"]),
        ([{}, None, ""], "string", ["{}", None, None]),
        ([b"caf\xc3\xa9", "x"], "string", ["caf\u00e9", "x"]),
        ([np.float32(2.5), np.int64(3)], "double", [2.5, 3.0]),
        ([["1"], [], None, ["2"]], "list<item: int64>", [[1], [], None, [2]]),
        ([{"a": "1"}, {"b": ["x"]}, None], "struct<a: int64, b: list<item: string>>", None),
        ([2**70, 1], "string", [str(2**70), "1"]),
    ],
)  # fmt: skip
def test_a_column_has_the_narrowest_type_that_holds_it(values: list[Any], kind: str, same: list[Any] | None) -> None:
    found = typed(values)
    assert str(found.type) == kind
    if same is not None:
        assert found.to_pylist() == same


CELLS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1", "2020-01-01"]),
    lambda cells: st.lists(cells, max_size=3) | st.dictionaries(st.text(max_size=3), cells, max_size=3),
    max_leaves=6,
)


@given(st.lists(CELLS, max_size=6))
def test_any_values_are_a_column(values: list[Any]) -> None:
    assert len(typed(values)) == len(values)
