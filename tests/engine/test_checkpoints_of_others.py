"""Published checkpoints by their layout, with random weights: loaded, encoded, explained, trained a step, saved."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import MultiVectorEncoder

from benchmarks.checkpoints import MARKERS, SHAPES, TEXTS, make, shape
from engine import Encoder, create_index, explain, maxsim
from engine.errors import UnsupportedError
from engine.training import TrainSettings, fine_tune, read_training_data

EVERYDAY = ("colbertv2", "gte-modern")
NAMES = [
    pytest.param(entry.name, marks=() if entry.name in EVERYDAY else pytest.mark.slow)
    for entry in SHAPES
    if not entry.remote
]
QUESTIONS = ["where are the clocks", "a boat in the storm; and bread"]


def differences(encoder: Encoder, folder: Path) -> float:
    """Largest difference of a component between our vectors and those of the library that loads the same folder."""
    theirs = MultiVectorEncoder(str(folder), device="cpu").eval()
    most = 0.0
    for ours, expected in (
        (encoder.encode_document(TEXTS), theirs.encode_document(TEXTS, convert_to_numpy=True)),
        (encoder.encode_query(QUESTIONS), theirs.encode_query(QUESTIONS, convert_to_numpy=True)),
    ):
        for mine, other in zip((ours[i] for i in range(len(ours))), expected, strict=True):
            assert mine.shape == np.shape(other)
            most = max(most, float(np.abs(mine - np.asarray(other)).max()))
    return most


def train_a_step(folder: Path, output: Path) -> Encoder:
    """The model after one step of this project's training on pairs of the texts."""
    rows = [{"query": " ".join(text.split()[:4]), "positive": text} for text in TEXTS]
    settings = TrainSettings(
        base=str(folder), batch=4, max_steps=1, learning_rate=1e-3, warmup=0.0, device="cpu", output=str(output)
    )
    return fine_tune(settings, read_training_data(rows)).encoder


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_goes_through_everything(name: str, tmp_path: Path) -> None:
    entry = shape(name)
    folder = make(entry, tmp_path / "model")
    encoder = Encoder.load(str(folder), device="cpu", dtype="float32")
    assert encoder.dim == entry.dim
    assert encoder.max_length("query") == entry.query_length
    assert encoder.max_length("document") in (entry.document_length, entry.document_length - 1)
    assert differences(encoder, folder) <= 1e-6
    documents, queries = encoder.encode_document(TEXTS), encoder.encode_query(QUESTIONS)
    assert np.allclose(np.linalg.norm(documents.values, axis=1), 1, atol=1e-5)
    if entry.expansion:
        assert set(queries.lengths) == {entry.query_length}
    index = create_index("exact", tmp_path / "index", dtype="float32")
    index.add([str(i) for i in range(len(TEXTS))], documents)
    found = index.search(queries, 5)
    scores = maxsim(queries, documents)
    assert found[0].scores == pytest.approx(np.sort(scores[0])[::-1], abs=1e-4)
    alignment = explain(encoder, QUESTIONS[0], TEXTS[1])
    assert alignment.score == pytest.approx(float(scores[0, 1]), abs=1e-3)
    named = [token for token in encoder.tokens(TEXTS[4], "document") if token.kind == "text"]
    assert "".join(TEXTS[4][token.start : token.end] for token in named).replace(" ", "").startswith("nobodycounted")
    trained = train_a_step(folder, tmp_path / "trained")
    again = Encoder.load(str(tmp_path / "trained"), device="cpu", dtype="float32")
    assert again.fingerprint == trained.fingerprint != encoder.fingerprint
    assert differences(again, tmp_path / "trained") <= 1e-6
    moved = again.encode_document(TEXTS).values - documents.values
    assert 1e-5 < np.abs(moved).max() < 2, "the step was saved"
    again.model.save(str(tmp_path / "saved"))
    once_more = Encoder.load(str(tmp_path / "saved"), device="cpu", dtype="float32")
    assert np.abs(once_more.encode_document(TEXTS).values - again.encode_document(TEXTS).values).max() <= 1e-6


def test_the_markers_of_a_layout_stand_before_each_text(tmp_path: Path) -> None:
    encoder = Encoder.load(str(make(shape("gte-modern"), tmp_path / "model")), device="cpu", dtype="float32")
    tokenizer = encoder.model.tokenizer
    for task, marker in zip(("query", "document"), MARKERS, strict=True):
        ids = encoder.preprocess([TEXTS[0]], task)["input_ids"][0].tolist()  # type: ignore[arg-type]
        assert ids[1] == tokenizer.convert_tokens_to_ids(marker)
    skipped = {token.text for token in encoder.tokens("a map; of, rivers.", "document")}
    assert not skipped & {";", ",", "."}, "punctuation has no vectors in documents"


def test_attention_in_other_ways_gives_the_same_vectors(tmp_path: Path) -> None:
    from engine.models import load_model

    folder = str(make(shape("gte-modern"), tmp_path / "model"))
    ways = {}
    for way in ("eager", "sdpa"):
        model, note = load_model(folder, "cpu", {"attn_implementation": way})
        ways[way] = Encoder(model, way, note).encode_document([*TEXTS, " ".join(TEXTS * 30)])
    assert ways["eager"].lengths.max() > 200, "longer than its window of local attention"
    assert np.abs(ways["eager"].values - ways["sdpa"].values).max() < 2e-5


def test_code_of_its_own_runs_only_where_it_is_trusted(tmp_path: Path) -> None:
    folder = make(shape("jina-v2"), tmp_path / "model")
    with pytest.raises(UnsupportedError, match=r"needs code of its own.*trust_remote_code=True"):
        Encoder.load(str(folder), device="cpu")
    encoder = Encoder.load(str(folder), device="cpu", dtype="float32", trust_remote_code=True)
    assert encoder.dim == 128
    plain = tmp_path / "plain"
    make(shape("jina-v2"), plain)
    config = json.loads((plain / "config.json").read_text())
    config["model_type"] = "xlm-roberta"
    del config["auto_map"]
    (plain / "config.json").write_text(json.dumps(config))
    same = Encoder.load(str(plain), device="cpu", dtype="float32")
    assert np.abs(same.encode_document(TEXTS).values - encoder.encode_document(TEXTS).values).max() <= 1e-6


@pytest.mark.slow
def test_reason_modern_reads_a_text_as_long_as_it_says(tmp_path: Path) -> None:
    encoder = Encoder.load(str(make(shape("reason-modern"), tmp_path / "model")), device="cpu", dtype="float32")
    documents = encoder.encode_document([" ".join(TEXTS * 160), " ".join(TEXTS * 4)])
    assert documents.truncated == 1
    assert 6000 < documents.lengths[0] <= 8192
    assert len(encoder.tokens(" ".join(TEXTS * 160), "document")) == documents.lengths[0]
