"""Pictures to TokenEmbeddings with a model that reads them, such as ColPali or ColQwen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.encoder import Encoder
from engine.errors import InputError, UnsupportedError

if TYPE_CHECKING:
    from PIL.Image import Image

AT_ONCE = 4  # pictures of a batch: each is a thousand patches and more


def check_reads_images(encoder: Encoder) -> None:
    """Refuse a model that takes no pictures, before one is decoded for it.

    Args:
        encoder: A model.

    Raises:
        UnsupportedError: it reads text only.
    """
    if "image" not in getattr(encoder.model, "modalities", ()):
        raise UnsupportedError(
            f"Model {encoder.name!r} reads text only: name a ColPali-style model, or print a text on a page."
        )


def encode_pictures(
    encoder: Encoder, pictures: Iterable[Image], progress: Callable[[int], None] | None = None
) -> TokenEmbeddings:
    """Encode pictures as documents: one vector a patch, and those of the tokens that the model puts around them.

    Args:
        encoder: A model that reads images.
        pictures: n pictures, RGB; they are taken a few at a time.
        progress: Called with the pictures done.

    Returns:
        n documents, float32 (float16 when the model computes in 16 bits).

    Raises:
        UnsupportedError: the model reads text only.
        InputError: a picture whose vectors are not finite.
    """
    check_reads_images(encoder)
    model: Any = encoder.model
    storage = np.float32 if encoder.dtype == "float32" else np.float16
    found: list[np.ndarray] = []
    batch: list[Image] = []

    def encode(some: Sequence[Image]) -> None:
        vectors = model.encode_document(list(some), convert_to_numpy=True, batch_size=AT_ONCE)
        found.extend(np.asarray(array, np.float32).astype(storage) for array in vectors)
        if progress is not None:
            progress(len(found))

    for picture in pictures:
        batch.append(picture)
        if len(batch) == AT_ONCE:
            encode(batch)
            batch = []
    if batch:
        encode(batch)
    if not found:
        raise InputError("Expected at least one picture, got none: nothing can be encoded.")
    joined = TokenEmbeddings.from_list(found, encoder.fingerprint, dim=encoder.dim)
    joined.check([f"picture {number}" for number in range(len(found))])
    return replace(joined, added=encoder.added)
