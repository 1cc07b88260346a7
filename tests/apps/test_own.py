"""Texts that a person brings: what is taken, what is refused, and the page on which they bring them."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from apps import own
from apps.own import own_collection, read_files
from engine import load_collection
from engine.errors import InputError
from tests.apps.conftest import HOSTILE

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
def test_files_are_chosen_and_wrong_ones_refused_before_they_are_sent(page: Page, server: Server) -> None:
    from playwright.sync_api import expect

    page.goto(f"{server.url}own?source=files")
    expect(page.locator(".intro")).to_contain_text("At most")
    chooser = page.locator("input[type=file]")
    chooser.set_input_files({"name": "virus.exe", "mimeType": "text/plain", "buffer": b"MZ"})
    expect(page.get_by_role("alert")).to_contain_text("virus.exe is none of")
    chooser.set_input_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": TEXT.encode()})
    expect(page.locator(".chosen-files")).to_contain_text("notes.txt")
    page.get_by_text("make every paragraph").click()
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
