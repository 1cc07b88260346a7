"""Training data: read from anywhere, checked, mined and scored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine import Collection, Encoder
from engine.errors import InputError, NotFoundError
from engine.training import (
    TrainingData,
    TrainSettings,
    collection_pairs,
    fine_tune,
    read_training_data,
)
from engine.training.mining import MiningSettings, mine
from engine.training.model import load_for_training
from engine.training.teacher import CachedTeacher, add_teacher_scores

ROWS = [
    {"query": f"question {i}", "positive": f"answer {i}", "negative": [f"wrong {i}", f"other {i}"]} for i in range(4)
]


def test_every_format_gives_the_same_rows(tmp_path: Path) -> None:
    flat = [{"question": r["query"], "answer": r["positive"], "negative_1": r["negative"][0]} for r in ROWS]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in flat))
    pd.DataFrame(flat).to_csv(tmp_path / "rows.csv", index=False)
    pd.DataFrame(flat).to_csv(tmp_path / "rows.tsv", index=False, sep="\t")
    pd.DataFrame(flat).to_parquet(tmp_path / "rows.parquet")
    expected = read_training_data(flat)
    assert expected.kind == "negatives"
    for suffix in ("jsonl", "csv", "tsv", "parquet"):
        assert read_training_data(tmp_path / f"rows.{suffix}").columns == expected.columns
    from datasets import Dataset

    assert read_training_data(Dataset.from_list(flat)).columns == expected.columns
    assert len(read_training_data(tmp_path / "rows.jsonl", limit=2)) == 2


def test_lists_of_negatives_become_columns_and_mapped_names_are_taken() -> None:
    data = read_training_data(ROWS)
    assert list(data.columns) == ["query", "positive", "negative_1", "negative_2"]
    assert data.columns["negative_2"][3] == "other 3"
    odd = [{"q": row["query"], "d": row["positive"], "junk": 1} for row in ROWS]
    with pytest.raises(InputError, match="no column for the query"):
        read_training_data(odd)
    assert read_training_data(odd, {"query": "q", "positive": "d"}).kind == "pairs"
    with pytest.raises(InputError, match="no column 'z'"):
        read_training_data(odd, {"query": "z"})


def test_what_is_wrong_is_counted() -> None:
    rows = [*ROWS, ROWS[0], {**ROWS[1], "query": " "}, {**ROWS[2], "positive": None}]
    assert read_training_data(rows).counts == {"rows": 7, "kept": 4, "empty": 2, "duplicate": 1}
    with pytest.raises(InputError, match="no rows"):
        read_training_data([])


def test_leaking_rows_are_dropped_and_over_long_ones_counted(backbone: Path) -> None:
    documents = {"a": "Answer  0", "b": "something else"}
    collection = Collection(documents, {"q": "QUESTION 2"}, {"q": {"a": 1}})
    model = load_for_training(TrainSettings(base=str(backbone), projection=8, device="cpu")).model
    rows = [*ROWS[:3], {**ROWS[3], "positive": "what " * 100}]
    data = read_training_data(rows).check(Encoder(model), collection)
    assert data.counts["leaking"] == 2
    assert data.check().counts["leaking"] == 2
    assert data.columns["query"] == ["question 1", "question 3"]
    assert data.counts["over_long"] == 1


def test_broken_sources_say_where(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"query": "a", "positive": "b"}\n{"query"\n')
    with pytest.raises(InputError, match="Line 2 of"):
        read_training_data(tmp_path / "bad.jsonl")
    with pytest.raises(NotFoundError, match="no file"):
        read_training_data(tmp_path / "absent.jsonl")
    (tmp_path / "rows.xml").write_text("<a/>")
    with pytest.raises(InputError, match="Unknown format"):
        read_training_data(tmp_path / "rows.xml")
    with pytest.raises(InputError, match=r"Row 1 .* 1 scores for 3 documents"):
        read_training_data([{**ROWS[0], "scores": [1.0]}])


def test_judgements_are_pairs(tiny_collection: Collection) -> None:
    assert len(collection_pairs(tiny_collection)) == 5
    assert len(collection_pairs(tiny_collection, least_grade=2)) == 3


class Overlap:
    """Scores a pair by the words that both sides share."""

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, pairs: list[tuple[str, str]]) -> np.ndarray:
        self.calls += len(pairs)
        return np.array([len(set(question.split()) & set(text.split())) for question, text in pairs], np.float32)


def test_teacher_scores_are_kept_on_disk(tmp_path: Path) -> None:
    model = Overlap()
    teacher = CachedTeacher(model, "overlap", tmp_path / "scores.db", batch=2)
    pairs = [("a b", "a c"), ("a b", "a b"), ("a b", "a c")]
    assert teacher(pairs).tolist() == [1.0, 2.0, 1.0]
    assert model.calls == teacher.asked == 2
    again = CachedTeacher(model, "overlap", tmp_path / "scores.db")
    assert again(pairs).tolist() == [1.0, 2.0, 1.0]
    assert model.calls == 2
    scored = add_teacher_scores(read_training_data(ROWS), again)
    assert scored.kind == "scored"
    assert scored.scores is not None
    assert scored.scores[0] == [1.0, 1.0, 1.0]
    with pytest.raises(InputError, match="mine negatives first"):
        add_teacher_scores(read_training_data([{"query": "a", "positive": "b"}]), again)


def test_a_cross_encoder_teaches(backbone: Path, rows: list[dict[str, str]], tmp_path: Path) -> None:
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=1).save_pretrained(tmp_path / "teacher")
    AutoTokenizer.from_pretrained(backbone).save_pretrained(tmp_path / "teacher")
    teacher = CachedTeacher.load(str(tmp_path / "teacher"), tmp_path / "scores.db", "cpu")
    scored = add_teacher_scores(read_training_data(rows), teacher)
    pairs = [(row["query"], row[name]) for row in rows for name in ("positive", "negative")]
    expected = CrossEncoder(str(tmp_path / "teacher"), device="cpu").predict(pairs).reshape(-1, 2)
    np.testing.assert_allclose(np.array(scored.scores), expected, atol=1e-6)
    assert np.ptp(expected) > 0
    settings = TrainSettings(base=str(backbone), loss="distillation", batch=8, max_steps=2, projection=16, device="cpu",
                             output=str(tmp_path / "model"))  # fmt: skip
    assert fine_tune(settings, scored).steps == 2
    with pytest.raises(NotFoundError, match="could not be loaded"):
        CachedTeacher.load(str(tmp_path / "nothing"), tmp_path / "scores.db", "cpu")


def test_mining_finds_near_misses_and_never_an_answer(fake_encoder: Encoder, tmp_path: Path) -> None:
    data = TrainingData(
        {
            "query": ["red apple pie", "red apple pie", "blue sea"],
            "positive": ["red apple pie recipe", "apple pie in red", "the blue sea"],
        }
    )
    corpus = ["red apple tree", "blue sky", "green grass"]
    mined = mine(fake_encoder, data, corpus, MiningSettings(depth=6, margin=0.99))
    assert mined.columns["negative_1"] == ["red apple tree", "red apple tree", "blue sky"]
    strict = CachedTeacher(Overlap(), "overlap", tmp_path / "scores.db")
    filtered = mine(fake_encoder, data, corpus, MiningSettings(depth=6, margin=0.9), teacher=strict)
    assert "red apple tree" not in filtered.columns["negative_1"]  # as good as the answer, the teacher says
    assert filtered.columns["negative_1"][-1] == "blue sky"
    with pytest.raises(InputError, match="No row"):
        mine(fake_encoder, data, corpus, MiningSettings(depth=1))
    with pytest.raises(InputError, match="raise depth"):
        MiningSettings(negatives=3, depth=2)
