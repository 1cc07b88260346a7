"""What a search prepares from its query, where a model gives query tokens very different lengths."""

import numpy as np
import pytest

from engine.indexes.plaid.codecs import codec_class
from engine.indexes.plaid.query import WEIGHTS, byte_range
from engine.indexes.plaid.residual import ResidualCodec
from engine.indexes.plaid.settings import PlaidSettings


@pytest.mark.parametrize("bits", [2, 8])
def test_a_long_query_token_takes_no_steps_from_a_short_one(bits):
    rng = np.random.default_rng(0)
    centroids = rng.normal(size=(40, 24)).astype(np.float32)
    codes = rng.integers(0, 40, 500)
    vectors = (centroids[codes] + 0.3 * rng.normal(size=(500, 24))).astype(np.float32)
    codec = codec_class(bits).fit(vectors, codes, centroids, PlaidSettings(bits=bits))
    assert isinstance(codec, ResidualCodec)
    token = rng.normal(size=24).astype(np.float32)
    query = np.stack([token, 32 * token])
    asked, rounded = codec.asked(query), codec.rounded.asked(query)
    width = int(asked.widths[0])
    laid = asked.query[0][: codec.layout.padded * width].reshape(-1, width, 4)
    np.testing.assert_array_equal(laid[:, 0], laid[:, 1])
    assert np.abs(laid[:, 0].astype(int)).max() >= 60
    assert asked.unit[0, 1] == pytest.approx(32 * asked.unit[0, 0])
    both = rounded.values[0].reshape(-1, 32, 4)
    np.testing.assert_array_equal(both[:, 0], both[:, 1])
    found = byte_range(codec.centre, query, (query @ centroids.T).max(axis=1), -np.inf)
    assert found.unit[1] == pytest.approx(32 * found.unit[0])
    assert found.weight.tolist() == [WEIGHTS // 32, WEIGHTS]
