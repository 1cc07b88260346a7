"""Explanations: contributions add up, tokens point at their characters."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers.multi_vector_encoder.modules.token_pooling import BaseTokenPooling, HierarchicalTokenPooling

from engine import Encoder, explain, maxsim
from engine.errors import InputError, UnsupportedError
from engine.tokens import single_tokens
from tests.tiny_models import make_model

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


@pytest.mark.parametrize("tasks", [["document"], ["query", "document"]])
@pytest.mark.parametrize("factor", [1.0, 2.0, 3.5])
def test_a_model_that_merges_tokens_shows_what_it_merged(tmp_path: Path, factor: float, tasks: list[str]) -> None:
    pooling = HierarchicalTokenPooling(factor, tasks=tasks)
    encoder = Encoder(make_model(tmp_path, extra=[pooling], document_length=40, skiplist=[","]))
    text = "the harbour lights, seven clocks and the bread in a cold kitchen"
    alignment = explain(encoder, "seven clocks", text)
    assert alignment.similarity.shape == (len(alignment.query_tokens), len(alignment.document_tokens))
    assert alignment.contribution.sum() == pytest.approx(alignment.score, abs=1e-5)
    assert any(token.parts for token in alignment.document_tokens) == (factor > 1)
    apart = [token for _, token in single_tokens(alignment.document_tokens)]
    pooling.pool_factor = 1.0
    singles = encoder.tokens(text, "document")
    assert sorted(map(str, apart)) == sorted(map(str, singles))  # each token once, none of the skiplist
    vectors = dict(
        zip([(token.start, token.text) for token in singles], encoder.encode_document([text])[0], strict=True)
    )
    pooling.pool_factor = factor
    for token, vector in zip(alignment.document_tokens, encoder.encode_document([text])[0], strict=True):
        mean = np.mean([vectors[part.start, part.text] for part in token.parts or (token,)], axis=0)
        np.testing.assert_allclose(mean / np.linalg.norm(mean), vector, atol=1e-5)


class Halving(BaseTokenPooling):
    """Keeps every other vector without telling where it came from."""

    def pool_one(self, embedding: torch.Tensor, **kwargs: object) -> torch.Tensor:
        return embedding[::2].detach()


class Cutting(torch.nn.Module):
    """Another module that keeps fewer vectors."""

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        features["attention_mask"] = features["attention_mask"].clone()
        features["attention_mask"][:, 2] = False
        return features


@pytest.mark.parametrize("module", [Halving(), Cutting()])
def test_a_model_that_does_not_tell_what_it_merges_is_refused(tmp_path: Path, module: torch.nn.Module) -> None:
    encoder = Encoder(make_model(tmp_path, extra=[module]))
    with pytest.raises(UnsupportedError, match=type(module).__name__):
        explain(encoder, "seven clocks", "the harbour lights")


def test_the_pages_show_merged_tokens_with_all_their_characters(tmp_path: Path) -> None:
    from apps.images import page_record, printed_page
    from apps.records import explanation, snippet

    encoder = Encoder(make_model(tmp_path, extra=[HierarchicalTokenPooling(2.0)]))
    question, text = "seven clocks", "the harbour lights, seven clocks and the bread in a cold kitchen"
    alignment = explain(encoder, question, text)
    assert any(token.kind == "merged" for token in alignment.document_tokens)
    record = explanation(question, "id", "title", text, alignment)
    for level in (record["pieces"], record["words"]):
        assert "".join(piece["text"] for piece in level["segments"]) == text
        shown = {unit for piece in level["segments"] for unit in piece["units"]}
        named = {i for i, unit in enumerate(level["document"]) if unit["kind"] in ("text", "merged")}
        assert shown == named
    assert record["read"] == len(text)
    weights = np.ones(len(alignment.document_tokens), np.float32)
    assert "".join(piece["text"] for piece in snippet(text, alignment.document_tokens, weights)) == text
    assert page_record(encoder, question, printed_page(encoder, text))["score"] > 0
