"""Tables of centroid scores at every level of this processor, against numpy."""

import numpy as np
import pytest

from engine.simd import centroids, residuals
from engine.simd.levels import LEVELS, available, trial
from engine.simd.selfcheck import calling, compiled

HERE = [*available(), LEVELS[-1]]
COUNT, DIM = 61, 20


@pytest.fixture(params=HERE, ids=lambda level: level.name)
def level(request):
    """Code is generated for it in this test."""
    with trial(request.param):
        yield request.param


def widths(level):
    """One register, some, and all that 32 lanes need."""
    return sorted({level.lanes, 2 * level.lanes, 32})


def test_products_of_chosen_rows(level):
    rng = np.random.default_rng(0)
    values, panel = (rng.standard_normal((n, DIM)).astype(np.float32) for n in (COUNT, 32))
    numbers, columns = rng.integers(0, COUNT, 40), np.ascontiguousarray(panel.T).ravel()
    multiply = compiled(calling(centroids.multiply_chosen))
    for width in widths(level):
        out = np.full((40, 32), 7, np.float32)
        multiply(values.ravel(), numbers, 3, 39, DIM, columns, width, out.reshape(-1))
        np.testing.assert_allclose(out[3:39, :width], values[numbers[3:39]] @ panel[:width].T, rtol=1e-4, atol=1e-4)
        assert (out[:3] == 7).all()
        assert (out[39:] == 7).all()
        assert (out[:, width:] == 7).all()


def test_whole_numbers_are_the_same_at_every_level_and_their_highest_is_noted(level):
    rng = np.random.default_rng(1)
    values = rng.integers(0, 128, (COUNT, DIM)).astype(np.uint8)
    query = rng.integers(-127, 128, (32, DIM)).astype(np.int8)
    asked = np.ascontiguousarray(query.reshape(32, DIM // 4, 4).transpose(1, 0, 2)).ravel()
    work = compiled(calling(centroids.whole_rows))
    for width in widths(level):
        sums, best = np.full((COUNT, 32), 7, np.int16), np.full(32, -(2**15), np.int16)
        work(values.ravel(), 2, COUNT, DIM // 4, asked, width, 4, sums.reshape(-1), best)
        expected = (values.astype(np.int64) @ query.T.astype(np.int64)) >> 4
        np.testing.assert_array_equal(sums[2:, :width], expected[2:, :width])
        np.testing.assert_array_equal(best[:width], expected[2:, :width].max(axis=0))
        assert (sums[:2] == 7).all()
        assert (sums[:, width:] == 7).all()
        assert (best[width:] == -(2**15)).all()


def test_bytes_and_who_reaches_a_limit(level):
    rng = np.random.default_rng(2)
    sums = rng.integers(-300, 300, (COUNT, 32)).astype(np.int16)
    factor, shift = (rng.random(32).astype(np.float32) for _ in range(2))
    limits = np.full(32, 290, np.int16)
    limits[[0, 5]] = -400, 299
    work = compiled(calling(centroids.byte_rows))
    for width in widths(level):
        rows, numbers, masks = np.zeros((COUNT, 32), np.uint8), np.full(COUNT, -1, np.int32), np.zeros(COUNT, np.uint32)
        for first, last in ((4, 50), (9, 9)):
            count = work(sums.ravel(), first, last, width, factor, shift, limits, rows.reshape(-1), numbers, masks)
            reached = (sums >= limits)[:, :width] & (np.arange(COUNT) >= first)[:, None]
            wanted = np.flatnonzero(reached[:last].any(axis=1))
            np.testing.assert_array_equal(numbers[first : first + count], wanted)
            bits = (reached * (1 << np.arange(width))).sum(axis=1)
            np.testing.assert_array_equal(masks[first : first + count], bits[wanted])
        expected = np.clip(sums * factor + shift, 0, 255).astype(np.uint8)
        np.testing.assert_array_equal(rows[4:50, :width], expected[4:50, :width])
        assert not rows[:, width:].any()


def test_the_tokens_that_have_the_highest_byte_of_a_query_token(level):
    rng = np.random.default_rng(3)
    rows, codes = rng.integers(0, 9, (COUNT, 32)).astype(np.uint8), rng.integers(0, COUNT, 90).astype(np.uint16)
    best, wanted = rows[codes].max(axis=0), 0b1010_0000_0000_0000_0000_0000_0000_1001
    lanes = [lane for lane in range(32) if wanted >> lane & 1]
    tokens = np.full(91, -1)
    end = compiled(calling(residuals.winners))(rows.ravel(), codes, 5, 90, best, wanted, tokens, 2)
    expected = [t for t in range(5, 90) if (rows[codes[t], lanes] == best[lanes]).any()]
    assert tokens[2:end].tolist() == expected
    assert (tokens[:2] == -1).all()
