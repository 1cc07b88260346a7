"""Budgets and dimensions in experiments: the same numbers as the engine's, kept apart, refused before the work."""

from __future__ import annotations

import numpy as np
import pytest

from engine import maxsim, pool
from engine.errors import InputError, UnsupportedError
from engine.pooling import PoolSettings, groups_by, parse_pool, pool_by, token_pieces
from engine.retrieval import id_order, top_positions
from tests.conftest import FakeEncoder
from workbench.experiments.execute import run
from workbench.experiments.experiment import Experiment
from workbench.experiments.prepare import prepare

BASE = Experiment(collection="tiny", model="fake")


@pytest.fixture(scope="module")
def prepared(tiny_collection, fake_encoder):
    return prepare(tiny_collection, fake_encoder)


@pytest.mark.parametrize("text", ["tokens=4", "distance=1.2", "once", "importance=.5", "importance=.7,factor=2", "3"])
@pytest.mark.parametrize("dim", [None, 8])
def test_a_run_is_that_of_the_engines_vectors(prepared, text: str, dim: int | None) -> None:
    collection, ids = prepared.collection, list(prepared.collection.documents)
    pieces = token_pieces(prepared.encoder, list(collection.documents.values()))
    whole, queries = prepared.documents.prefix(dim or 16), prepared.queries.prefix(dim or 16)
    pooled = pool_by(whole, parse_pool(text), pieces)
    found = run(BASE.with_(pool=text, dim=dim), prepared=prepared)
    assert (found.tokens, found.record["sizes"]["dim"]) == (pooled.n_tokens, dim or 16)
    expected = maxsim(queries, pooled)
    for row, ranking in zip(expected, found.rankings().values(), strict=True):
        assert ranking.ids == [ids[i] for i in top_positions(row, id_order(ids), 100)]
    assert run(BASE.with_(pool=text, dim=dim), prepared=prepared).reused


def test_all_dimensions_are_the_run_without_a_dim_and_fewer_are_another_model(prepared) -> None:
    plain, all_of_them, few = (run(BASE.with_(dim=dim), prepared=prepared) for dim in (None, 16, 4))
    assert plain.id == all_of_them.id != few.id
    assert few.record["model"] == {**plain.record["model"], "dim": 4, "fingerprint": "fake-fingerprint-4"}
    assert "4 dimensions" in few.name
    assert prepared.at_dim(4) is prepared.at_dim(4)


def test_what_pooling_says_has_one_place() -> None:
    both = BASE.with_(pool="factor=4,tokens=64", pool_protected=0)
    assert (both.pool_factor, both.pool, both.pool_protected) == (4, "tokens=64", 0)
    assert both.pooling == PoolSettings(4, 64, protected=0)
    assert both.with_(pool="once").pooling == PoolSettings(once=True)  # takes the place of all of it
    assert both.with_(pool_factor=2).pooling == PoolSettings(2, 64, protected=0)
    assert Experiment.from_yaml("pool: 3\npool_protected: 0").pooling == PoolSettings(3, protected=0)
    assert Experiment.from_dict(both.to_dict()) == both == Experiment.from_yaml(both.to_yaml())
    single = BASE.with_(pool="tokens=1", pool_protected=0)
    assert Experiment.from_dict(single.to_dict()) == single


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pool": "tokens=1"}, "2 or more tokens a document"),
        ({"pool": "factor=2", "pool_factor": 4.0}, "one factor of pooling, got 2.0 in pool and 4.0 in pool_factor"),
        ({"pool": "tokns=4"}, "did you mean tokens"),
        ({"pool": True}, "pool settings as text"),
        ({"pool": "distance=.2", "pool_method": "sequential"}, "leave one of the two out"),
        ({"dim": 0}, "dim as a whole number of 1 or more"),
        ({"dim": "64"}, "dim as a whole number"),
    ],
)
def test_what_cannot_be_is_refused_at_once(change, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Experiment(**change)


class Adding(FakeEncoder):
    """A model with two vectors of its own, which must not be asked to encode."""

    added = 2

    def _encode(self, *_: object, **__: object):  # type: ignore[no-untyped-def]
        pytest.fail("encoded")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pool": "tokens=3"}, "4 or more tokens a document, one for the text beside 1 protected and 2 that the model"),
        ({"pool": "importance=.5,by=model"}, "use by=rarity"),
        ({"dim": 17}, "a dim from 1 to 16"),
    ],
)
def test_what_does_not_go_with_the_model_is_refused_before_a_text_is_encoded(tiny_collection, change, sentence) -> None:
    with pytest.raises((InputError, UnsupportedError), match=sentence):
        run(BASE.with_(**change), collection=tiny_collection, encoder=Adding())  # type: ignore[arg-type]


def test_vectors_alone_have_no_word_pieces(prepared) -> None:
    given = prepare(prepared.collection, documents=prepared.documents, queries=prepared.queries)
    assert run(BASE.with_(pool="tokens=4"), prepared=given).tokens == pool(prepared.documents, tokens=4).n_tokens
    with pytest.raises(InputError, match="the model that made the vectors, since once needs the tokens"):
        run(BASE.with_(pool="once"), prepared=given)


def test_word_pieces_are_found_once(prepared, monkeypatch) -> None:
    wanted = parse_pool("once,importance=.4,factor=2")
    pieces = prepared.pooler.pieces(wanted)
    assert pieces is not None
    monkeypatch.setattr("workbench.experiments.pooler.token_pieces", lambda *_: pytest.fail("found again"))
    again = prepare(prepared.collection, prepared.encoder)
    found = again.pooler.pieces(wanted)
    assert found is not None
    np.testing.assert_array_equal(found.names, pieces.names)
    whole, offsets = groups_by(prepared.documents, wanted, pieces)
    for position in (0, 3):
        start, end = prepared.documents.offsets[position : position + 2]
        own = whole[start:end]
        assert (
            again.pooler.groups_of(position, wanted).tolist() == np.where(own < 0, -1, own - offsets[position]).tolist()
        )
