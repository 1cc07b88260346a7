"""Which shard a document goes to."""

import numpy as np
import pytest

from engine import TokenEmbeddings, create_index
from engine.errors import InputError
from engine.indexes.sharded.placing import shards_of
from tests.conftest import ragged

DOCUMENTS = ragged(np.random.default_rng(0), [3, 8] * 300, 16)


def test_shards_follow_from_the_vectors_alone():
    found = shards_of(DOCUMENTS, 5)
    order = np.random.default_rng(1).permutation(600)
    np.testing.assert_array_equal(shards_of(DOCUMENTS.select(order), 5), found[order])
    np.testing.assert_array_equal(shards_of(DOCUMENTS.astype("float16"), 5), found)
    np.testing.assert_array_equal(shards_of(DOCUMENTS[100:200], 5), found[100:200])


def test_shards_are_about_equal():
    counts = np.bincount(shards_of(DOCUMENTS, 5), minlength=5)
    assert counts.sum() == 600
    assert counts.min() > 80  # 120 expected, with a standard deviation of 10


def test_documents_that_no_float16_holds_and_those_without_vectors_have_a_shard_too():
    huge = TokenEmbeddings.from_list([np.full((2, 4), 1e30, np.float32), np.empty((0, 4), np.float32)])
    assert set(shards_of(huge, 3).tolist()) <= {0, 1, 2}
    assert shards_of(huge, 1).tolist() == [0, 0]


def test_more_shards_than_memory_can_list_are_refused(tmp_path):
    with pytest.raises(InputError, match="shards as a whole number of 10000 at most"):
        create_index("sharded", tmp_path / "index", of="exact", shards=10**9)
    assert not (tmp_path / "index").exists()
