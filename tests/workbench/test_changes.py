"""An index on disk with its documents, changed: all or nothing, one writer at a time, whatever a kill leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine import Collection, open_index
from engine.errors import BusyError, InputError, NotFoundError, StorageError
from engine.fields import Fields
from engine.files import file_lock
from tests.conftest import FakeEncoder
from workbench import changes
from workbench.changes import add_documents, create_indexed, remove_documents, remove_indexed, sweep_halves
from workbench.indexed import DOCUMENTS, keep_documents, model_of, open_indexed, read_documents

FRUITS = {"a": "red apple", "b": "green pear", "c": "yellow lemon"}


def fruits(*names: str, **columns: Any) -> Collection:
    rows = {name: dict(columns) for name in names}
    fields = Fields(tuple(columns), lambda: rows) if columns else None
    return Collection({name: FRUITS.get(name, f"fruit {name}") for name in names}, name="fruits", fields=fields)


@pytest.fixture
def encoder() -> Any:
    return FakeEncoder()


@pytest.fixture
def folder(tmp_path: Path, encoder: Any) -> Path:
    path = tmp_path / "fruits"
    create_indexed(path, fruits("a", "b", year=2020), encoder, "fake", "exact", {})
    return path


def test_what_is_added_is_as_if_it_had_been_there(folder: Path, encoder: Any, tmp_path: Path) -> None:
    assert model_of(folder) == "fake"
    add_documents(folder, fruits("c", year=2021, sour=True), encoder)
    whole = tmp_path / "whole"
    create_indexed(whole, fruits("a", "b", "c"), encoder, "fake", "exact", {})
    grown, made = open_indexed(folder, encoder), open_indexed(whole, encoder)
    assert grown.collection.documents == made.collection.documents
    found, expected = grown.search("yellow pear", 3), made.search("yellow pear", 3)
    assert [(hit.id, hit.score) for hit in found.hits] == [(hit.id, hit.score) for hit in expected.hits]
    assert grown.collection.rows.select("year > 2020 AND sour").ids == ("c",)
    remove_documents(folder, ["a"])
    assert list(open_indexed(folder, encoder).collection.documents) == ["b", "c"]
    assert "a" not in read_documents(folder)[0].documents  # the text is gone from the disk, too


def test_pooled_documents_are_added_pooled(tmp_path: Path, encoder: Any) -> None:
    from engine.pooling import parse_pool

    path, pooling = tmp_path / "pooled", parse_pool("factor=2")
    create_indexed(path, fruits("a", "b"), encoder, "fake", "exact", {})
    keep_documents(path, fruits("a", "b"), "fake", str(pooling))
    add_documents(path, Collection({"long": "one two three four five six seven eight"}), encoder)
    assert open_index(path).stored(["long"]).lengths.tolist() == [4]
    assert read_documents(path)[2] == pooling


def test_mistakes_change_nothing(folder: Path, encoder: Any) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match="'a'"):
        add_documents(folder, fruits("c", "a"), encoder)
    with pytest.raises(NotFoundError, match="'z'"):
        remove_documents(folder, ["a", "z"])
    with pytest.raises(InputError, match="left"):
        remove_documents(folder, ["a", "b", "a"])
    other = FakeEncoder()
    other.fingerprint = "another"
    with pytest.raises(InputError, match="another model"):
        add_documents(folder, fruits("c"), other)  # type: ignore[arg-type]
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name: after[name] for name in before} == before


def test_a_full_disk_in_the_middle_leaves_what_was_there(
    folder: Path, encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(open_index(folder))

    def full(*given: object, **named: object) -> None:
        raise StorageError("The disk is full.")

    before = (folder / DOCUMENTS).read_bytes()
    monkeypatch.setattr(kind, "_add", full)
    with pytest.raises(StorageError):
        add_documents(folder, fruits("c"), encoder)
    assert (folder / DOCUMENTS).read_bytes() == before
    monkeypatch.undo()
    add_documents(folder, fruits("c"), encoder)
    assert len(open_indexed(folder, encoder).index) == 3


def test_what_a_kill_between_the_two_files_leaves_does_not_count(folder: Path, encoder: Any) -> None:
    keep_documents(folder, Collection({**FRUITS, "c": "never added"}), "fake")  # before the index had it
    assert list(open_indexed(folder, encoder).collection.documents) == ["a", "b"]
    add_documents(folder, fruits("c"), encoder)
    assert open_indexed(folder, encoder).collection.documents["c"] == "yellow lemon"
    open_index(folder).remove(["a"])  # before its text was
    assert list(open_indexed(folder, encoder).collection.documents) == ["b", "c"]
    add_documents(folder, Collection({"a": "another apple"}), encoder)
    assert open_indexed(folder, encoder).collection.documents["a"] == "another apple"


def test_a_search_that_begins_during_a_removal_opens(
    folder: Path, encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index is opened before the removal and the documents after it."""
    real = open_index

    def slow(path: Path) -> Any:
        index = real(path)
        monkeypatch.setattr("workbench.indexed.open_index", real)
        remove_documents(folder, ["a"])
        return index

    monkeypatch.setattr("workbench.indexed.open_index", slow)
    assert list(open_indexed(folder, encoder).collection.documents) == ["b"]


def test_one_writer_at_a_time(folder: Path, encoder: Any) -> None:
    with file_lock(folder / changes.CHANGING):
        with pytest.raises(BusyError):
            add_documents(folder, fruits("c"), encoder)
        with pytest.raises(BusyError):
            remove_documents(folder, ["a"])
        assert len(open_indexed(folder, encoder).index) == 2


def test_a_folder_is_there_when_it_is_complete(
    tmp_path: Path, folder: Path, encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="exists"):
        create_indexed(folder, fruits("a"), encoder, "fake", "exact", {})
    with pytest.raises(InputError):
        create_indexed(tmp_path / "new", fruits("a"), encoder, "fake", "exact", {"depth": 3})

    def full(*given: object, **named: object) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(changes, "keep_documents", full)
    with pytest.raises(StorageError):
        create_indexed(tmp_path / "new", fruits("a"), encoder, "fake", "exact", {})
    assert [path.name for path in tmp_path.iterdir()] == ["fruits"]
    (tmp_path / f"{changes.HALF}x" / "new").mkdir(parents=True)  # a kill
    sweep_halves(tmp_path)
    remove_indexed(folder)
    assert list(tmp_path.iterdir()) == []
