"""A workspace searches, explains with the same numbers, and keeps what it made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine import Collection
from engine.errors import InputError, NotFoundError
from engine.maxsim import scorers
from engine.pooling import parse_pool, pool_by, token_pieces
from engine.tokens import single_tokens
from workbench.cache import cached_embeddings, cached_index, embeddings_folder
from workbench.experiments.execute import run
from workbench.experiments.plan import parse_spec
from workbench.workspace import open_workspace


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("spec", ["exact", "plaid", "plaid:bits=1", "hnsw"])
def test_page_and_evaluation_have_one_order_and_one_score(fake_encoder, tiny_collection: Collection, spec: str) -> None:
    kind, settings = parse_spec(spec)
    workspace = open_workspace(tiny_collection, fake_encoder, kind, settings=settings)
    wanted = workspace.prepared.experiment(index=kind, settings=settings)
    rankings = run(wanted, prepared=workspace.prepared).rankings()
    for query, question in tiny_collection.queries.items():
        result = workspace.search(question, k=100)
        assert [hit.id for hit in result.hits] == rankings[query].ids
        assert [hit.score for hit in result.hits] == pytest.approx(rankings[query].scores.tolist(), abs=1e-6)
        assert [hit.rank for hit in result.hits] == list(range(1, len(result.hits) + 1))
        for hit in result.hits:
            alignment = workspace.explain(question, hit.id)
            assert alignment is hit.alignment  # computed once
            assert hit.contribution.sum() == pytest.approx(hit.score, abs=1e-3)
            assert len(alignment.query_tokens) == len(result.query_tokens) == len(hit.contribution)
    assert {"plaid:bits=1": "1-bit", "plaid": "4-bit"}.get(spec, "float16") in result.scored_on


@pytest.mark.parametrize("pool", ["factor=2", "tokens=4", "once", "importance=.5,factor=2", "distance=1.3"])
def test_a_pooled_index_is_explained_by_the_tokens_that_went_together(fake_encoder, tiny_collection, pool: str) -> None:
    workspace = open_workspace(tiny_collection, fake_encoder, "exact", pool=pool)
    rankings = run(workspace.prepared.experiment(pool=pool), prepared=workspace.prepared).rankings()
    texts = list(tiny_collection.documents.values())
    pieces = token_pieces(fake_encoder, texts)
    pooled = pool_by(workspace.documents, parse_pool(pool), pieces)
    for query, question in tiny_collection.queries.items():
        hits = workspace.search(question, k=8).hits
        assert [hit.id for hit in hits] == rankings[query].ids
        for hit in hits:
            position, found = list(tiny_collection.documents).index(hit.id), hit.alignment
            expected = fake_encoder.encode_query([question])[0] @ pooled[position].astype("float32").T
            np.testing.assert_allclose(found.similarity, expected, atol=2e-3)  # the whole document's matrix
            assert len(found.document_tokens) == len(pooled[position])
            assert hit.contribution.sum() == pytest.approx(hit.score, abs=1e-3)
            behind = [token for _, token in single_tokens(found.document_tokens)]
            assert all(hit.text[token.start : token.end] == token.text for token in behind)
    assert f"pooled by {workspace.pooling}" in workspace.scored_on
    reranked = workspace.ranked_by("exact").explain("largest value", "argmax")
    assert len(reranked.document_tokens) == len(fake_encoder.tokens(texts[0], "document"))  # on every vector


@pytest.mark.parametrize("scorer", ["exact", "maxsim", "mean-maxsim", "xtr:retrieved=3", "smooth-maxsim"])
def test_a_scorer_reranks_as_in_a_run_and_says_whether_its_parts_add_up(fake_encoder, tiny_collection, scorer) -> None:
    settings = {"bits": 1}
    workspace = open_workspace(tiny_collection, fake_encoder, "plaid", settings=settings, scorer=scorer)
    wanted = workspace.prepared.experiment(index="plaid", settings=settings, scorer=scorer)
    rankings = run(wanted, prepared=workspace.prepared).rankings()
    for query, question in tiny_collection.queries.items():
        result = workspace.search(question, k=100)
        assert [hit.id for hit in result.hits] == rankings[query].ids
        assert [hit.score for hit in result.hits] == pytest.approx(rankings[query].scores.tolist(), abs=1e-6)
        sums = [float(hit.contribution.sum()) for hit in result.hits]
        adds_up = sums == pytest.approx([hit.score for hit in result.hits], abs=1e-3)
        assert adds_up == (not result.caveat) == (scorer in ("exact", "maxsim"))
        name = "MaxSim" if scorer in ("exact", "maxsim") else scorer
        assert result.scored_on == f"the original vectors by {name}, which reranks what the plaid index found"


def test_a_scorer_ranks_a_hundred_whatever_is_shown_and_shares_vectors_and_index(fake_encoder) -> None:
    texts = {f"d{i:02}": " ".join(f"word{(i * j) % 23}" for j in range(1, 9)) for i in range(60)}
    collection = Collection(texts, {"q": "word3 word5 word7"}, {}, "many")
    workspace = open_workspace(collection, fake_encoder, "plaid", settings={"bits": 1})
    for name in workspace.scorers():
        other = workspace.ranked_by(name)
        assert (other.index, other.prepared) == (workspace.index, workspace.prepared)
        assert other is workspace.ranked_by(name)
        whole = [hit.id for hit in other.search("word3 word5 word7", k=60).hits]
        assert [hit.id for hit in other.search("word3 word5 word7", k=3).hits] == whole[:3]
    assert workspace.ranked_by("index") is workspace


def test_what_can_rank_is_named_with_a_line_and_needs_its_weights(fake_encoder, tiny_collection, tmp_path) -> None:
    offered = open_workspace(tiny_collection, fake_encoder, "exact").scorers()
    assert list(offered)[:2] == ["index", "exact"]
    assert {"xtr", "smooth-maxsim", "top-mean", "mean-maxsim"} < offered.keys()
    assert all(offered.values())
    assert "weighted-maxsim" not in offered
    trained = type(fake_encoder)()
    trained.name = str(tmp_path)
    scorers.save(scorers.get("weighted-maxsim", dim=trained.dim), "weighted-maxsim", tmp_path)
    workspace = open_workspace(tiny_collection, trained, "exact")
    assert "weighted-maxsim" in workspace.scorers()
    assert workspace.ranked_by("weighted-maxsim").search("average of values").hits[0].id == "mean"


def test_an_unknown_scorer_or_one_without_weights_is_refused_before_encoding(fake_encoder, tiny_collection) -> None:
    stages: list[str] = []
    for scorer, sentence in (("nothing", "Unknown scorer"), ("weighted-maxsim", "train a model with it")):
        with pytest.raises(InputError, match=sentence):
            open_workspace(
                tiny_collection, fake_encoder, "exact", lambda stage, *_: stages.append(stage), scorer=scorer
            )
    assert stages == []


def test_scores_that_cannot_be_taken_apart_say_so(fake_encoder, tiny_collection, monkeypatch) -> None:
    workspace = open_workspace(tiny_collection, fake_encoder, "exact")
    monkeypatch.setattr(type(workspace.index), "abilities", frozenset({"add"}))
    result = workspace.search("index of the largest value", k=3)
    assert "original vectors" in result.scored_on
    assert result.hits[0].contribution.sum() == pytest.approx(result.hits[0].score, abs=1e-2)


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
    index, _, opened = cached_index("exact", ids, documents)
    assert not opened
    index.remove(ids[2:])  # as a build that was killed after its first batch leaves it
    index, _, opened = cached_index("exact", ids, documents)
    assert (len(index), opened) == (len(ids), False)
    assert cached_index("exact", ids, documents)[2]


def test_mistakes(fake_encoder, tiny_collection: Collection) -> None:
    workspace = open_workspace(tiny_collection, fake_encoder, "exact")
    with pytest.raises(InputError, match="empty"):
        workspace.search("   ")
    with pytest.raises(NotFoundError, match="'none'"):
        workspace.explain("value", "none")
