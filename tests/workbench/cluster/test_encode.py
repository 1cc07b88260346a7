"""What a cluster encodes, put together from its units: no cluster is needed for that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine import Encoder
from engine.errors import WorkerError
from engine.model_names import Windows
from tests.conftest import FakeEncoder
from workbench.cluster.encode import Actor, ClusterEncoder

TEXTS = [" ".join(f"word{(i * 7 + j) % 23}" for j in range(1 + i * i % 60)) for i in range(14)]


class Here(ClusterEncoder):
    """Encodes each unit by itself in this process, and loses the first of each round."""

    lost, rounds = True, 0

    def __init__(self, encoder: Any) -> None:
        super().__init__(encoder, None)  # type: ignore[arg-type]

    def _round(self, units, task):
        self.rounds += 1
        actor = Actor({"encoder": self.encoder}, task)
        for number, unit in list(units.items())[self.lost and len(units) > 1 :]:
            yield number, self._found(actor({"number": number, "texts": unit.texts}))


def same(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    for name in ("fingerprint", "truncated", "added", "unread"):
        assert getattr(found, name) == getattr(expected, name), name
    assert found.values.dtype == expected.values.dtype


@pytest.mark.parametrize("windows", [None, Windows(32, 8)])
def test_units_encoded_apart_have_the_bits_of_all_texts_encoded_together(embedded_encoder, windows, monkeypatch):
    monkeypatch.setattr("engine.encoding.CHUNK_TEXTS", 6)
    monkeypatch.setattr("engine.encoding.CHUNK_CHARACTERS", 900)
    length = 40 if windows is None else None
    encoder = Encoder(embedded_encoder.model, "embedded", windows=windows, document_length=length)
    expected = encoder.encode_document(TEXTS)
    spread = Here(encoder)
    same(spread.encode_document(TEXTS), expected)
    assert spread.rounds >= 2
    assert (expected.truncated > 0) == (windows is None)
    same(spread.encode_query(TEXTS), encoder.encode_query(TEXTS))


def test_lots_come_as_they_are_finished_and_none_comes_of_nothing(monkeypatch):
    monkeypatch.setattr("engine.encoding.CHUNK_TEXTS", 4)
    told: list[tuple[int, int]] = []
    spread = Here(FakeEncoder())
    lots = [TEXTS[:6], TEXTS[6:8], TEXTS[8:]]
    found = dict(spread.encode_blocks(lots, "document", lambda *done: told.append(done)))
    for number, lot in enumerate(lots):
        same(found[number], FakeEncoder().encode_document(lot))
    assert told[-1] == (14, 14)
    monkeypatch.setattr(Here, "_round", lambda *_: iter(()))
    with pytest.raises(WorkerError, match="No node encoded any of the 4 parts"):
        spread.encode_document(TEXTS)
