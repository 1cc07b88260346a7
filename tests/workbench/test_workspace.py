"""A workspace searches, explains with the same numbers, and keeps what it made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine import Collection
from engine.errors import InputError, NotFoundError
from workbench.cache import cached_embeddings, cached_index, embeddings_folder
from workbench.workspace import open_workspace


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("kind", ["exact", "plaid"])
def test_contributions_add_up_to_the_scores(fake_encoder, tiny_collection: Collection, kind: str) -> None:
    workspace = open_workspace(tiny_collection, fake_encoder, kind)
    result = workspace.search("index of the largest value", k=3)
    assert result.hits[0].id == "argmax"
    assert [hit.rank for hit in result.hits] == [1, 2, 3]
    for hit in result.hits:
        alignment = workspace.explain(result.question, hit.id)
        assert hit.contribution.sum() == pytest.approx(hit.score, abs=1e-5)
        assert alignment.score == pytest.approx(hit.score, abs=1e-4)
        np.testing.assert_allclose(alignment.contribution, hit.contribution, atol=1e-5)
        assert len(alignment.query_tokens) == len(result.query_tokens) == len(hit.contribution)


def test_an_edited_text_is_scored_like_a_document(fake_encoder, tiny_collection: Collection) -> None:
    workspace = open_workspace(tiny_collection, fake_encoder, "exact")
    text = tiny_collection.documents["mean"]
    stored, edited = workspace.explain("average of values", "mean"), workspace.explain_text("average of values", text)
    assert edited.score == pytest.approx(stored.score, abs=1e-2)  # documents are kept in float16
    assert workspace.explain_text("average of values", text + " average of values").score > stored.score


def test_the_second_opening_encodes_and_builds_nothing(fake_encoder, tiny_collection: Collection) -> None:
    stages: list[str] = []
    for _ in range(2):
        stages.clear()
        open_workspace(tiny_collection, fake_encoder, "exact", lambda stage, done, total: stages.append(stage))
    assert "encode" not in stages


def test_a_damaged_cache_is_made_again(fake_encoder, tiny_collection: Collection) -> None:
    texts = list(tiny_collection.documents.values())
    first = np.array(cached_embeddings(fake_encoder, texts, "document").values)  # a copy: the file is damaged below
    folder = embeddings_folder(fake_encoder, texts, "document", "float16")
    next(folder.glob("values.*")).write_bytes(b"short")
    np.testing.assert_array_equal(cached_embeddings(fake_encoder, texts, "document").values, first)


def test_an_interrupted_index_is_built_again(fake_encoder, tiny_collection: Collection) -> None:
    documents = cached_embeddings(fake_encoder, list(tiny_collection.documents.values()), "document")
    ids = list(tiny_collection.documents)
    index, opened = cached_index("exact", ids, documents)
    assert not opened
    index.remove(ids[2:])  # as a build that was killed after its first batch leaves it
    index, opened = cached_index("exact", ids, documents)
    assert (len(index), opened) == (len(ids), False)
    assert cached_index("exact", ids, documents)[1]


def test_mistakes(fake_encoder, tiny_collection: Collection) -> None:
    workspace = open_workspace(tiny_collection, fake_encoder, "exact")
    with pytest.raises(InputError, match="empty"):
        workspace.search("   ")
    with pytest.raises(NotFoundError, match="'none'"):
        workspace.explain("value", "none")
