"""An index on disk with its documents: searched, limited by their fields, and refused where something does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine import Collection, create_index, open_index, pool
from engine.collection import Part
from engine.errors import CorruptDataError, InputError, NotFoundError
from engine.fields import Fields
from tests.conftest import FakeEncoder
from workbench.indexed import DOCUMENTS, keep_documents, open_indexed, read_documents

ROWS = {
    "argmax": {"year": "2019", "tags": ["x"], "__odd": 1},
    "sort": {"year": "2020", "tags": [], "meta": {"lang": "de"}},
    "mean": {"year": "2021"},
}


@pytest.fixture
def collection(tiny_collection: Collection) -> Collection:
    return replace(
        tiny_collection, queries={}, qrels={}, titles={"sort": "Sorting"}, folder=Path("/papers"),
        parts={"mean": Part("paper.pdf", 2, 9), "glob": Part("b.txt", None, None, 1, 2)},
        fields=Fields(("year", "tags", "meta", "__odd"), lambda: ROWS),
    )  # fmt: skip


@pytest.fixture
def folder(collection: Collection, fake_encoder: FakeEncoder, tmp_path: Path) -> Path:
    path = tmp_path / "index"
    index = create_index("plaid", path, bits=8)
    keep_documents(path, collection, "fake")
    index.add(list(collection.documents), fake_encoder.encode_document(list(collection.documents.values())))
    return path


def test_what_is_kept_beside_an_index_is_the_collection(folder: Path, collection: Collection) -> None:
    found, model, _, cut = read_documents(folder)
    assert (model, cut) == ("fake", "")
    assert found == collection
    assert found.rows.select("year >= 2020 AND meta.lang = 'de'").ids == ("sort",)
    assert found.rows.columns["year"] == "BIGINT"
    assert "__odd" not in found.rows.columns
    bare = replace(collection, fields=None)
    keep_documents(folder, bare, "fake")
    assert read_documents(folder)[0].fields is None


def test_an_index_on_disk_is_searched_among_documents_that_fit(folder: Path, fake_encoder: Any) -> None:
    workspace = open_indexed(folder, fake_encoder)
    result = workspace.search("largest value", 5)
    assert result.hits[0].id == "argmax"
    assert result.among is None
    chosen = workspace.search("largest value", 5, where="year > 2019")
    assert {hit.id for hit in chosen.hits} == {"sort", "mean"}
    assert str(chosen.among) == "2 of 8 documents (year > 2019)"
    with pytest.raises(InputError, match="ids to search among or a condition"):
        workspace.search("value", subset=["sort"], where="year > 2019")


def test_documents_that_were_removed_from_the_index_are_gone(folder: Path, fake_encoder: Any) -> None:
    open_index(folder).remove(["sort"])
    assert [hit.id for hit in open_indexed(folder, fake_encoder).search("value", 9, where="year > 2019").hits] == [
        "mean"
    ]


def test_an_index_that_does_not_fit_gets_one_sentence(
    folder: Path, fake_encoder: Any, tmp_path: Path, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = FakeEncoder()
    other.fingerprint = "another"
    with pytest.raises(InputError, match="built with another model"):
        open_indexed(folder, other)  # type: ignore[arg-type]
    keep_documents(folder, replace(collection, documents={"argmax": "x"}, parts={}), "fake")
    with pytest.raises(InputError, match=f"whose text is not in {DOCUMENTS}"):
        open_indexed(folder, fake_encoder)
    content = (folder / DOCUMENTS).read_bytes()
    for damaged in (content[:-9], content[:40] + b"\0\0\0\0" + content[44:], b""):
        (folder / DOCUMENTS).write_bytes(damaged)
        with pytest.raises(CorruptDataError, match=f"{DOCUMENTS} is damaged"):
            open_indexed(folder, fake_encoder)
    (folder / DOCUMENTS).unlink()
    with pytest.raises(NotFoundError, match="vectors without their texts"):
        open_indexed(folder, fake_encoder)
    with pytest.raises(NotFoundError):
        open_indexed(tmp_path, fake_encoder)


def test_a_pooled_index_on_disk_is_explained_by_the_tokens_that_went_together(tmp_path, fake_encoder, tiny_collection):
    folder, texts = tmp_path / "pooled", list(tiny_collection.documents.values())
    pooled = pool(fake_encoder.encode_document(texts).astype("float16"), tokens=4)
    create_index("exact", folder).add(list(tiny_collection.documents), pooled)
    keep_documents(folder, tiny_collection, "fake", "tokens=4")
    workspace = open_indexed(folder, fake_encoder)
    hit = workspace.search("index of the largest value", k=1).hits[0]
    assert hit.id == "argmax"
    assert len(hit.alignment.document_tokens) == hit.alignment.similarity.shape[1] == 4
    assert any(token.parts for token in hit.alignment.document_tokens)
    assert hit.contribution.sum() == pytest.approx(hit.score, abs=1e-3)
    assert "pooled by tokens=4" in workspace.scored_on
