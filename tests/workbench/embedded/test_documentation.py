"""The embedded collection reads this installation's own documentation, whatever was imported before."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import UnsupportedError
from workbench.embedded import documentation
from workbench.embedded.documentation import fingerprint, read_documents

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
