"""Training the embedded model's adapter: what it writes loads again and changes the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine import Encoder
from engine.errors import InputError
from engine.training import read_training_data
from workbench.embedded.fit_adapter import AdapterSettings
from workbench.embedded.model import load
from workbench.embedded.train_adapter import prepare, train_adapter
from workbench.embedded.training_texts import cloze_pairs, documentation_pairs, title_pairs

TEXT = "Sorting puts items in order. It needs a key for that. The key may be any function. Ties keep their old order."


def test_pairs_hide_the_query_from_its_document() -> None:
    row = cloze_pairs([TEXT, "Too short."])[0]
    assert row["query"] in TEXT
    assert row["query"] not in row["positive"]
    title = title_pairs(["laminar flow over a flat plate . " + "words about boundary layers " * 4])[0]
    assert title["query"] == "laminar flow over a flat plate"
    assert title["positive"].startswith("words about")
    pairs = documentation_pairs(20, packages=("sentence_transformers", "joblib"))
    assert len({pair["query"] for pair in pairs}) == 20
    assert pairs == documentation_pairs(20, packages=("sentence_transformers", "joblib"))


def test_a_trained_adapter_and_head_are_loaded_together(tmp_path: Path) -> None:
    rows = [
        {
            "query": f"how to {verb} a {thing}",
            "positive": f"This function will {verb} any {thing} given to it.",
        }
        for verb in ("sort", "read", "parse", "close")
        for thing in ("list", "file", "socket", "string")
    ]
    sources = prepare(tmp_path / "work", {"rows": rows})
    assert len(read_training_data(tmp_path / "work" / "rows" / "rows.jsonl")) == 16
    settings = AdapterSettings(rank=2, steps=3, batch=8, near=2, learning_rate=1e-3)
    train_adapter(tmp_path / "work", tmp_path / "first", sources, settings)
    found = train_adapter(tmp_path / "work", tmp_path / "second", sources, settings, start=tmp_path / "first")
    assert len(found["last_losses"]) == 3
    models = [load(head=folder) for folder in (tmp_path / "work" / "axes", tmp_path / "first", tmp_path / "second")]
    assert "adapter" not in models[0][1]
    assert "adapter" in models[1][1]
    encoders = [Encoder(model.eval()) for model, _ in models]
    assert len({encoder.fingerprint for encoder in encoders}) == 3
    vectors = [encoder.encode_query(["read a file"])[0] for encoder in encoders]
    assert vectors[0].shape == (5, 96)
    assert not np.allclose(vectors[0], vectors[1], atol=1e-3)
    assert not np.allclose(vectors[1], vectors[2], atol=1e-3)


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"rank": 0}, {"batch": 4, "near": 3}, {"temperature": 0.0}, {"keep": -1.0}):
        with pytest.raises(InputError):
            AdapterSettings(**wrong)  # type: ignore[arg-type]
