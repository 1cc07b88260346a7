"""Numbers of a site: whole steps, packed and unpacked without loss, and how large they may be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.publish.codec import FINER, Codes, GradedCodes, differences, pack, unpack, usual
from apps.publish.size import MOST_BYTES, check_size, fetched
from engine.errors import InputError
from engine.pooling import parse_pool


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 40), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_what_is_packed_comes_back(rows: int, columns: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(-32768, 32768, (rows, columns)).astype(np.int32)
    np.testing.assert_array_equal(unpack(pack(values), rows, columns), values)


def test_a_number_of_more_than_16_bits_is_refused() -> None:
    with pytest.raises(InputError, match="16 bits"):
        pack(np.array([[32768]]))


@pytest.mark.parametrize("bits", [2, 4, 8, 12])
def test_a_code_is_at_most_half_a_step_off(bits: int) -> None:
    vectors = np.random.default_rng(bits).standard_normal((200, 24)).astype(np.float16)
    codes = Codes.of(vectors, bits)
    assert np.abs(codes.vectors - vectors.astype(np.float32)).max() <= 0.5001 * codes.step
    assert codes.step == pytest.approx(6 * np.sqrt(np.mean(vectors.astype(float) ** 2)) / 2**bits, rel=1e-5)


def test_an_outlier_makes_the_step_larger_and_is_not_clipped() -> None:
    vectors = np.zeros((4000, 4), np.float32)
    vectors[0, 0] = 1e6
    codes = Codes.of(vectors, 12)
    assert codes.vectors[0, 0] == pytest.approx(1e6, rel=1e-4)
    assert codes.values.max() <= 32767


@pytest.mark.parametrize(("bits", "finer"), [(4, FINER), (8, FINER), (12, 2)])
def test_vectors_of_whole_texts_take_finer_steps_as_far_as_16_bits_hold_them(bits: int, finer: int) -> None:
    rng, fine = np.random.default_rng(7), np.arange(60) % 5 == 0
    vectors = rng.standard_normal((60, 16)).astype(np.float32)
    vectors[3, 2] = 15.0
    codes = GradedCodes.of(vectors, bits, fine)
    assert codes.finer == finer
    assert np.abs(codes.whole).max() <= 32767
    off = np.abs(codes.whole * codes.unit - vectors)
    assert off[fine].max() <= 0.501 * codes.unit
    assert off[~fine].max() <= 0.501 * codes.unit * finer
    assert GradedCodes.of(vectors, bits, np.zeros(60, bool)).finer == 1


def test_differences_to_the_usual_codes_are_smaller_and_lose_nothing() -> None:
    rng = np.random.default_rng(3)
    kinds = rng.integers(0, 5, 400)
    centres = rng.integers(-90, 90, (5, 16))
    codes = (centres[kinds] + rng.integers(-4, 5, (400, 16))).astype(np.int32)
    often, means = usual(codes, kinds)
    left = differences(codes, kinds, often, means)
    assert np.abs(left).max() < 10
    assert len(pack(left)) < 0.8 * len(pack(codes))
    np.testing.assert_array_equal(left + means[np.searchsorted(often, kinds)], codes)


def test_a_kind_that_is_rare_has_no_usual_codes() -> None:
    codes = np.arange(12, dtype=np.int32).reshape(3, 4)
    often, means = usual(codes, np.array([7, 7, 9]))
    assert len(often) == len(means) == 0
    np.testing.assert_array_equal(differences(codes, np.array([7, 7, 9]), often, means), codes)


def test_a_collection_that_is_too_large_is_told_what_would_fit() -> None:
    check_size(272_511, 128, 8, (32, 64, 96, 128))
    with pytest.raises(
        InputError, match=r"would hold .* MB .*--pool factor=2 or --dim 64 or --bits 4 would fit"
    ) as told:
        check_size(3_900_000, 128, 8, (32, 64, 128))
    assert f"{fetched(3_900_000, 128, 8) / 1e6:,.0f} MB" in str(told.value)
    with pytest.raises(InputError, match="--pool factor=16 --dim 32 --bits 4 together would fit"):
        check_size(200_000_000, 128, 8, (32, 64, 128))
    with pytest.raises(InputError, match="publish fewer documents, at most"):
        check_size(10**11, 128, 8, ())
    with pytest.raises(InputError, match="--pool factor=4,once or --dim 64 or --bits 4 would fit"):
        check_size(3_900_000, 128, 8, (32, 64, 128), parse_pool("factor=2,once"))
    assert fetched(1, 128, 2) > 0
    assert fetched(2_200_000, 128, 8) < MOST_BYTES
