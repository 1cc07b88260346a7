"""The embedded collection reads this installation's own documentation, whatever was imported before."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import CorruptDataError, UnsupportedError
from workbench.embedded import documentation
from workbench.embedded.documentation import fingerprint, read_documents
from workbench.embedded.judgements import read_judgements, read_questions

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def documents() -> dict[str, str]:
    return read_documents()


def test_there_are_thousands_of_documents_in_sorted_order(documents):
    assert 2_000 <= len(documents) <= 5_000
    assert list(documents) == sorted(documents)


def test_every_text_is_short_prose_that_starts_with_its_name(documents):
    lengths = sorted(len(text.split()) for text in documents.values())
    assert lengths[0] >= 2
    assert lengths[-1] <= 220
    assert lengths[len(lengths) // 2] >= 20
    for name, text in documents.items():
        assert text == " ".join(text.split())
        assert text.startswith(name)
        assert ">>>" not in text


def test_no_text_appears_twice(documents):
    texts = ((name.rpartition(".")[2], text.partition(": ")[2]) for name, text in documents.items())
    bodies = list(texts)
    assert len(set(bodies)) == len(bodies)


@pytest.mark.parametrize(
    ("name", "absent"),
    [
        ("os.path.join", "posixpath.join"),
        ("numpy.argmax", "numpy.core.argmax"),
        ("unittest.TestCase", "unittest.case.TestCase"),
        ("open", "io.open"),
        ("numpy.absolute", "numpy.abs"),
        ("concurrent.futures.ThreadPoolExecutor", "concurrent.futures.thread.ThreadPoolExecutor"),
    ],
)
def test_a_thing_appears_once_under_its_public_name(documents, name, absent):
    assert name in documents
    assert absent not in documents


def test_names_are_given_in_words_too(documents):
    assert documents["concurrent.futures.ThreadPoolExecutor"].startswith(
        "concurrent.futures.ThreadPoolExecutor (thread pool executor): "
    )


def test_two_interpreters_that_imported_different_things_read_the_same(documents):
    program = (
        "import logging, inspect\n"
        "logging.Logger.invented = lambda self: 0\n"
        "logging.Logger.invented.__doc__ = 'A method that another library adds to the logger.'\n"
        "inspect.getfile = None\n"
        "from workbench.embedded.documentation import fingerprint, read_documents\n"
        "print(fingerprint(read_documents()))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == fingerprint(documents)


def test_reading_is_fast_and_prints_nothing(capfd):
    documentation._read.cache_clear()
    start = time.perf_counter()
    read_documents()
    seconds = time.perf_counter() - start
    assert capfd.readouterr() == ("", "")
    assert seconds < 15  # 1.5 s when nothing else runs


def test_a_caller_cannot_change_what_the_next_one_reads():
    first = read_documents()
    before = fingerprint(first)
    first.clear()
    assert fingerprint(read_documents()) == before


def test_the_fingerprint_tells_changed_moved_and_missing_texts_apart():
    prints = [{"a": "bc"}, {"ab": "c"}, {"a": "bd"}, {}, {"a": "bc", "d": "e"}]
    assert len({fingerprint(documents) for documents in prints}) == len(prints)
    assert fingerprint({"a": "b", "c": "d"}) == fingerprint({"c": "d", "a": "b"})


def test_a_program_without_an_interpreter_gets_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-such-python"))
    documentation._read.cache_clear()
    with pytest.raises(UnsupportedError, match="no-such-python"):
        read_documents()


@pytest.fixture(scope="module")
def collection():
    return documentation.load()


def test_the_collection_has_well_over_a_hundred_questions_with_an_exact_answer(collection):
    assert len(collection.judged_queries) == len(collection.queries) >= 150
    exact = [query for query, grades in collection.qrels.items() if 2 in grades.values()]
    assert len(exact) >= 0.95 * len(collection.queries)
    assert {grade for grades in collection.qrels.values() for grade in grades.values()} == {1, 2}


def test_questions_discriminate(collection):
    counts = [len(grades) for grades in collection.qrels.values()]
    assert max(counts) <= 12
    assert sum(count <= 6 for count in counts) >= 0.7 * len(counts)


def test_nearly_every_judged_document_exists_here_and_the_notes_count_the_others(collection):
    judged = read_judgements(documentation.ASSETS / "judgements.tsv")
    missing = {key for grades in judged.values() for key in grades} - collection.documents.keys()
    assert len(missing) <= 15, sorted(missing)
    dropped = sum(map(len, judged.values())) - sum(map(len, collection.qrels.values()))
    assert any(note.startswith(f"{dropped} judgements left out") for note in collection.notes) == (dropped > 0)


def test_no_question_and_no_judgement_is_written_twice():
    questions = documentation.ASSETS / "questions.jsonl"
    assert len(set(read_questions(questions).values())) == len(questions.read_text(encoding="utf-8").splitlines())
    rows = [line.split("\t")[:2] for line in (documentation.ASSETS / "judgements.tsv").read_text().splitlines()]
    assert len({tuple(row) for row in rows}) == len(rows)


def test_a_malformed_line_is_named_as_corrupt(tmp_path):
    path = tmp_path / "judgements.tsv"
    path.write_text("query-id\tcorpus-id\tscore\nq1\tlen\n")
    with pytest.raises(CorruptDataError, match=r"judgements\.tsv"):
        read_judgements(path)
    with pytest.raises(CorruptDataError, match=r"none\.jsonl"):
        read_questions(tmp_path / "none.jsonl")
