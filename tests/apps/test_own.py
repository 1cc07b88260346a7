"""Texts that a person brings: what is taken, what is refused, and the page on which they bring them."""

from __future__ import annotations

import base64
import gc
import gzip
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from apps import own
from apps.own import own_collection, read_files
from apps.places import page_picture, place_of
from engine import load_collection
from engine.collection import Part
from engine.errors import InputError, NotFoundError
from engine.reading import apart
from tests.apps.conftest import HOSTILE
from tests.papers import write_encrypted_pdf, write_pdf

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from apps.explorer import Server

TEXT = "The cat sat on the mat and slept.\n\nA stock index measures a market.\n\n\nBread is made of flour and water."


def files(**texts: str) -> dict[str, Any]:
    return {"files": [{"name": name.replace("__", "."), "text": text} for name, text in texts.items()]}


def test_a_paragraph_of_pasted_text_is_a_document() -> None:
    collection = own_collection({"text": TEXT, "name": "mine", "questions": "who slept?\n\nwhat is bread?\n"})
    assert list(collection.documents) == ["paragraph 1", "paragraph 2", "paragraph 3"]
    assert list(collection.queries.values()) == ["who slept?", "what is bread?"]
    assert collection.name == "mine"


def test_files_are_documents_or_are_cut_into_paragraphs() -> None:
    given = files(a__txt=TEXT, b__md="# Title")
    assert list(own_collection(given).documents) == ["a.txt", "b.md"]
    assert len(own_collection({**given, "cut": "paragraphs"}).documents) == 4


def test_two_files_of_one_name_are_both_kept() -> None:
    given = {"files": [{"name": "x/a.txt", "text": "one"}, {"name": "y/a.txt", "text": "two"}]}
    assert sorted(own_collection(given).documents.values()) == ["one", "two"]


def test_tables_and_judged_collections_are_read() -> None:
    table = own_collection(files(t__csv="id,text\n7,hello\n8,world\n"))
    assert table.documents == {"7": "hello", "8": "world"}
    judged = own_collection(
        files(
            corpus__jsonl='{"_id": "d", "text": "bread"}\n', queries__jsonl='{"_id": "q", "text": "food?"}\n',
            qrels__tsv="query-id\tcorpus-id\tscore\nq\td\t1\n",
        )
    )  # fmt: skip
    assert judged.qrels == {"q": {"d": 1}}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "no text yet"),
        ({"text": " \n \n"}, "no text yet"),
        (files(a__exe="MZ"), "got 'a.exe'"),
        (files(a__zip="PK"), "got 'a.zip'"),
        (files(a__txt="\0\0\0"), "no text"),
        (files(a__txt="text", b__csv="id,text\n1,x\n"), "either texts"),
        (files(a__jsonl='{"text": "x"}\n{broken\n'), "a.jsonl"),
        (files(a__jsonl="{}", b__jsonl="{}"), "one table"),
        ({"files": [{"name": "a.txt", "text": "x"}] * 201}, "at most 200 files"),
        ({"files": [{"name": "a.txt"}]}, "a name and a text"),
        ({"files": "/etc/passwd"}, "no text yet"),
    ],
)
def test_what_cannot_be_taken_gets_one_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as raised:
        own_collection(given)
    assert "/tmp" not in str(raised.value)


def test_files_arrive_as_they_are_in_any_encoding() -> None:
    def sent(name: str, content: bytes) -> dict[str, Any]:
        return {"files": [{"name": name, "data": "data:text/plain;base64," + base64.b64encode(content).decode()}]}

    read = own_collection(sent("t.csv", "id,text\na,café au lait\n".encode("cp1252")))
    assert read.documents == {"a": "café au lait"}
    assert read.notes[0].startswith("t.csv is not UTF-8 in 1 lines, first line 2")
    assert own_collection(sent("t.txt", "café".encode("utf-16"))).documents == {"t.txt": "café"}
    assert own_collection(sent("t.tsv", b'1\t"quoted\n2\tmore\n')).notes[0].startswith("t.tsv has no header")
    for content, sentence in ((gzip.compress(b"text"), "compressed"), (b"id,text\n", "t.csv holds a header")):
        with pytest.raises(InputError, match=sentence):
            own_collection(sent("t.csv", content))
    with pytest.raises(InputError, match="did not arrive whole"):
        own_collection({"files": [{"name": "t.csv", "data": "data:text/plain;base64,?"}]})


def sent(*paths: Path) -> dict[str, Any]:
    return {"files": [
        {"name": path.name, "data": "data:;base64," + base64.b64encode(path.read_bytes()).decode()} for path in paths
    ]}  # fmt: skip


def test_papers_are_read_under_limits_and_cut_into_passages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("pypdfium2", "selectolax", "mammoth"):
        pytest.importorskip(package)
    pdf = write_pdf(tmp_path / "tides.pdf", [["The moon lifts the sea. It falls again at night."], ["Bread is flour."]])
    (tmp_path / "page.html").write_text("<title>Tea</title><p>Tea is made of leaves.")
    (tmp_path / "note.md").write_text("A note.")
    secret = write_encrypted_pdf(tmp_path / "secret.pdf")
    every = sent(pdf, tmp_path / "page.html", tmp_path / "note.md", secret)
    whole = own_collection({**every, "name": "mine"})
    assert whole.documents == {
        "note.md": "A note.", "page.html": "Tea Tea is made of leaves.", "tides.pdf#p2": "Bread is flour.",
        "tides.pdf#p1": "The moon lifts the sea. It falls again at night.",
    }  # fmt: skip
    assert whole.name == "mine"
    assert "left out: secret.pdf is encrypted: save it without a password" in whole.notes
    assert whole.rows.select("suffix = '.pdf' AND page = 2").ids == ("tides.pdf#p2",)
    cut = own_collection({**every, "cut": "passages", "size": "6:0", "make": True})
    assert [name for name in cut.documents if name.startswith("tides")] == [
        "tides.pdf#p1-1",
        "tides.pdf#p1-2",
        "tides.pdf#p2",
    ]
    assert cut.made["made 1"] in ("title", "first sentence")
    assert "Tea" in cut.queries.values()
    assert cut.name == "tides.pdf and 3 more"
    place = place_of(cut, "tides.pdf#p1-2")
    assert place == {
        "told": "tides.pdf, page 1 of 2, passage 2 of 2", "before": "tides.pdf#p1-1", "after": "tides.pdf#p2",
        "picture": True,
    }  # fmt: skip
    assert place_of(cut, "note.md") is None
    assert page_picture(cut, "tides.pdf#p1-2").startswith("data:image/png;base64,iVBOR")
    for wrong in ("note.md", "no such document"):
        with pytest.raises(NotFoundError, match="no page of a PDF"):
            page_picture(cut, wrong)
    outside = replace(cut, parts={"note.md": Part("../../etc/passwd.pdf", 1, 1)})
    with pytest.raises(NotFoundError, match="not where it was"):
        page_picture(outside, "note.md")
    assert own_collection({**sent(pdf), "questions": "why?", "make": True}).made == {}
    folder = Path(str(cut.folder))  # a path of its own, which holds nothing
    assert folder.is_dir()
    monkeypatch.setattr(own, "PAPER_LIMITS", replace(own.PAPER_LIMITS, pages=1))
    for given, sentence in (
        ({**sent(pdf)}, "^tides.pdf has 2 pages, more than the 1"),
        ({**sent(secret)}, "^secret.pdf is encrypted"),
        ({**every, "cut": "paragraphs"}, "Paragraphs are known of text files only"),
        ({**sent(tmp_path / "page.html"), "cut": "passages", "size": "5:9"}, "try 200:40"),
    ):
        with pytest.raises(InputError, match=sentence) as raised:
            own_collection(given)
        assert "/tmp" not in str(raised.value)
    del cut, whole, outside
    gc.collect()
    assert not folder.is_dir()  # it goes with the last collection that refers to it


def test_without_the_libraries_papers_are_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "find_spec", lambda name: None)
    assert ".pdf" not in own.types()
    with pytest.raises(InputError, match=r"got 'a\.pdf'"):
        own_collection(files(a__pdf="x"))


def test_the_page_says_what_a_command_says(tmp_path: Path) -> None:
    broken = '{"text": "x"}\n{"text": ["y"]}\n'
    (tmp_path / "t.jsonl").write_text(broken)
    with pytest.raises(InputError) as command:
        load_collection(tmp_path / "t.jsonl")
    with pytest.raises(InputError) as page:
        own_collection(files(t__jsonl=broken))
    assert str(page.value) == str(command.value).replace(f"{tmp_path}/", "")


def test_the_limits_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "MOST_BYTES", 10)
    with pytest.raises(InputError, match="MB in all"):
        read_files([{"name": "a.txt", "text": "x" * 11}], own.PLAIN)
    monkeypatch.setattr(own, "MOST_BYTES", 10_000)
    monkeypatch.setattr(own, "MOST_DOCUMENTS", 2)
    with pytest.raises(InputError, match="at most 2 documents"):
        own_collection({"text": TEXT})


def test_no_name_of_a_browser_becomes_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    secret = tmp_path / "secret.csv"
    secret.write_text("id,text\n1,secret\n")
    collection = own_collection({"files": [{"name": str(secret), "text": "id,text\n1,mine\n"}]})
    assert collection.documents == {"1": "mine"}
    assert list(tmp_path.iterdir()) == [secret]


@pytest.mark.browser
def test_pasted_text_is_indexed_searched_and_shared_by_its_link_only(page: Page, server: Server) -> None:
    from playwright.sync_api import expect

    page.goto(f"{server.url}own")
    expect(page.locator(".intro")).to_contain_text("At most")
    page.locator(".pasted").fill(TEXT + "\n\n" + HOSTILE["markup"])
    page.get_by_role("button", name="Index").click()
    expect(page.locator(".lead")).to_contain_text("4 documents", timeout=60_000)
    to = ["Search it", "Systems", "X-ray", "Pool factor", "Indexes", "Train", "Images"]
    assert page.locator(".result a").all_text_contents() == to
    page.get_by_role("link", name="Search it").click()
    page.get_by_role("searchbox").fill("what is bread made of")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator(".name")).to_have_text("paragraph 3")
    assert "on=" in page.url
    page.get_by_role("link", name="X-ray").click()
    expect(page.locator("h1")).to_be_visible()
    assert "on=" in page.url
    page.goto(f"{server.url}?on=guessed")
    expect(page.get_by_role("alert")).to_contain_text("not open any more")
    page.goto(server.url)
    expect(page.locator(".about")).to_contain_text("embedded, a part")


@pytest.mark.browser
def test_long_texts_are_cut_or_read_in_windows(page: Page, server: Server) -> None:
    from playwright.sync_api import expect

    page.goto(f"{server.url}own")
    expect(page.locator(".intro")).to_contain_text("At most")
    page.locator(".pasted").fill("Ships wait for wind and water. " * 60)
    page.get_by_role("button", name="Index").click()
    expect(page.locator(".result")).to_contain_text("1 of 1 documents were cut at 256 tokens", timeout=60_000)
    page.locator(".long").select_option("windows")
    page.locator(".window").fill("128")
    page.get_by_role("button", name="Index").click()
    expect(page.locator(".result")).to_contain_text("model embedded?windows=128:32", timeout=60_000)
    expect(page.locator(".result")).not_to_contain_text("cut")
    page.locator(".window").fill("4000")
    page.get_by_role("button", name="Index").click()
    expect(page.get_by_role("alert")).to_contain_text("512 tokens", timeout=60_000)


@pytest.mark.browser
def test_files_are_chosen_and_wrong_ones_refused_before_they_are_sent(page: Page, server: Server) -> None:
    from playwright.sync_api import expect

    page.goto(f"{server.url}own?source=files")
    expect(page.locator(".intro")).to_contain_text("At most")
    chooser = page.locator("input[type=file]")
    chooser.set_input_files({"name": "virus.exe", "mimeType": "text/plain", "buffer": b"MZ"})
    expect(page.get_by_role("alert")).to_contain_text("virus.exe is none of")
    chooser.set_input_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": TEXT.encode()})
    expect(page.locator(".chosen-files")).to_contain_text("notes.txt")
    page.locator("select.cut").select_option("paragraphs")
    page.get_by_role("button", name="Index").click()
    expect(page.locator(".lead")).to_contain_text("3 documents", timeout=60_000)
    old = "id,text\na,café au lait\nb,tea\n".encode("cp1252")
    chooser.set_input_files({"name": "old.csv", "mimeType": "text/csv", "buffer": old})
    page.get_by_role("button", name="Index").click()
    expect(page.locator(".lead")).to_contain_text("2 documents", timeout=60_000)
    expect(page.locator(".note").filter(has_text="old.csv is not UTF-8 in 1 lines")).to_be_visible()
    page.goto(f"{server.url}own")
    expect(page.locator(".intro")).to_contain_text("At most")
    page.get_by_role("button", name="Index").click()
    expect(page.get_by_role("alert")).to_contain_text("no text yet")


@pytest.mark.browser
def test_a_pdf_is_searched_by_passages_limited_by_fields_and_shown_on_its_page(
    page: Page, server: Server, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    pytest.importorskip("pypdfium2")
    pdf = write_pdf(tmp_path / "tides.pdf", [["The moon lifts the sea twice a day."], ["Bread is made of flour."]])
    page.goto(f"{server.url}own?source=files")
    expect(page.locator(".types")).to_contain_text(".pdf")
    page.locator("input[type=file]").set_input_files(pdf)
    page.locator("select.cut").select_option("passages")
    page.locator(".size").fill("5")
    page.locator(".overlap").fill("0")
    page.get_by_text("A name, and questions").click()
    page.locator(".make").check()
    page.get_by_role("button", name="Index").click()
    expect(page.locator(".lead")).to_contain_text("3 documents", timeout=60_000)
    expect(page.locator(".result")).to_contain_text("questions were made")
    page.get_by_role("link", name="Search it").click()
    expect(page.locator(".made")).to_contain_text("a person has confirmed 0% of them")
    page.get_by_role("searchbox").fill("what lifts the sea")
    page.get_by_text("Only some documents").click()
    expect(page.locator(".fields-list")).to_contain_text("page bigint")
    page.locator(".where input").fill("page = 1")
    page.locator(".where input").press("Enter")
    expect(page.locator(".count")).to_contain_text("2 of 3 documents (page = 1)")
    expect(page.locator(".place")).to_contain_text("tides.pdf, page 1 of 2, passage 1 of 2")
    page.get_by_role("button", name="Show the page").click()
    expect(page.locator(".page-picture img")).to_be_visible()
    page.get_by_role("button", name="Hide the page").click()
    expect(page.locator(".page-picture img")).to_be_hidden()
    page.get_by_role("button", name="Show the page").click()
    expect(page.locator(".page-picture img")).to_be_visible()
    page.get_by_role("button", name="After it").click()
    expect(page.locator(".place")).to_contain_text("passage 2 of 2")
    assert "where=" in page.url
    page.locator(".where input").fill("yeer > 1")
    page.locator(".where input").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Expected a condition")
