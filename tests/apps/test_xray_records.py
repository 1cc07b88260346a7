"""The X-ray page says what the trace says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from apps.xray_records import lost_record, trace_record
from engine import Collection, TokenEmbeddings, create_index
from tests.conftest import FakeEncoder
from workbench.systems.lost_in_index import lost_documents


@pytest.fixture
def vectors(tiny_collection: Collection, fake_encoder: FakeEncoder) -> tuple[TokenEmbeddings, TokenEmbeddings]:
    return (
        fake_encoder.encode_document(list(tiny_collection.documents.values())),
        fake_encoder.encode_query(list(tiny_collection.queries.values())),
    )


@pytest.mark.parametrize("kind", ["exact", "plaid"])
def test_a_trace_is_told_stage_by_stage(
    tmp_path: Path,
    tiny_collection: Collection,
    fake_encoder: FakeEncoder,
    vectors: tuple[TokenEmbeddings, TokenEmbeddings],
    kind: str,
) -> None:
    documents, queries = vectors
    index = create_index(kind, tmp_path / kind)
    index.add(list(tiny_collection.documents), documents)
    question, text = tiny_collection.queries["q2"], tiny_collection.documents["open"]
    trace = index.trace(queries.select([1]), "open", 3)
    record = trace_record(trace, text, fake_encoder.tokens(question, "query"), fake_encoder.tokens(text, "document"))
    json.dumps(record, allow_nan=False)
    assert [stage["name"] for stage in record["stages"]] == [stage.name for stage in trace.stages]
    assert record["rank"] == trace.rank
    assert (f"result {trace.rank} of 3" in record["verdict"]) == (trace.rank is not None)
    if record["cells"] is not None:
        assert "".join(part["text"] for part in record["cells"]["segments"]) == text
        assert trace.tokens is not None
        assert record["cells"]["reached"] == int(trace.tokens.probed.any(axis=0).sum())


def test_the_error_map_adds_up(
    tmp_path: Path, tiny_collection: Collection, vectors: tuple[TokenEmbeddings, TokenEmbeddings]
) -> None:
    documents, queries = vectors
    index = create_index("exact", tmp_path / "i")
    index.add(list(tiny_collection.documents), documents)
    report = lost_documents(index, tiny_collection, documents, queries, k=1)
    record = lost_record(report, tiny_collection)
    assert record["relevant"] == record["found"] + len(record["lost"])
    assert sum(cost["lost"] for cost in record["costs"]) == len(record["lost"])
    assert np.all(np.diff([entry["rank_exact"] for entry in record["lost"]]) >= 0)
    json.dumps(record, allow_nan=False)
