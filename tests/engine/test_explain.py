"""Explanations: contributions add up, tokens point at their characters."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine import Encoder, explain, maxsim
from engine.errors import InputError

QUESTION = "Where is the biggest number?"
TEXT = "Returns the indices of the maximum values, along an axis."


def check(encoder, question: str, text: str) -> None:
    alignment = explain(encoder, question, text)
    rows, columns = alignment.similarity.shape
    assert (len(alignment.query_tokens), len(alignment.document_tokens)) == (rows, columns)
    np.testing.assert_array_equal(alignment.best, alignment.similarity.argmax(axis=1))
    assert alignment.contribution.sum() == pytest.approx(alignment.score, abs=1e-5)
    expected = maxsim(encoder.encode_query([question]), encoder.encode_document([text]))[0, 0]
    assert alignment.score == pytest.approx(expected, abs=1e-4)
    for token in alignment.document_tokens:
        assert (token.kind == "text") == (token.start >= 0)
        if token.kind == "text" and not token.text.startswith("##"):
            assert text[token.start : token.end].lower() == token.text.lower()


def test_with_a_fake_encoder(fake_encoder) -> None:
    check(fake_encoder, QUESTION, TEXT)


def test_with_the_embedded_model(embedded_encoder: Encoder) -> None:
    check(embedded_encoder, QUESTION, TEXT)


@pytest.mark.parametrize("name", ["pylate-checkpoint", "pylate-no-expansion", "stanford-checkpoint"])
def test_with_prefixes_expansion_and_skiplist(golden: Path, name: str) -> None:
    encoder = Encoder.load(str(golden / name), device="cpu", dtype="float32")
    texts = json.loads((golden / f"{name}.json").read_text())
    for question in texts["queries"]:
        check(encoder, question, texts["documents"][1])
    kinds = [token.kind for token in encoder.tokens(texts["queries"][1], "query")]
    assert kinds[:2] == ["special", "prefix"]
    assert ("expansion" in kinds) == (name != "pylate-no-expansion")
    assert "," not in [token.text for token in encoder.tokens("a, b.", "document")]  # punctuation is skipped


def test_an_empty_side_is_refused(embedded_encoder: Encoder) -> None:
    with pytest.raises(InputError, match="position 0"):
        explain(embedded_encoder, "  ", TEXT)
