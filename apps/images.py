"""Late interaction over the patches of a page: an image model's, or words printed on a page when there is none."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from apps.records import rounded
from apps.text import visible, word_groups
from engine import Encoder
from engine.errors import UnsupportedError
from engine.explain import align
from engine.pictures import check_reads_images
from engine.tokens import Token, single_tokens

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN = 1400  # pixels of the longer side that the browser gets
PATCH = 36  # pixels of a printed page's patches; a line of its text is as high
COLUMNS, MOST_ROWS = 20, 26  # patches of a printed page, with a patch of margin on all sides
TYPE = 26  # pixels of its letters
SLIVER = 8  # pixels: less of a word than that does not count as printed on a patch


@dataclass(frozen=True, eq=False)
class Patches:
    """A page cut into patches, each with a vector.

    Args:
        image: The page, RGB.
        vectors: float32 [rows * columns, dim], row by row; a patch with nothing on it is zero.
        columns: Patches across.
        rows: Patches down.
    """

    image: Image
    vectors: np.ndarray
    columns: int
    rows: int


def image_patches(encoder: Encoder, image: Image) -> Patches:
    """Patches of a picture from a ColPali-style model.

    Args:
        encoder: A model that takes images.
        image: RGB.

    Returns:
        Its patches, without the tokens of the prompt.

    Raises:
        UnsupportedError: the model takes no images, or its patches are in no plain grid.
    """
    from sentence_transformers.multi_vector_encoder.interpretability import get_n_patches

    check_reads_images(encoder)
    model: Any = encoder.model
    try:
        columns, rows = get_n_patches(model, image.size)
    except (NotImplementedError, ValueError):
        raise UnsupportedError(
            f"The patches of model {encoder.name!r} lie in no plain grid, so no map can be drawn: choose a ColPali or "
            "ColQwen model."
        ) from None
    features = model.preprocess([image], task="document")
    ours = (features["input_ids"][0] == model.processor.image_token_id).cpu().numpy()
    vectors = np.asarray(model.encode_document([image], convert_to_numpy=True)[0], np.float32)
    if len(vectors) == len(ours):  # a model may already keep the patches only
        vectors = vectors[ours]
    if len(vectors) != columns * rows:
        raise UnsupportedError(f"Expected {columns} by {rows} patches, the model gave {len(vectors)}: choose another.")
    return Patches(image, vectors, columns, rows)


def printed_page(encoder: Encoder, text: str) -> Patches:
    """A text printed on a page, whose patches carry the vectors of the words printed on them.

    No image model is involved: it shows how late interaction over patches works, with vectors that mean something.

    Args:
        encoder: A text model.
        text: What is printed; what does not fit is left out.

    Returns:
        The patches.
    """
    from PIL import Image, ImageDraw, ImageFont

    placed = single_tokens(encoder.tokens(text, "document"))
    vectors = encoder.encode_document([text])[0][[position for position, _ in placed]].astype(np.float32)
    tokens = [token for _, token in placed]
    font = ImageFont.load_default(TYPE)
    words = list(_set_in_lines(text, tokens, font.getlength))
    rows = 2 + max((row for _, _, row, _ in words), default=1)
    image = Image.new("RGB", (COLUMNS * PATCH, rows * PATCH), "white")
    pen = ImageDraw.Draw(image)
    sums = np.zeros((rows, COLUMNS, vectors.shape[1]), np.float32)
    for group, left, row, word in words:
        pen.text((left, row * PATCH + (PATCH - TYPE) // 3), word, fill="#1d232b", font=font)
        right, vector = left + font.getlength(word), vectors[group].mean(axis=0)
        for column in range(int(left) // PATCH, min(int(right) // PATCH, COLUMNS - 1) + 1):
            overlap = min(right, (column + 1) * PATCH) - max(left, column * PATCH)
            if overlap >= min(SLIVER, right - left):
                sums[row, column] += overlap * vector
    lengths = np.linalg.norm(sums, axis=2, keepdims=True)
    unit = np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 0)
    return Patches(image, unit.reshape(rows * COLUMNS, -1), COLUMNS, rows)


def _set_in_lines(
    text: str, tokens: Sequence[Token], width: Callable[[str], float]
) -> Iterator[tuple[list[int], float, int, str]]:
    """Words that fit the page: positions of their tokens, pixels from the left, row of patches, and characters."""
    left, row, before = float(PATCH), 1, 0
    for group in word_groups(text, tokens):
        first, last = tokens[group[0]], tokens[group[-1]]
        if first.start < 0:
            continue
        left += width(" ") if first.start > before else 0
        word = visible(text[first.start : last.end])
        if left + width(word) > (COLUMNS - 1) * PATCH:
            left, row = float(PATCH), row + 1
        if row >= MOST_ROWS - 1:
            return
        yield group, left, row, word
        left, before = left + width(word), last.end


def page_record(encoder: Encoder, question: str, patches: Patches) -> dict[str, Any]:
    """What the page draws for one question and one picture.

    Args:
        encoder: The model of the patches.
        question: The query.
        patches: Vectors of the picture's patches, and where they lie.

    Returns:
        The picture as a data URL, the grid, the query tokens, "similarity" [q][patches], "best", "contribution" [q]
        and "score".
    """
    query = encoder.encode_query([question])
    tokens = encoder.tokens(question, "query")
    cells = [Token(f"row {i // patches.columns + 1}, column {i % patches.columns + 1}", -1, -1, "text")
             for i in range(len(patches.vectors))]  # fmt: skip
    alignment = align(query[0], patches.vectors, tokens, cells)
    groups = word_groups(question, tokens)
    return {
        "question": visible(question), "image": _data_url(patches.image), "columns": patches.columns,
        "rows": patches.rows, "score": round(float(alignment.score), 5),
        "query": [{"text": _word(question, tokens, group), "kind": tokens[group[0]].kind} for group in groups],
        "similarity": rounded([alignment.similarity[group].mean(axis=0) for group in groups], 3),
        "best": [sorted({int(alignment.best[i]) for i in group}) for group in groups],
        "contribution": rounded([alignment.contribution[group].sum() for group in groups], 5),
    }  # fmt: skip


def _word(question: str, tokens: Sequence[Token], group: Sequence[int]) -> str:
    first, last = tokens[group[0]], tokens[group[-1]]
    return visible(question[first.start : last.end] if first.start >= 0 else first.text)


def _data_url(image: Image) -> str:
    shown = image.copy()
    shown.thumbnail((SHOWN, SHOWN))
    target = io.BytesIO()
    shown.save(target, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(target.getvalue()).decode("ascii")
