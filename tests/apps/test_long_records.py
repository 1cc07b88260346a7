"""A long document on the page: an overview that adds up to the score, and one passage in full."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from apps.records import LONGEST_TEXT, explanation
from engine import explain
from engine.explain import LONG, Alignment, align, excerpt, is_long, most_telling, stretches
from engine.tokens import Token, merged

QUESTION = "the tide at Ynys in spring"
FILLER = "Ships wait for wind and water. "


def ten_pages(told: str, at: int = 900) -> str:
    sentences = [FILLER] * 1400
    sentences[at] = told + " "
    return "".join(sentences)


TEXT = ten_pages("Spring brings the highest tide at Ynys.")


@pytest.fixture(scope="module")
def alignment(fake_encoder: Any) -> Alignment:
    return explain(fake_encoder, QUESTION, TEXT)


def test_stretches_follow_on_each_other_and_their_scores_add_up(alignment: Alignment) -> None:
    parts = stretches(alignment)
    assert is_long(alignment)
    columns = np.concatenate([part.columns for part in parts])
    assert np.array_equal(columns, np.arange(len(alignment.document_tokens)))
    assert sum(part.score for part in parts) == pytest.approx(alignment.score, abs=1e-4)
    assert max(len(part.columns) for part in parts) < 2 * min(len(part.columns) for part in parts)
    assert all(TEXT[part.end - 1] == "." for part in parts)  # a sentence ends
    assert "tide at Ynys" in TEXT[parts[most_telling(parts)].start : parts[most_telling(parts)].end]


def test_an_excerpt_is_the_passage_with_its_best_matches_only(alignment: Alignment) -> None:
    part = stretches(alignment)[most_telling(stretches(alignment))]
    shown, text = excerpt(alignment, part), TEXT[part.start : part.end]
    assert [text[token.start : token.end] for token in shown.document_tokens] == [
        token.text for token in shown.document_tokens
    ]
    np.testing.assert_array_equal(shown.similarity, alignment.similarity[:, part.columns])
    for row, best in enumerate(shown.best):
        inside = alignment.best[row] in part.columns
        assert (best >= 0) == inside
        if inside:
            assert shown.similarity[row, best] == alignment.contribution[row]
    assert shown.score == alignment.score


def test_merged_tokens_stand_in_every_passage_that_a_part_of_them_is_from() -> None:
    words = [Token(f"w{i}", 3 * i, 3 * i + 2, "text") for i in range(4)]
    tokens = [merged([words[0], words[3]]), words[1], words[2], Token("[MEAN]", -1, -1, "whole")]
    vectors = np.eye(4, dtype=np.float32)
    found = align(vectors, vectors, [Token("q", 0, 1, "text")] * 4, tokens)
    first, second = stretches(found, size=2)
    assert (first.columns.tolist(), second.columns.tolist()) == ([0, 1], [0, 2])
    assert (first.score, second.score) == pytest.approx((1.5, 1.5))  # a merged match is shared between its places
    shown = excerpt(found, second).document_tokens[0]
    assert [(part.text, part.start) for part in shown.parts] == [("w3", 3)]


def test_the_answer_for_a_long_document_is_small_and_adds_up(alignment: Alignment) -> None:
    record = explanation(QUESTION, "id", "", TEXT, alignment)
    assert len(TEXT) > LONGEST_TEXT
    assert len(json.dumps(record, allow_nan=False)) < 100_000
    seen = record["passages"]
    assert sum(seen["scores"]) + seen["elsewhere"] == pytest.approx(record["score"], abs=1e-3)
    assert seen["best"][0]["number"] == seen["number"] == int(np.argmax(seen["scores"]))
    assert seen["tokens"] == len(alignment.document_tokens) > 8000
    part = stretches(alignment)[seen["number"]]
    for level in ("words", "pieces"):
        view = record[level]
        assert "".join(piece["text"] for piece in view["segments"]) == TEXT[part.start : part.end]
        assert sum(view["contribution"]) == pytest.approx(record["score"], abs=1e-3)
        assert all(len(row) == len(view["document"]) == len(part.columns) for row in view["similarity"])
        for row, best in enumerate(view["best"]):
            names = ", ".join(view["document"][column]["text"] for column in best)
            assert (view["home"][row] == seen["number"]) == bool(best)
            if best:
                assert names == view["match"][row]


def test_another_passage_is_shown_when_it_is_asked_for(alignment: Alignment) -> None:
    part = stretches(alignment)[3]
    record = explanation(QUESTION, "id", "", TEXT, alignment, 3)
    assert record["passages"]["number"] == 3
    assert "".join(piece["text"] for piece in record["pieces"]["segments"]) == TEXT[part.start : part.end]
    assert record["pieces"]["home"] == explanation(QUESTION, "id", "", TEXT, alignment)["pieces"]["home"]
    beyond = explanation(QUESTION, "id", "", TEXT, alignment, 10**6)
    assert beyond["passages"]["number"] == most_telling(stretches(alignment))  # a link from another document


def test_a_short_document_is_shown_as_ever(fake_encoder: Any) -> None:
    text = FILLER * (LONG // 8)
    record = explanation(QUESTION, "id", "", text, explain(fake_encoder, QUESTION, text))
    assert record["passages"] is None
    assert record["text"] == text
    assert "match" not in record["pieces"]
