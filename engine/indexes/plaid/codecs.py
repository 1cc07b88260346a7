"""The codecs, by bits of a residual value."""

from __future__ import annotations

from engine.indexes.plaid.codec import Codec
from engine.indexes.plaid.half import HalfCodec
from engine.indexes.plaid.residual import ResidualCodec

CODECS: dict[int, type[Codec]] = {1: ResidualCodec, 2: ResidualCodec, 4: ResidualCodec, 8: ResidualCodec, 16: HalfCodec}


def codec_class(bits: int) -> type[Codec]:
    """The codec of `PlaidSettings.bits`."""
    return CODECS[bits]
