"""What no tokenizer takes is found and replaced, and everything else is left as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Encoder
from engine.errors import InputError
from engine.letters import clean, has_halves


@given(st.text(st.characters(exclude_categories=())))
def test_a_cleaned_text_can_be_written_and_keeps_its_length(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert len(cleaned) == len(text)
    assert "\0" not in cleaned
    assert has_halves(text) == any("\ud800" <= letter <= "\udfff" for letter in text)
    wrong = [old for old, new in zip(text, cleaned, strict=True) if old != new]
    assert all(letter == "\0" or has_halves(letter) for letter in wrong)
    assert (cleaned is text) == (not wrong)


def test_half_a_letter_is_refused_before_anything_is_encoded(embedded_encoder: Encoder) -> None:
    for encode in (embedded_encoder.encode_query, embedded_encoder.encode_document):
        with pytest.raises(
            InputError, match="half a surrogate pair in the text at position 1, which begins with 'beach"
        ):
            encode(["sea", "beach \ud83d"])
