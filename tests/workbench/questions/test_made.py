"""Made questions: what they are made from, that they say so wherever they go, and what a person's judgements tell."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Collection, Ranking, load_collection
from engine.collection import Part
from engine.errors import InputError
from engine.fields import Fields
from workbench.experiments.execute import run
from workbench.experiments.prepare import prepare
from workbench.questions import (
    Question,
    from_texts,
    judged_by_hand,
    pool_to_judge,
    trust,
    with_questions,
    write_collection,
)
from workbench.questions.trust import kendall
from workbench.widgets import JudgingWidget


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def papers() -> Collection:
    documents = {
        "a#1": "Tides The moon lifts the sea twice a day. It is so everywhere on the coast.",
        "a#2": "Tides At new moon the sea is higher than at any other time of the month.",
        "b": "Bread is made of flour and of water. Salt too.",
        "c": "A short one. And more words that follow it.",
        "d": "Title alone",
        "e": "begins within a sentence of the passage before. It goes on.",
    }
    titles = {"a#1": "Tides", "a#2": "Tides", "d": "Title alone"}
    parts = {"a#1": Part("a", None, None, 1, 2), "a#2": Part("a", None, None, 2, 2)}
    fields = Fields(("year",), lambda: {"a": {"year": "2019"}, "b": {"year": "2020"}})
    return Collection(documents, name="papers", titles=titles, parts=parts, fields=fields)


def test_titles_and_first_sentences_are_questions(papers: Collection) -> None:
    assert from_texts(papers, 10) == [
        Question("Tides", ("a#1", "a#2"), "title"),
        Question("Bread is made of flour and of water.", ("b",), "first sentence"),
    ]
    ruled = Collection({
        "contents": "________ Table of Contents 1. Scope", "harbour": "===== The harbour has four piers. Ships wait.",
        "numbers": "1 2 3 4 5 6. And so on.",
    })  # fmt: skip
    assert [made.text for made in from_texts(ruled)] == ["The harbour has four piers."]
    assert len(from_texts(papers, 1, seed=3)) == 1
    assert from_texts(papers, 1, seed=3) == from_texts(papers, 1, seed=3)
    with pytest.raises(InputError, match="has a title or a first sentence"):
        from_texts(Collection({"x": "word"}))
    with pytest.raises(InputError, match="count"):
        from_texts(papers, 0)


def test_a_collection_says_that_its_questions_were_made_and_a_folder_keeps_it(
    papers: Collection, tmp_path: Path
) -> None:
    asked = with_questions(papers, from_texts(papers, 10))
    assert asked.qrels == {"made 1": {"a#1": 1, "a#2": 1}, "made 2": {"b": 1}}
    note = "2 of 2 questions were made (1 by title, 1 by first sentence); a person has confirmed 0% of them"
    assert asked.notes[-1] == note
    assert asked.describe()["made"] == {"questions": 2, "confirmed": 0, "by": {"title": 1, "first sentence": 1}}
    read = load_collection(write_collection(asked, tmp_path / "asked"))
    assert (read.documents, read.titles, read.queries, read.qrels) == (
        asked.documents, asked.titles, asked.queries, asked.qrels,
    )  # fmt: skip
    assert (read.made, read.confirmed, read.notes) == (asked.made, asked.confirmed, (note,))
    assert read.fingerprint == asked.fingerprint
    assert read.rows.select("year = 2019 AND passage = 2").ids == ("a#2",)
    with pytest.raises(InputError, match="is not empty"):
        write_collection(asked, tmp_path / "asked")
    assert "made" not in papers.describe()


def test_a_run_on_made_questions_says_so(papers: Collection, fake_encoder: Any) -> None:
    prepared = prepare(with_questions(papers, from_texts(papers)), fake_encoder)
    found = run(prepared.experiment(), prepared=prepared)
    assert found.record["collection"]["made"]["questions"] == 2
    assert found.name.endswith(", made questions")
    assert any("a person has confirmed 0% of them" in warning for warning in found.warnings)
    confirmed = prepare(replace(prepared.collection, confirmed=frozenset({"made 1"})), fake_encoder)
    again = run(confirmed.experiment(), prepared=confirmed)
    assert not again.reused
    assert again.record["collection"]["made"]["confirmed"] == 1


def test_a_person_confirms_in_the_widget_what_is_pooled(papers: Collection, tmp_path: Path) -> None:
    asked = with_questions(papers, from_texts(papers))
    ranking = Ranking(["c", "b", "a#1"], np.array([3, 2, 1], np.float32))
    pool = pool_to_judge(asked, [{"made 1": ranking, "made 2": ranking}], questions=5, depth=2)
    assert {query: set(names) for query, names in pool.items()} == {
        "made 1": {"a#1", "a#2", "b", "c"},
        "made 2": {"b", "c"},
    }
    assert pool == pool_to_judge(asked, [{"made 1": ranking, "made 2": ranking}], questions=5, depth=2)
    widget = JudgingWidget(asked, pool)
    grades = {("made 1", "a#1"): 2, ("made 1", "a#2"): 0, ("made 1", "b"): 0, ("made 2", "b"): 0, ("made 2", "c"): 1}
    for (query, name), grade in grades.items():
        widget.judge(query, name, grade)
    judged = {"made 1": {"a#1": 2, "a#2": 0, "b": 0}, "made 2": {"b": 0, "c": 1}}
    done = judged_by_hand(asked, judged)
    assert done.qrels == judged
    assert done.confirmed == {"made 1"}
    assert done.notes == (
        "2 of 2 questions were made (1 by title, 1 by first sentence); a person has confirmed 50% of them",
    )
    assert load_collection(write_collection(done, tmp_path / "done")).confirmed == {"made 1"}
    found = trust(asked, judged)
    assert (found.questions, found.pairs, found.missed, found.tau) == (2, 5, 1, None)
    assert found.confirmed.mean == pytest.approx(1 / 3)
    assert found.agreement.mean == pytest.approx(2 / 5)
    assert found.kappa == pytest.approx((0.4 - 0.48) / 0.52)
    assert "nothing is known of the order" in found.sentence
    for wrong, sentence in (
        ({}, "got none"),
        ({"made 9": {"b": 1}}, "no pair"),
        ({"made 1": {"c": 1}}, "made from is"),
    ):
        with pytest.raises(InputError, match=sentence):
            trust(asked, wrong)
    with pytest.raises(InputError, match="no made questions"):
        pool_to_judge(papers)


def test_the_order_of_runs_is_held_under_both(papers: Collection) -> None:
    names = [f"d{number}" for number in range(12)]
    collection = with_questions(
        Collection({name: f"text {name}" for name in names}),
        [Question(f"q {name}", (name,), "title") for name in names],
    )

    def ranked(place: int) -> dict[str, Ranking]:
        runs = {}
        for query, grades in collection.qrels.items():
            [target] = grades
            others = [name for name in names if name != target]
            ids = [*others[:place], target, *others[place:]]
            runs[query] = Ranking(ids, np.arange(len(ids), 0, -1).astype(np.float32))
        return runs

    runs = {"best": ranked(0), "middle": ranked(2), "worst": ranked(8)}
    same = trust(collection, collection.qrels, runs)
    assert same.tau == (1.0, 1.0, 1.0)
    assert same.scores["best"] == (1.0, 1.0)
    assert "is the same under both" in same.sentence
    # A person who calls relevant what the worst run has first, and nothing else.
    turned = {
        query: {runs["worst"][query].ids[0]: 1, next(iter(grades)): 0} for query, grades in collection.qrels.items()
    }
    other = trust(collection, turned, runs)
    assert other.tau is not None
    assert other.tau.mean < 0
    assert "not surely alike" in other.sentence
    with pytest.raises(InputError, match="does not answer"):
        trust(collection, collection.qrels, {"empty": {}})


def test_kendall_by_hand() -> None:
    assert kendall(np.array([1, 2, 3, 4]), np.array([1, 2, 4, 3])) == pytest.approx(4 / 6)
    assert kendall(np.array([1.0, 1.0]), np.array([2.0, 2.0])) == 1.0
    assert kendall(np.array([1.0, 1.0]), np.array([1.0, 2.0])) == 0.0


def test_made_marks_of_foreign_files_are_read_with_care(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text('{"_id": "a", "text": "x"}\n')
    rows = [{"_id": 1, "text": "q", "made": "model x", "confirmed": True}, {"_id": "2", "text": "r", "made": ""}]
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, rows)))
    read = load_collection(tmp_path)
    assert (read.made, read.confirmed) == ({"1": "model x"}, {"1"})
    (tmp_path / "queries.jsonl").write_text('{"_id": 1, "text": "q", "made": ["x"]}')
    with pytest.raises(InputError, match="how the question was made"):
        load_collection(tmp_path)
