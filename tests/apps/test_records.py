"""What the search page draws adds up, on both levels, and holds every character of the text."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from apps.pool_records import DROPPED, merged
from apps.records import SNIPPET, explanation, matched, snippet
from engine import Encoder, explain
from engine.explain import align
from engine.tokens import Token

QUESTION = "where is the nanargmax of an array"
TEXT = "numpy.nanargmax: Return the indices of the maximum values in the specified axis ignoring NaNs."


@pytest.mark.parametrize("level", ["pieces", "words"])
def test_contributions_add_up_to_the_score(embedded_encoder: Encoder, level: str) -> None:
    alignment = explain(embedded_encoder, QUESTION, TEXT)
    record = explanation(QUESTION, "id", "title", TEXT, alignment)
    view = record[level]
    assert sum(view["contribution"]) == pytest.approx(alignment.score, abs=1e-4)
    assert record["score"] == pytest.approx(alignment.score, abs=1e-5)
    assert len(view["similarity"]) == len(view["query"]) == len(view["best"]) == len(view["contribution"])
    assert all(len(row) == len(view["document"]) for row in view["similarity"])
    assert "".join(part["text"] for part in view["segments"]) == TEXT
    json.dumps(record, allow_nan=False)


def test_pieces_repeat_the_alignment(embedded_encoder: Encoder) -> None:
    alignment = explain(embedded_encoder, QUESTION, TEXT)
    view = explanation(QUESTION, "id", "", TEXT, alignment)["pieces"]
    np.testing.assert_allclose(view["similarity"], alignment.similarity, atol=1e-4)
    assert [best[0] for best in view["best"]] == alignment.best.tolist()


def test_a_word_sums_its_pieces_and_averages_their_best_matches() -> None:
    query = [Token("nan", 0, 3, "text"), Token("##arg", 3, 6, "text")]
    document = [Token("x", 0, 1, "text"), Token("##y", 1, 2, "text"), Token("z", 3, 4, "text")]
    vectors = np.eye(3, dtype=np.float32)
    asked = np.array([[0.9, 0.1, 0.0], [0.0, 0.2, 0.7]], np.float32)
    view = explanation("nanarg", "id", "", "xy z", align(asked, vectors, query, document))["words"]
    assert [unit["text"] for unit in view["query"]] == ["nanarg"]
    assert [unit["text"] for unit in view["document"]] == ["xy", "z"]
    np.testing.assert_allclose(view["similarity"], [[(0.9 + 0.2) / 2, (0.0 + 0.7) / 2]], atol=1e-6)
    assert view["best"] == [[0, 1]]
    np.testing.assert_allclose(view["contribution"], [0.9 + 0.7], atol=1e-6)


def test_matched_shares_add_up_to_the_score(embedded_encoder: Encoder) -> None:
    alignment = explain(embedded_encoder, QUESTION, TEXT)
    assert float(matched(alignment).sum()) == pytest.approx(alignment.score, abs=1e-4)


def test_a_snippet_goes_where_the_score_comes_from() -> None:
    text = "padding words " * 40 + "the answer is here"
    tokens = [Token("w", m, m + 5, "text") for m in range(0, len(text) - 6, 7)]
    weight = np.zeros(len(tokens), np.float32)
    weight[-2] = 1
    parts = snippet(text, tokens, weight)
    joined = "".join(part["text"] for part in parts)
    assert joined.startswith("… ")
    assert "the answ" in joined
    assert len(joined) <= SNIPPET + 4
    assert sum(part["weight"] for part in parts) == pytest.approx(1)


def test_a_snippet_of_untokenised_text_is_its_beginning() -> None:
    assert snippet("abc", [], np.empty(0, np.float32)) == [{"text": "abc", "weight": 0}]


@pytest.mark.parametrize(("factor", "vectors"), [(1.0, None), (2.0, None), (math.inf, 2)])
def test_merged_tokens_are_counted_as_pooled(embedded_encoder: Encoder, factor: float, vectors: int | None) -> None:
    from engine import pool
    from engine.pooling import pool_groups

    documents = embedded_encoder.encode_document([TEXT])
    record = merged(TEXT, embedded_encoder.tokens(TEXT, "document"), pool_groups(documents, factor)[0])
    pooled = pool(documents, factor)
    left = vectors + embedded_encoder.added if vectors else pooled.n_tokens  # what the model adds stays
    assert record["vectors"] == pooled.n_tokens == left
    assert "".join(part["text"] for part in record["segments"]) == TEXT
    assert record["tokens"] - sum(len(group) - 1 for group in record["groups"]) == record["vectors"]
    assert record["dropped"] == 0


def test_dropped_tokens_are_counted_and_marked(embedded_encoder: Encoder) -> None:
    tokens = embedded_encoder.tokens(TEXT, "document")
    kept = ~np.isin(np.arange(len(tokens)), (2, 4))
    labels = np.where(kept, np.cumsum(kept) - 1, -1)
    record = merged(TEXT, tokens, labels)
    assert (record["dropped"], record["tokens"], record["groups"]) == (2, len(tokens), [])
    gone = [part["text"] for part in record["segments"] if part["group"] == DROPPED]
    assert gone == [TEXT[tokens[i].start : tokens[i].end] for i in (2, 4)]
