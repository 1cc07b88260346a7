"""Judgements in the forms that people have them, and by its line what cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import InputError
from engine.reading.judgements import read_qrels


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("query-id\tcorpus-id\tscore\nq1\tannual report.pdf\t1\n", {"q1": {"annual report.pdf": 1}}),
        ("q1\tx1\t1.0\nq2\tx1\t2.\n", {"q1": {"x1": 1}, "q2": {"x1": 2}}),
        ("q1 0 x1 +1\nq2 0 x1 -1\n", {"q1": {"x1": 1}, "q2": {"x1": -1}}),
        ("q1\t0\ta b\t3\n", {"q1": {"a b": 3}}),
        ("\n# judged by hand\nquery-id\tcorpus-id\tscore\n\nq1\tx1\t1\r\n", {"q1": {"x1": 1}}),
        ("#1\tx1\t1\n", {"#1": {"x1": 1}}),
        ("doc_id\tquery_id\trelevance\tnote\nx1\tq1\t2\tsure\n", {"q1": {"x1": 2}}),
        ("q1\tx1\t1\nq1\tx1\t1.0\n", {"q1": {"x1": 1}}),
        ("q1\ta\u2028b\t1\nq1\tc\x85d\t1\n", {"q1": {"a\u2028b": 1, "c\x85d": 1}}),
        ("query-id corpus-id score\nq 3 1\n", {"q": {"3": 1}}),
        ("q1\tx1\t1\t\r\n", {"q1": {"x1": 1}}),
        ("", {}),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_forms(tmp_path: Path, content: str, expected: dict[str, dict[str, int]], encoding: str) -> None:
    (tmp_path / "test.tsv").write_bytes(content.encode(encoding))
    assert read_qrels(tmp_path / "test.tsv").qrels == expected


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("q1\tx1\t1\nq1\tx1\t0\n", "Line 2 of .*grade 0 for query 'q1', an earlier one says 1"),
        ("query-id\tcorpus-id\tscore\nq1\tx1\t²\n", "Line 2 of .*the grade '²'"),
        ("q1\tx1\t\u0661\n", "Line 1 of .*the grade"),
        ("q1\tx1\t1_0\n", "Line 1 of .*the grade '1_0'"),
        ("q1\tx1\tgood\n", "Line 1 of .*the grade 'good'"),
        ("q1\tx1\t1\nq2\tx1\t0.5\n", "Line 2 of .*the grade '0.5'"),
        ("q1\tx1\t" + "9" * 5000 + "\n", "Line 1 of .*the grade"),
        ("q1 Q0 x1 1 12.5 bm25\n", "Line 1 of .*six columns of a run"),
        ("q1\tx1\t1\nq2\n", "Line 2 of .*is not `query document grade`"),
        ("query-id\tcorpus-id\tscore\nq1\t\t1\n", "Line 2 of .*lacks the id of its document"),
        ("query-id\tcorpus-id\n", "Line 1 of .*expected query-id, corpus-id and score"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "test.tsv").write_text(content)
    with pytest.raises(InputError, match=sentence):
        read_qrels(tmp_path / "test.tsv")
