"""The error map adds up: errors of similarities, and of the score."""

import numpy as np
import pytest

from engine import create_index
from engine.errors import InputError, NotFoundError
from tests.conftest import ragged
from workbench.error_map import error_map

RNG = np.random.default_rng(4)
DOCUMENTS = ragged(RNG, [9] * 40, 16)
QUERY = ragged(RNG, [5], 16)[0]


def built(folder, kind, **settings):
    index = create_index(kind, folder, **settings)
    index.add([f"d{i}" for i in range(40)], DOCUMENTS)
    return index


def test_an_index_that_stores_the_vectors_has_no_error(tmp_path):
    found = error_map(built(tmp_path / "i", "exact", dtype="float32"), QUERY, "d3", DOCUMENTS[3])
    assert not found.error.any()
    assert found.rms == found.score_error == 0
    assert not found.moved.any()
    np.testing.assert_allclose(found.exact, QUERY @ DOCUMENTS[3].T, atol=1e-6)


def test_fewer_bits_make_larger_errors_and_the_parts_sum_to_the_score(tmp_path):
    maps = [error_map(built(tmp_path / f"{b}", "plaid", bits=b), QUERY, "d7", DOCUMENTS[7]) for b in (1, 4, 8)]
    assert maps[0].rms > maps[1].rms > maps[2].rms > 0
    for found in maps:
        assert found.error.shape == (5, 9)
        np.testing.assert_allclose(found.error, found.exact - found.stored)
        assert found.contribution_error.sum() == pytest.approx(found.score_error, abs=1e-5)
        assert found.score_exact == pytest.approx((QUERY @ DOCUMENTS[7].T).max(axis=1).sum(), abs=1e-5)
        assert (found.moved == (found.best_exact != found.stored.argmax(axis=1))).all()


def test_vectors_of_another_document_are_refused(tmp_path):
    index = built(tmp_path / "i", "exact")
    with pytest.raises(InputError, match="vectors that were indexed"):
        error_map(index, QUERY, "d3", DOCUMENTS[3][:5])
    with pytest.raises(NotFoundError):
        error_map(index, QUERY, "nope", DOCUMENTS[3])
