"""A folder to type commands in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import Collection
from tests.conftest import FakeEncoder


@pytest.fixture
def folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_collection: Collection, fake_encoder: FakeEncoder
) -> Path:
    """Where commands are typed: the tiny collection as "tiny", an experiment on it, and a fake for every model."""
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("engine.Encoder.load", lambda *_, **__: fake_encoder)
    target = tmp_path / "tiny"
    (target / "qrels").mkdir(parents=True)
    for name, texts in (("corpus", tiny_collection.documents), ("queries", tiny_collection.queries)):
        lines = [json.dumps({"_id": key, "text": text}) for key, text in texts.items()]
        (target / f"{name}.jsonl").write_text("\n".join(lines))
    judged = [f"{q}\t{d}\t{g}" for q, grades in tiny_collection.qrels.items() for d, g in grades.items()]
    (target / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]))
    (tmp_path / "exp.yaml").write_text("collection: tiny\nmetrics: [ndcg@10, recall@100]\n")
    return tmp_path
