"""Long documents: windows against a plain reading of each, every token once, and all that follows on ten pages."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine import Encoder, create_index, explain, open_index
from engine.errors import InputError, UnsupportedError
from engine.model_names import ModelName, Windows
from engine.pooling import pool
from engine.windows import cut_windows
from tests.tiny_models import WORDS, make_model

PAGES = " ".join(WORDS[number % len(WORDS)] + "." for number in range(40))
SHORT = "seven clocks in a cold kitchen"
WINDOWS = Windows(32, 8)


@given(tokens=st.integers(0, 500), room=st.integers(1, 40), share=st.floats(0, 0.5))
def test_windows_cover_a_text_and_each_token_is_taken_where_it_is_farther_from_an_edge(tokens, room, share):
    overlap = int(room * share)
    windows = cut_windows(tokens, room, overlap)
    taken = [place for window in windows for place in range(window.first, window.last)]
    assert taken == list(range(tokens))
    assert all(0 <= window.start <= window.first <= window.last <= window.stop <= tokens for window in windows)
    assert max(window.stop - window.start for window in windows) <= max(room, 0)
    if tokens > room:
        assert len({window.stop - window.start for window in windows}) == 1
        least = -(-(tokens - overlap) // (room - overlap))
        assert len(windows) == least
        assert all(a.stop - b.start >= overlap for a, b in pairwise(windows))

    def depth(window: Any, place: int) -> int:
        left = place - window.start if window.start else tokens
        right = window.stop - 1 - place if window.stop < tokens else tokens
        return min(left, right)

    for window in windows:
        for place in range(window.first, window.last):
            others = [depth(other, place) for other in windows if other.start <= place < other.stop]
            assert depth(window, place) >= max(others) - 1


@pytest.fixture(scope="module", params=["wordpiece", "bytes", "unigram"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_model(tmp_path_factory.mktemp(request.param), request.param, prompts={"document": "page: "})


def plainly(model: Any, text: str, windows: Windows) -> np.ndarray:
    """Each window on its own through the transformer, token by token from the window that holds it deepest."""
    whole = model.tokenizer("page: " + text, truncation=False, return_offsets_mapping=True, verbose=False)
    ids, offsets, sides = whole["input_ids"], whole["offset_mapping"], whole.sequence_ids(0)
    inside = [place for place in range(len(ids)) if sides[place] is not None and offsets[place][1] > len("page: ")]
    front, behind = ids[: inside[0]], ids[inside[-1] + 1 :]
    body = [ids[place] for place in inside]
    rows: list[Any] = []
    for window in cut_windows(len(body), windows.size - len(front) - len(behind), windows.overlap):
        read = torch.tensor([[*front, *body[window.start : window.stop], *behind]])
        with torch.inference_mode():
            features = {"input_ids": read, "attention_mask": torch.ones_like(read), "token_type_ids": read * 0}
            vectors = model[0](features)["token_embeddings"][0]
        begin = 0 if window.first == 0 else len(front) + window.first - window.start
        end = len(read[0]) if window.last == len(body) else len(front) + window.last - window.start
        rows.append(vectors[begin:end])
    with torch.inference_mode():
        found = torch.nn.functional.normalize(model[1]({"token_embeddings": torch.cat(rows)})["token_embeddings"])
    assert len(found) == len(ids)
    return found.numpy()


def test_windows_are_what_each_of_them_is_read_alone(model: Any) -> None:
    texts = [SHORT, PAGES, PAGES[: len(PAGES) // 3]]
    done: list[tuple[int, int]] = []
    found = Encoder(model, windows=WINDOWS).encode_document(texts, lambda *counts: done.append(counts))
    assert done[-1] == (3, 3)
    for vectors, text in zip(found, texts, strict=True):
        np.testing.assert_allclose(vectors, plainly(model, text, WINDOWS), atol=1e-5)
    assert (found.truncated, found.unread_share) == (0, 0)
    alone = Encoder(model).encode_document([SHORT])
    np.testing.assert_allclose(found[0], alone[0], atol=1e-5)  # what fits into one window is read as ever


def test_each_token_has_its_place_in_the_whole_text(model: Any) -> None:
    encoder = Encoder(model, windows=WINDOWS)
    tokens, vectors = encoder.tokens(PAGES, "document"), encoder.encode_document([PAGES])[0]
    assert len(tokens) == len(vectors) > 10 * WINDOWS.size
    assert [token.kind for token in tokens].count(
        "special"
    ) == 2  # in front from the first window, behind from the last
    inside = [token for token in tokens if token.kind == "text"]
    assert [token.start for token in inside] == sorted(token.start for token in inside)
    covered = {place for token in inside for place in range(token.start, token.end)}
    assert covered == {place for place, character in enumerate(PAGES) if not character.isspace()}


def test_a_document_length_beside_windows_cuts_and_counts(model: Any) -> None:
    whole = Encoder(model, windows=WINDOWS).encode_document([SHORT, PAGES])
    found = Encoder(model, windows=WINDOWS, document_length=100).encode_document([SHORT, PAGES])
    assert found.lengths.tolist() == [whole.lengths[0], 100]
    assert found.truncated == 1
    assert found.unread == (whole.n_tokens - found.n_tokens, whole.n_tokens)
    longer = Encoder(model, document_length=70).encode_document([SHORT, PAGES])  # the model itself says 64
    assert longer.lengths.tolist() == [whole.lengths[0], 70]
    assert longer.unread_share == pytest.approx(1 - longer.n_tokens / whole.n_tokens)


def test_how_documents_are_read_is_in_the_fingerprint_and_the_record(model: Any) -> None:
    own = Encoder(model)
    made = {
        str(encoder.fingerprint): encoder.describe()
        for encoder in (
            own,
            Encoder(model, windows=WINDOWS),
            Encoder(model, windows=Windows(32, 4)),
            Encoder(model, windows=WINDOWS, document_length=100),
            Encoder(model, document_length=70),
        )
    }
    assert len(made) == 5
    assert [entry["windows"] for entry in made.values()] == ["", "32:8", "32:4", "32:8", ""]
    assert [entry["document_length"] for entry in made.values()] == [64, None, None, 100, 70]
    assert Encoder(model, document_length=64).fingerprint == own.fingerprint  # the model's own way, said


def test_modules_behind_the_transformer_see_the_whole_document(tmp_path: Path) -> None:
    from sentence_transformers.multi_vector_encoder.modules.token_pooling import HierarchicalTokenPooling

    pooling = HierarchicalTokenPooling(pool_factor=2)
    encoder = Encoder(make_model(tmp_path, extra=[pooling], skiplist=["."]), windows=WINDOWS)
    text = PAGES[: len(PAGES) // 4]
    tokens, vectors = encoder.tokens(text, "document"), encoder.encode_document([text])[0]
    assert len(tokens) == len(vectors)
    parts = [part for token in tokens for part in token.parts or (token,)]
    assert "." not in {part.text for part in parts}
    apart = {abs(a.start - b.start) for token in tokens for a in token.parts for b in token.parts}
    assert max(apart) > 200  # equal words of different windows were merged


@pytest.fixture(scope="module")
def long_encoder(embedded_encoder: Encoder) -> Encoder:
    return Encoder(embedded_encoder.model, "embedded?windows=128:16", windows=Windows(128, 16))


def test_means_of_the_whole_document_come_once(long_encoder: Encoder, embedded_encoder: Encoder) -> None:
    text = "Ships wait for the tide. " * 120
    tokens, vectors = long_encoder.tokens(text, "document"), long_encoder.encode_document([text])[0]
    assert [token.kind for token in tokens].count("whole") == long_encoder.added == 2
    assert [token.kind for token in tokens[-2:]] == ["whole", "whole"]
    assert len(tokens) == len(vectors) == 6 * 120 + 2 + 2
    first = embedded_encoder.encode_document([text[:500]])[0]
    assert (vectors[-2:] * first[-2:]).sum(1).min() > 0.95  # the text says the same all over


def ten_pages(last: str) -> str:
    return (
        " ".join(f"Paragraph {number} is about ships, tides and the weather of the coast." for number in range(220))
        + last
    )


def test_all_that_follows_works_on_ten_pages(long_encoder: Encoder, embedded_encoder: Encoder, tmp_path: Path) -> None:
    texts = {
        "bread": ten_pages(" Sourdough bread needs flour, water, salt and a night to rise."),
        "clocks": ten_pages(" The old clock maker repaired seven pendulum clocks."),
    }
    question = "how long does bread dough have to rise"
    documents = long_encoder.encode_document(list(texts.values()))
    assert documents.lengths.min() > 2500
    query = long_encoder.encode_query([question])
    found = explain(long_encoder, question, texts["bread"])
    assert found.contribution.sum() == pytest.approx(found.score)
    behind = [
        texts["bread"][found.document_tokens[i].start :] for i in found.best if found.document_tokens[i].start > 0
    ]
    assert sum(len(rest) < 80 for rest in behind) >= 4  # most words meet the last sentence
    assert explain(embedded_encoder, question, texts["bread"]).score < found.score - 1  # which was cut off
    for kind in ("exact", "plaid", "hnsw", "muvera"):
        index = create_index(kind, tmp_path / kind)
        index.add(list(texts), documents)
        assert index.search(query, k=1)[0].ids == ["bread"], kind
    pooled = pool(documents, tokens=64)
    assert pooled.lengths.max() <= 64 + 1 + long_encoder.added
    assert pooled.added == 2
    assert open_index(tmp_path / "plaid").trace(query, "bread", 2).rank == 1


def test_names_say_how_documents_are_read() -> None:
    name = ModelName.parse("a/model?windows=256:32&document_length=4096")
    assert (name.name, name.windows, name.document_length) == ("a/model", Windows(256, 32), 4096)
    assert str(name) == "a/model?windows=256:32&document_length=4096"
    assert str(ModelName.parse("embedded").choose("64", 512)) == "embedded?windows=64:0&document_length=512"
    assert ModelName.parse("what?is=this").name == "what?is=this"
    assert name.choose("256:32") == name
    with pytest.raises(InputError, match="256:32"):
        name.choose("128:32")
    for text in ("", "0", "1", "x", "256:", "256:200", "-5:2", "256:32:7", "²"):
        with pytest.raises(InputError, match="windows"):
            Windows.parse(text)
    for length in (1, 0, -3, "x", 10**9):
        with pytest.raises(InputError, match="document length"):
            ModelName("m").choose(document_length=length)


def test_what_a_model_cannot_read_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_model(tmp_path)
    for wrong, word in (
        ({"windows": Windows(81, 8)}, "80 tokens"),
        ({"windows": Windows(4, 2)}, "nothing to read"),
        ({"document_length": 81}, "80 tokens"),
    ):
        with pytest.raises(InputError, match=word):
            Encoder(made, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="one device"), Encoder(made, windows=WINDOWS).spread(["cpu", "cpu"]):
        pass

    class Silent(dict):
        """Features of a tokenizer that tells nothing."""

    monkeypatch.setattr(made, "preprocess", lambda *texts, **options: Silent(input_ids=torch.ones(1, 3)))
    with pytest.raises(UnsupportedError, match="--passages"):
        Encoder(made, windows=WINDOWS)


def test_a_length_that_leaves_no_word_is_refused(tmp_path: Path) -> None:
    make_model(tmp_path / "backbone").save_pretrained(str(tmp_path / "model"))
    with pytest.raises(InputError, match="leaves nothing to read beside the 2 special tokens"):
        Encoder.load(str(tmp_path / "model"), "cpu", document_length=2)
    assert Encoder.load(str(tmp_path / "model"), "cpu", document_length=3).max_length("document") == 3
