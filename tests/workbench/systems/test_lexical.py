"""BM25: scores by a plain formula, words by bm25s' tokeniser, nDCG by rank-bm25."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import pytest
import Stemmer
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from engine import Collection, Ranking, evaluate, load_collection
from engine.errors import InputError, MissingExtraError
from engine.retrieval import id_order, top_positions
from tests.conftest import FakeEncoder
from tests.workbench.systems.conftest import made_collection
from workbench.experiments.prepare import Prepared, prepare
from workbench.systems import build, lexical
from workbench.systems.lexical import METHODS, Bm25, Bm25Options, _tokens
from workbench.systems.material import Question


def added(options: Bm25Options, n: int, df: int, tf: int, norm: float) -> float:
    """What one word adds to one document (Kamphuis and others, 2020, table 1)."""
    k1, delta = options.k1, options.delta
    if options.method == "lucene":
        return math.log(1 + (n - df + 0.5) / (df + 0.5)) * tf / (tf + k1 * norm)
    if options.method == "robertson":
        return max(math.log((n - df + 0.5) / (df + 0.5)), 0) * tf / (tf + k1 * norm)
    if options.method == "atire":
        return math.log(n / df) * (k1 + 1) * tf / (tf + k1 * norm)
    if options.method == "bm25l":
        return math.log((n + 1) / (df + 0.5)) * (k1 + 1) * (tf / norm + delta) / (k1 + tf / norm + delta)
    return math.log((n + 1) / df) * ((k1 + 1) * tf / (tf + k1 * norm) + delta)


def plain(documents: list[list[str]], question: list[str], options: Bm25Options) -> list[float]:
    """BM25 by its formula, document by document."""
    n, mean = len(documents), sum(map(len, documents)) / len(documents)
    known = {word for document in documents for word in document}
    b, scores = options.b, []
    for document in documents:
        counts, total = Counter(document), 0.0
        for word in (word for word in question if word in known):
            df, tf = sum(word in other for other in documents), counts[word]
            norm = 1 - b + b * len(document) / mean
            total += added(options, n, df, tf, norm)
        scores.append(total)
    return scores


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("k1", "b"), [(1.5, 0.75), (0.9, 0.4)])
def test_scores_are_those_of_the_formula(made: Prepared, method: str, k1: float, b: float) -> None:
    options = Bm25Options(k1=k1, b=b, method=method)
    texts = [_tokens(text, options) for text in made.collection.documents.values()]
    system = build(f"bm25:k1={k1},b={b},method={method}", made)
    for question in list(made.collection.queries.values())[:4]:
        words = _tokens(question, options)
        expected = plain(texts, words, options)
        found = dict(zip(*_pairs(system.search([question], 60)[0]), strict=True))
        shared = [bool(set(words) & set(text)) for text in texts]
        for name, value, meets in zip(made.collection.documents, expected, shared, strict=True):
            if name in found:
                assert found[name] == pytest.approx(value, abs=1e-4)
            else:
                assert not meets or value == pytest.approx(0, abs=1e-6)


def _pairs(ranking: Ranking) -> tuple[list[str], list[float]]:
    return ranking.ids, ranking.scores.tolist()


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=80))
def test_words_are_those_of_the_library(text: str) -> None:
    for stemmer, stop in (("english", "en"), ("german", "de"), ("none", "none")):
        options = Bm25Options(stemmer=stemmer, stopwords=stop)
        given: Any = {"stopwords": None if stop == "none" else stop,
                      "stemmer": None if stemmer == "none" else Stemmer.Stemmer(stemmer)}  # fmt: skip
        library = bm25s.tokenize([text], return_ids=False, show_progress=False, **given)
        assert _tokens(text, options) == library[0]


def compare_with_rank_bm25(collection: Collection) -> tuple[float, float]:
    """nDCG@10 of ours and of rank-bm25 with the same words and settings."""
    prepared = prepare(collection, FakeEncoder())  # type: ignore[arg-type]
    system = build("bm25:method=robertson,k1=1.5,b=0.75", prepared)
    texts = list(collection.queries.values())
    ours = dict(zip(collection.queries, system.search(texts, 10), strict=True))
    options, ids = Bm25Options(), list(collection.documents)
    reference = BM25Okapi([_tokens(text, options) for text in collection.documents.values()], k1=1.5, b=0.75, epsilon=0)
    theirs, ties = {}, id_order(ids)
    for query, text in collection.queries.items():
        scores = reference.get_scores(_tokens(text, options)).astype(np.float32)
        best = top_positions(scores, ties, 10)
        theirs[query] = Ranking([ids[i] for i in best], scores[best])
    values = [evaluate(rankings, collection, ["ndcg@10"]).mean["ndcg@10"] for rankings in (ours, theirs)]
    return values[0], values[1]


def test_quality_is_that_of_rank_bm25() -> None:
    ours, theirs = compare_with_rank_bm25(made_collection(300, 60, 3, [f"word{i}" for i in range(200)]))
    assert 0 < theirs < 1
    assert ours == pytest.approx(theirs, abs=0.002)


@pytest.mark.parametrize("name", ["cranfield", "med"])
def test_quality_is_that_of_rank_bm25_on_collections(shared_collections: Path, name: str) -> None:
    ours, theirs = compare_with_rank_bm25(load_collection(shared_collections / name))
    assert theirs > 0.3
    assert ours == pytest.approx(theirs, abs=0.002)


def test_what_shares_no_word_is_not_found_and_texts_without_words_do_no_harm() -> None:
    documents = {"a": "a small boat", "b": "!!", "c": "bread and bread", "d": "the of and"}
    prepared = prepare(Collection(documents, {"q": "bread"}, {}, "few"), FakeEncoder())  # type: ignore[arg-type]
    system = build("bm25", prepared)
    assert system.search(["bread in boats"], 10)[0].ids == ["c", "a"]
    assert system.search(["the of"], 10)[0].ids == []
    nothing = Collection({"a": "!!", "b": "?"}, {}, {}, "marks")
    assert build("bm25", prepare(nothing, FakeEncoder())).search(["bread"], 5)[0].ids == []  # type: ignore[arg-type]


def test_what_was_kept_is_opened_and_what_is_damaged_is_made_again(
    made: Prepared, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    first = build("bm25:k1=1.1", made)
    with monkeypatch.context() as patch:
        patch.setattr(lexical, "_matrix", lambda *given: pytest.fail("it was there"))
        again = build("bm25:k1=1.1,k=5", made)
    question = next(iter(made.collection.queries.values()))
    assert again.search([question], 5)[0].ids == first.search([question], 5)[0].ids
    assert again.build_seconds == first.build_seconds
    file = max(tmp_path.rglob("data*"), key=lambda path: path.stat().st_size)
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\1")
    mended = build("bm25:k1=1.1", made)
    assert mended.search([question], 5)[0].scores.tolist() == first.search([question], 5)[0].scores.tolist()


def test_reasons_add_up_to_the_score_and_are_words_of_the_question(made: Prepared) -> None:
    for method in METHODS:
        system = build(f"bm25:method={method}", made)
        question = "Seven clocks and bread rises, seven towers"
        answer = system.search([question], 5)[0]
        for name, score in zip(answer.ids, answer.scores, strict=True):
            reasons = system.reasons(question, name)[str(system.root.tree)]
            assert {word for word, _ in reasons} <= {"Seven", "clocks", "bread", "rises", "seven", "towers"}
            if method not in ("bm25l", "bm25plus"):  # there words that the document lacks add too
                assert sum(value for _, value in reasons) == pytest.approx(float(score), abs=1e-4)


def test_stemmer_and_stop_words_that_are_not_there(made: Prepared) -> None:
    with pytest.raises(InputError, match=r"Unknown stemmer 'klingon'.*english"):
        build("bm25:stemmer=klingon", made)
    with pytest.raises(InputError, match="Unknown stop words 'xx'"):
        build("bm25:stopwords=xx", made)


def test_a_missing_package_is_named_before_anything_is_built(made: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("engine.plugins.import_module", absent)
    with pytest.raises(MissingExtraError, match=r"bm25s is not installed: .*\[systems\]"):
        build("exact + bm25", made)


def test_the_record_says_how_texts_become_words(made: Prepared) -> None:
    described = build("bm25", made).stages[0][1].describe()
    assert described["method"] == "lucene"
    assert described["tokeniser"] | {"bm25s": "", "PyStemmer": ""} == {
        "words": r"(?u)\b\w\w+\b", "lower": True, "stemmer": "english", "stopwords": "en", "bm25s": "", "PyStemmer": "",
    }  # fmt: skip
    stage = build("bm25", made).stages[0][1]
    assert isinstance(stage, Bm25)
    assert stage.place(Question("qqq"), 0, 5).rank is None
