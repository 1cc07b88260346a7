"""PDF, HTML and .docx files as documents: what they hold, and what a hostile one gives."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine import load_collection
from engine.collection import Part
from engine.errors import InputError, MissingExtraError
from engine.reading import apart
from engine.reading.apart import Limits, Parser
from tests.papers import packed, write_bare_pdf, write_bomb, write_docx, write_encrypted_pdf, write_pdf

pytest.importorskip("pypdfium2")
pytest.importorskip("selectolax")
pytest.importorskip("mammoth")
pytest.importorskip("docx")

PAGE = """<!doctype html><html><head><title>On  tides &amp; moons</title><style>p { color: red }</style></head><body>
<nav>Home About</nav><h1>Tides</h1><p>The <b>moon</b>light
 lifts the sea.<br>Twice a day.</p>tail<table><tr><td>high<td>low</tr><tr><td>7 m<td>1 m</table>
<pre>one
two</pre><script>var x = "<p>no</p>";</script></body></html>"""


def only(path: Path, **options: object) -> str:
    """The text of a collection of one document."""
    return next(iter(load_collection(path, **options).documents.values()))  # type: ignore[arg-type]


def test_each_page_of_a_pdf_is_a_document(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "report.pdf", [["The moon lifts", "the sea."], [], ["Bread is made of flour."]])
    collection = load_collection(path)
    assert collection.documents == {
        "report.pdf#p1": "The moon lifts\nthe sea.",
        "report.pdf#p3": "Bread is made of flour.",
    }
    assert collection.parts == {"report.pdf#p1": Part("report.pdf", 1, 3), "report.pdf#p3": Part("report.pdf", 3, 3)}
    assert collection.notes == ("1 of 3 pages of report.pdf hold no text",)
    assert (collection.name, collection.folder) == ("report.pdf", tmp_path)
    assert collection.neighbours("report.pdf#p1") == (None, "report.pdf#p3")


def test_html_is_its_visible_text_under_its_title(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE)
    collection = load_collection(tmp_path / "page.html")
    text = "Tides\n\nThe moonlight lifts the sea.\nTwice a day.\n\ntail\n\nhigh\tlow\n7 m\t1 m\n\none\ntwo"
    assert collection.documents == {"page.html": f"On tides & moons {text}"}
    assert collection.titles == {"page.html": "On tides & moons"}
    assert collection.parts == {}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"<meta charset=shift_jis><p>" + "猫が好き".encode("shift_jis"), "猫が好き"),
        ("<p>caf\u00e9".encode("utf-16"), "caf\u00e9"),
        ("<p>caf\u00e9 \u201cquoted\u201d".encode("cp1252"), "caf\u00e9 \u201cquoted\u201d"),
        ("\ufeff<p>caf\u00e9".encode(), "caf\u00e9"),
        (b"<meta charset=rot13><p>plain", "plain"),
        (b"<p>unclosed <i>and <td>wild", "unclosed and wild"),
        (b"<nav>menu</nav><main><p>The part that counts</main><footer>legal</footer>", "The part that counts"),
        (b"<p>nul \x00 inside", "nul inside"),
    ],
)
def test_html_in_the_encodings_and_the_state_that_it_comes_in(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "p.htm").write_bytes(content)
    assert only(tmp_path / "p.htm").replace("\ufffd ", "") == text


def test_a_docx_is_its_paragraphs_and_tables(tmp_path: Path) -> None:
    write_docx(tmp_path / "letter.docx", ["Dear reader,", "the sea\trises.\nSoon."], [["high", "low"], ["7 m", "1 m"]])
    assert only(tmp_path / "letter.docx") == "Dear reader,\n\nthe sea rises.\nSoon.\n\nhigh\tlow\n7 m\t1 m"


def test_a_folder_of_mixed_files_is_a_collection(tmp_path: Path) -> None:
    write_pdf(tmp_path / "report.pdf", [["Page one."], ["Page two."]])
    (tmp_path / "sub").mkdir()
    write_docx(tmp_path / "sub" / "Letter.DOCX", ["A letter."])
    (tmp_path / "page.html").write_text("<p>A page")
    (tmp_path / "note.md").write_text("A note")
    (tmp_path / "rows.csv").write_text("id,text\na,b\n")
    (tmp_path / "photo.jpg").write_bytes(b"\xff")
    (tmp_path / ".hidden.pdf").write_bytes(b"")
    write_encrypted_pdf(tmp_path / "secret.pdf")
    (tmp_path / "sub" / "broken.docx").write_bytes(b"PK\x03\x04 cut short")
    collection = load_collection(tmp_path)
    assert collection.documents == {
        "note.md": "A note", "page.html": "A page", "report.pdf#p1": "Page one.", "report.pdf#p2": "Page two.",
        "sub/Letter.DOCX": "A letter.",
    }  # fmt: skip
    assert "1 hidden files were skipped" in collection.notes
    assert "1 files of other kinds were skipped (1 .jpg)" in collection.notes
    assert "1 tables were not read, first rows.csv: give one by its name" in collection.notes
    assert "left out: secret.pdf is encrypted: save it without a password" in collection.notes
    assert any(note.startswith("left out: sub/broken.docx cannot be read (") for note in collection.notes)


def test_what_cannot_be_read_gives_one_sentence_that_names_the_file(tmp_path: Path) -> None:
    files = {
        "pages.pdf": (lambda path: write_bare_pdf(path, 1_000_000), "has 1,000,000 pages, more than the 10,000"),
        "scan.pdf": (lambda path: write_pdf(path, [[], []]), "holds no text, only pictures"),
        "secret.pdf": (write_encrypted_pdf, "is encrypted: save it without a password"),
        "none.pdf": (lambda path: path.write_bytes(b"no PDF at all"), "cannot be read ("),
        "cut.pdf": (lambda path: path.write_bytes(b"%PDF-1.7\nxref\n0 99999\ngarbage" * 9), "cannot be read ("),
        "empty.pdf": (lambda path: path.write_bytes(b""), "cannot be read ("),
        "bomb.docx": (lambda path: write_bomb(path, 8_000_000), "unpacks to 8 MB, more than 5"),
        "other.docx": (lambda path: path.write_bytes(packed(b"x", "a.txt")), "is no .docx document"),
        "old.docx": (lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"0" * 99), "is encrypted"),
        "lol.docx": (lambda path: path.write_bytes(packed(billion_laughs())), "cannot be read ("),
        "packed.html": (lambda path: path.write_bytes(b"\x1f\x8b\x08rest"), "is compressed by gzip"),
        "void.html": (lambda path: path.write_text("<script>x</script>"), "holds no text"),
        "long.html": (lambda path: path.write_text("<p>" + "word " * 30_000), "holds more than 100,000 characters"),
    }
    limits = Limits(unpacked=5_000_000, characters=100_000)
    with Parser(limits) as parser:
        for name, (write, sentence) in files.items():
            path = tmp_path / name
            write(path)  # type: ignore[operator]
            with pytest.raises(InputError) as raised:
                parser.read(path)
            told = str(raised.value)
            assert sentence in told
            assert told.startswith(str(path))
            assert "\n" not in told
            assert told.endswith(".")
            assert ".)" not in told, "what a library said is part of a sentence"
    (tmp_path / "good.txt").write_text("A text that is fine")
    assert load_collection(tmp_path, limits=limits).documents == {"good.txt": "A text that is fine"}


def billion_laughs() -> bytes:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 30))
    return f'<!DOCTYPE x [<!ENTITY l0 "ha">{entities}]><x>&l29;</x>'.encode()


def test_a_file_that_takes_too_long_ends_its_process_and_not_the_others(tmp_path: Path) -> None:
    (tmp_path / "deep.html").write_text("<div>" * 400_000 + "deep")
    (tmp_path / "page.html").write_text("<p>A page")
    with Parser(Limits(seconds=0.7)) as parser:
        begun = time.monotonic()
        with pytest.raises(InputError, match=r"deep.html could not be read within 0.7 seconds"):
            parser.read(tmp_path / "deep.html")
        assert time.monotonic() - begun < 5
        assert parser._process is None
    with Parser() as parser:
        assert parser.read(tmp_path / "page.html").pages == ["A page"]
        process = parser._process
    assert process is not None
    assert process.poll() is not None


def test_a_file_that_takes_too_much_memory_ends_its_process(tmp_path: Path) -> None:
    (tmp_path / "wide.html").write_text("<p>word</p>" * 1_000_000)
    with (
        Parser(Limits(memory=100_000_000)) as parser,
        pytest.raises(InputError, match=r"wide.html takes more than 0.1 GB"),
    ):
        parser.read(tmp_path / "wide.html")


def test_a_process_that_ends_by_itself_is_a_sentence_and_the_next_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.html").write_text("<p>A page")
    (tmp_path / "crash.py").write_text("import os, sys; sys.stdin.readline(); os._exit(3)")
    with Parser() as parser:
        with monkeypatch.context() as patch:
            patch.setattr(apart, "SCRIPT", tmp_path / "crash.py")
            with pytest.raises(InputError, match=r"page.html ended the process"):
                parser.read(tmp_path / "page.html")
        assert parser.read(tmp_path / "page.html").pages == ["A page"]


def test_a_size_limit_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    with (tmp_path / "large.pdf").open("wb") as stream:
        stream.truncate(501_000_000)
    with pytest.raises(InputError, match="has 501 MB, more than the 500"):
        load_collection(tmp_path / "large.pdf")


def test_without_the_extra_a_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "find_spec", lambda name: None)
    write_pdf(tmp_path / "report.pdf", [["Page one."]])
    for source in (tmp_path / "report.pdf", tmp_path):
        with pytest.raises(MissingExtraError, match=r"pypdfium2 is not installed.*\[files\]"):
            load_collection(source)
    (tmp_path / "note.md").write_text("A note")
    collection = load_collection(tmp_path)
    assert list(collection.documents) == ["note.md"]
    assert any(note.startswith("left out: pypdfium2 is not installed: install it") for note in collection.notes)


def test_reading_texts_and_tables_loads_no_parser(tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("A note")
    code = (
        "import sys; from engine import load_collection; load_collection(sys.argv[1]);"
        "print([m for m in ('pypdfium2', 'selectolax', 'mammoth', 'psutil', 'duckdb') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True,
                             cwd=Path(__file__).resolve().parents[3])  # fmt: skip
    assert printed.stdout.strip() == "[]"


def test_odd_names_of_files_reach_their_reader(tmp_path: Path) -> None:
    for name in ("a b#p1.pdf", "[x].pdf", "ü.pdf"):
        write_pdf(tmp_path / name, [["Text."]])
    if os.name == "posix":
        os.rename(tmp_path / "ü.pdf", os.fsencode(tmp_path) + b"/\xff.pdf")
        assert set(load_collection(tmp_path).documents) == {"a b#p1.pdf#p1", "[x].pdf#p1", "\ufffd.pdf#p1"}


def test_a_page_is_drawn(tmp_path: Path) -> None:
    from PIL import Image

    path = write_pdf(tmp_path / "report.pdf", [["Page one."], ["Page two."]])
    with Parser() as parser:
        content = parser.picture(path, 2, 300)
        (tmp_path / "p.png").write_bytes(content)
        assert Image.open(tmp_path / "p.png").size[0] in (300, 301)
        with pytest.raises(InputError, match="has no page 3, it has 2"):
            parser.picture(path, 3)
