"""NanoBEIR by the library's evaluator, on a folder in its layout, and what is said when its data are not here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import Encoder
from engine.errors import InputError, NotFoundError
from engine.training import score_nanobeir

ROWS = {
    "corpus": [
        {"_id": "d1", "text": "Path.write_text opens a file, writes a string and closes it."},
        {"_id": "d2", "text": "Counter counts how often each item occurs."},
        {"_id": "d3", "text": "sorted makes a new list with the items of an iterable in order."},
    ],
    "queries": [{"_id": "q1", "text": "count equal items"}, {"_id": "q2", "text": "write text to a file"}],
    "qrels": [{"query-id": "q1", "corpus-id": "d2"}, {"query-id": "q2", "corpus-id": "d3"}],  # the second is wrong
}


def test_scores_are_those_of_the_evaluator(
    embedded_encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    lines = ["---", "configs:"]
    for name, rows in ROWS.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        lines.append(f"- {{config_name: {name}, data_files: [{{split: NanoMSMARCO, path: {name}.jsonl}}]}}")
    (tmp_path / "README.md").write_text("\n".join([*lines, "---", ""]))
    scores = score_nanobeir(embedded_encoder, ["msmarco"], str(tmp_path))
    assert set(scores) == {"msmarco", "mean"}
    # The first question finds its document first, the second finds a wrong one first and its own last or second.
    assert scores["msmarco"] == scores["mean"]
    assert scores["mean"] in (pytest.approx((1 + 0.5) / 2, abs=1e-3), pytest.approx((1 + 0.6309) / 2, abs=1e-3))


def test_absent_data_and_unknown_names_get_a_sentence(embedded_encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="NanoBEIR could not be loaded"):
        score_nanobeir(embedded_encoder, ["msmarco"], str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="sourdough"):
        score_nanobeir(embedded_encoder, ["sourdough"], str(tmp_path))
