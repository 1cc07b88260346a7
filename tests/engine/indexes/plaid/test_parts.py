"""Builds that several processes share."""

import numpy as np
import pytest

from engine import TokenEmbeddings, create_index, open_index
from engine.errors import StorageError
from engine.indexes.plaid import PlaidIndex, parts
from tests.conftest import ragged


def built(path, documents, processes, **settings) -> PlaidIndex:
    index = create_index("plaid", path, **settings)
    assert isinstance(index, PlaidIndex)
    index.processes = processes
    index.add([f"d{i}" for i in range(len(documents))], documents)
    return index


def contents(index):
    return {path.name: path.read_bytes() for path in index.path.iterdir() if path.name != "writer.lock"}


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_parts_are_joined_to_the_same_bytes(tmp_path, where):
    documents = ragged(np.random.default_rng(0), [7] * 90, 16, dtype=np.float16)
    if where == "disk":
        documents.save(tmp_path / "vectors")
        documents = TokenEmbeddings.open(tmp_path / "vectors")[3:80]  # a part of a file
    alone = built(tmp_path / "alone", documents, 1, bits=2)
    shared = built(tmp_path / "shared", documents, 3, bits=2)
    assert contents(shared) == contents(alone)
    assert open_index(shared.path).search(documents.select([5]), 1)[0].ids == ["d5"]


def test_a_process_that_ends_early_leaves_the_index_as_it_was(tmp_path, monkeypatch, capfd):
    documents = ragged(np.random.default_rng(1), [5] * 20, 16)
    index = create_index("plaid", tmp_path / "index")
    assert isinstance(index, PlaidIndex)
    before = contents(index)
    index.processes = 2
    monkeypatch.setattr(parts, "asdict", lambda settings: {"bits": 3})  # the processes refuse it
    with pytest.raises(StorageError, match="2 processes"):
        index.add([f"d{i}" for i in range(20)], documents)
    assert contents(index) == before
    assert "bits" in capfd.readouterr().err
