"""MUVERA as a stage: its order is that of the encodings, what it holds is told, what cannot be is refused before."""

import dataclasses
from typing import Literal

import numpy as np
import pytest

from engine import rerank
from engine.errors import InputError
from engine.muvera import Muvera, MuveraSettings
from workbench.experiments.prepare import Prepared
from workbench.systems import build, finders, parse_system


def questions(prepared: Prepared) -> list[str]:
    return list(prepared.collection.queries.values())


@pytest.mark.parametrize("form", ["int8", "1bit"])
def test_it_ranks_by_encodings_and_a_rerank_by_maxsim(made: Prepared, form: Literal["int8", "1bit"]) -> None:
    muvera = Muvera.make(made.documents.dim, MuveraSettings(1280, form=form))
    system = build(f"muvera:1280,form={form}", made)
    kept, ids = muvera.encode(made.documents), list(made.collection.documents)
    found = kept.search(muvera.encode_query(made.queries), 20)
    rankings = system.search(questions(made), 20)
    assert [ranking.ids for ranking in rankings] == [[ids[i] for i in positions] for positions, _ in found]
    np.testing.assert_array_equal(rankings[0].scores, found[0][1])
    assert system.bytes == kept.nbytes == len(ids) * muvera.settings.bytes_per_document
    reranked = build(f"muvera:1280,form={form},k=20 > maxsim", made).search(questions(made), 5)
    expected = rerank(made.queries, [ranking.ids for ranking in rankings], ids, made.documents, 5)
    assert [ranking.ids for ranking in reranked] == [ranking.ids for ranking in expected]


def test_it_tells_how_the_dimension_is_spent_and_where_a_document_is(made: Prepared) -> None:
    system = build("muvera:2560", made)
    described = system.describe()["stages"][0]["options"]
    assert (described["k_sim"], described["repetitions"], described["projection"]) == (4, 20, 8)
    ranking = system.search(questions(made)[:1], 3)[0]
    stage, asked = system.stages[0][1], system.ask(questions(made)[:1])[0]
    place = stage.place(asked, system.place_of(ranking.ids[2]), 3)  # type: ignore[attr-defined]
    assert (place.rank, place.among) == (3, len(made.collection.documents))
    assert place.score == pytest.approx(float(ranking.scores[2]))


def test_its_text_is_read_and_written(made: Prepared) -> None:
    assert str(parse_system("muvera:dim=10240")) == "muvera"
    assert str(parse_system("muvera : form=1bit , dim=5120 > maxsim")) == "muvera:5120,form=1bit > maxsim"
    assert finders().count("muvera") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("muvera:1000", "take 960 or 1024"),
        ("muvera:dim=much", "whole number as dim"),
        ("muvera:form=int4", "choose among float32"),
        ("muvera:colour=1", "no option 'colour'"),
    ],
)
def test_what_makes_no_encoding_is_refused_before_anything_is_encoded(made: Prepared, text: str, words: str) -> None:
    fresh = Prepared(made.collection, made.identity, made.model, made.vectors)  # it has no encoder to encode with
    with pytest.raises(InputError, match=words):
        build(text, fresh)


def test_options_are_those_of_the_engine() -> None:
    from workbench.systems.encodings import MuveraOptions

    ours = {field.name: field.default for field in dataclasses.fields(MuveraOptions)}
    assert ours.pop("k") == 0
    assert ours == {field.name: field.default for field in dataclasses.fields(MuveraSettings)}
