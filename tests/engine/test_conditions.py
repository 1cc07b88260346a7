"""Conditions on rows: they choose documents, and can do nothing else."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from engine import conditions, load_collection
from engine.errors import InputError

ROWS = [
    {"id": "a", "text": "The moon", "year": 2019, "price": 1.5, "tags": ["x", "y"], "meta": {"lang": "de", "n": 3}},
    {"id": "b", "text": "Bread", "year": 2020, "price": 2, "tags": [], "open": True, "day": "2020-02-03"},
    {"id": "c", "text": "Tea", "year": 2021, "tags": None, "meta": {"lang": "en"}, "day": "2021-12-31", "a b": "odd"},
    {"id": "d", "text": "Rain", "year": None, "price": "", "open": False},
]
CONDITIONS = {
    "year >= 2020": "bc",
    "year IS NULL": "d",
    "price > 1.6": "b",
    "list_contains(tags, 'x')": "a",
    "meta.lang = 'en'": "c",
    "meta.n = 3": "a",
    "open": "b",
    "NOT open": "d",
    "day < DATE '2021-01-01'": "b",
    "month(day) = 12": "c",
    "\"a b\" = 'odd'": "c",
    "YEAR = 2019 OR id = 'd'": "ad",
    "text LIKE '%ea%'": "bc",
    "length(text) > 5": "a",
    "year IN (2021, 2022) AND NOT text ILIKE 'b%'": "c",
    "year BETWEEN 2019 AND 2020": "ab",
    "CASE WHEN year = 2019 THEN true ELSE id = 'd' END": "ad",
    "text ~ '^(The|Tea)'": "ac",
    "tags[1] = 'x'": "a",
    "coalesce(year, 0) % 2 = 0": "bd",
    "day + INTERVAL 1 DAY = DATE '2022-01-01'": "c",
    "EXTRACT(year FROM day) = 2020": "b",
    "price::INTEGER = 2": "ab",
    "upper(text) = 'TEA' COLLATE NOCASE": "c",
    "year IS DISTINCT FROM 2019": "bcd",
    "-year < -2020": "c",
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    return tmp_path / "t.jsonl"


@pytest.mark.parametrize(("condition", "ids"), CONDITIONS.items())
def test_a_condition_chooses_documents(source: Path, condition: str, ids: str) -> None:
    found = load_collection(source).rows.select(condition)
    assert "".join(found.ids) == ids
    assert str(found) == f"{len(ids)} of 4 documents ({condition})"


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("", "it is empty"),
        (" ", "it is empty"),
        ("x" * 20_000, "it is too long"),
        ("yeer > 1", 'Referenced column "yeer" not found'),
        ("year >", "syntax error"),
        ("year", "it gives a BIGINT and neither true nor false"),
        ("year > 1; DROP TABLE documents", "syntax error"),
        ("year > 1) UNION SELECT (1", "more than one condition"),
        ("year > 1), (1", "more than one condition"),
        ("year > 1) FROM documents ORDER BY (1", "more than one condition"),
        ("year > 1) FROM documents WHERE (1 = 1", ""),
        ("year IN (SELECT year FROM documents)", "it holds no subquery"),
        ("COLUMNS(*) > 1", "it holds no star"),
        ("list_filter(tags, x -> x = 'a') = []", ""),
        ("random() < .5", "the function random is none"),
        ("day < now()", "the function now is none"),
        ("year > 1 -- comment", ""),
        ("year, price", ""),
        ("*", ""),
        ("sum(year) > 1", "the function sum is none"),
        ("year = ?", ""),
        ("\0", ""),
        ("\ud83d = 1", ""),
        ("EXISTS (SELECT * FROM read_text('/etc/hostname'))", "it holds no subquery"),
        ("EXISTS (SELECT * FROM '/etc/hostname')", "it holds no subquery"),
        ("EXISTS (SELECT * FROM read_csv('https://example.org/x.csv'))", ""),
        ("EXISTS (SELECT * FROM glob('/*'))", ""),
        ("EXISTS (FROM secret)", "it holds no subquery"),
        ("getenv('HOME') IS NOT NULL", "the function getenv is none"),
        ("(COPY documents TO 'stolen.csv') IS NULL", "syntax error"),
        ("(ATTACH 'stolen.db') IS NULL", ""),
        ("(SET memory_limit = '99GB') IS NULL", ""),
        ("length(repeat('x', 4000000000)) > 1", "the function repeat is none"),
    ],
)
def test_what_is_no_condition_gets_one_sentence(
    source: Path, condition: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before, rows = set(os.listdir(tmp_path)), load_collection(source).rows
    with pytest.raises(InputError) as raised:
        rows.select(condition)
    told = str(raised.value)
    assert "year (BIGINT)" in told
    assert reason in told
    assert "\n" not in told
    assert set(os.listdir(tmp_path)) == before
    assert rows.select("year = 2019").ids == ("a",)


def test_behind_the_list_of_functions_stands_a_connection_that_reaches_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = load_collection(source).rows
    monkeypatch.setattr(rows, "_check", lambda condition: None)
    secret = pd.DataFrame({"a": [1]})  # DuckDB would find variables of Python by their names
    for condition, reason in (
        ("EXISTS (SELECT * FROM read_text('/etc/hostname'))", "file system operations are disabled"),
        ("EXISTS (SELECT * FROM '/etc/hostname')", "does not exist"),
        ("EXISTS (FROM secret)", "does not exist"),
        ("EXISTS (SELECT * FROM glob('/*'))", "file system operations are disabled"),
        ("EXISTS (FROM duckdb_settings() WHERE name = 'threads' AND value <> '1')", "fits"),
    ):
        with pytest.raises(InputError, match=reason):
            rows.select(condition)
    assert len(secret) == 1
    with pytest.raises(Exception, match="locked"):
        rows._connection.execute("SET enable_external_access = true")
    assert os.listdir(tmp_path) == ["t.jsonl"]


def test_a_condition_without_end_is_ended(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "SECONDS", 0.3)
    rows, begun = load_collection(source).rows, time.monotonic()
    monkeypatch.setattr(rows, "_check", lambda condition: None)
    assert rows.select("year = 2019").ids == ("a",)
    with pytest.raises(InputError, match=r"takes longer than 0.3 seconds"):
        rows.select("(SELECT count(*) FROM range(1000000000000)) > year")
    assert time.monotonic() - begun < 20
    assert rows.select("year = 2019").ids == ("a",)


def test_a_condition_that_fits_nothing_is_a_sentence(source: Path) -> None:
    with pytest.raises(InputError, match=r"None of the 4 documents fits 'year > 3000'"):
        load_collection(source).rows.select("year > 3000")


def test_threads_share_the_rows(source: Path) -> None:
    rows, found = load_collection(source).rows, []
    threads = [threading.Thread(target=lambda: found.append(rows.select("year > 2019").ids)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [("b", "c")] * 8
