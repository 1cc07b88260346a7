"""Pictures from a browser: checked before they are decoded, made small while they are, a few at a time."""

from __future__ import annotations

import base64
import binascii
import contextlib
import ctypes
import io
import re
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import BusyError, InputError
from engine.reading.apart import Parser

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP")
PDF = "data:application/pdf;base64,"
MOST_BYTES = 8_000_000
MOST_PIXELS = 40_000_000
LEAST_SIDE = 8
SIDES = f"Expected a picture of {LEAST_SIDE} pixels a side or more and at most {MOST_PIXELS:,} in all"
KEPT = 2048  # pixels of the longer side that a model and a page get
STRIP = 128  # rows of the small picture that are made at once
AT_ONCE, MOST_WAITING = 1, 12  # pictures in work, and in line for it


class Turns:
    """Who may work on a picture: a few at a time, some in line, and the others are told to come back."""

    def __init__(self) -> None:
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._places = threading.BoundedSemaphore(AT_ONCE + MOST_WAITING)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn and take it; what was freed in it goes back to the system.

        Raises:
            BusyError: the line is full.
        """
        if not self._places.acquire(blocking=False):
            raise BusyError(f"{AT_ONCE + MOST_WAITING} pictures are being read or wait: try again in a minute.")
        try:
            with self._turns:
                try:
                    yield
                finally:
                    give_back()
        finally:
            self._places.release()


def give_back() -> None:
    """Hand freed memory back to the system, where the C library would keep it (glibc does after large pictures)."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def read_image(data: Any) -> Image:
    """A picture that a browser sent, checked before it is decoded.

    Args:
        data: A data URL.

    Returns:
        The picture, RGB, its longer side at most `KEPT` pixels: a larger one is made smaller by averaging.

    Raises:
        InputError: no picture, another format, or too large.
    """
    from PIL import Image, UnidentifiedImageError

    head, comma, body = data.partition(",") if isinstance(data, str) else ("", "", "")
    if not comma or not re.fullmatch(r"data:image/[\w.+-]+;base64", head):
        raise InputError("There is no picture yet: choose a PNG, JPEG or WebP file.")
    if len(body) > MOST_BYTES * 4 / 3 + 4:
        raise InputError(f"Expected a picture of at most {MOST_BYTES // 1_000_000} MB: save it smaller.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(base64.b64decode(body, validate=True)), formats=FORMATS)
        if image.width * image.height > MOST_PIXELS or min(image.size) < LEAST_SIDE:
            raise InputError(f"{SIDES}, got {image.width} by {image.height}: resize it.")
        with image:
            return _small(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(f"{SIDES}, got many more: resize it.") from None
    except (UnidentifiedImageError, binascii.Error, OSError, ValueError, SyntaxError):
        raise InputError("This is no picture that can be read: choose a PNG, JPEG or WebP file.") from None


def _small(image: Image) -> Image:
    """Decode and make smaller; beside the decoded picture only one strip of it exists in colours."""
    from PIL import Image

    image.draft("RGB", (KEPT, KEPT))  # a JPEG is decoded at a fraction of its size
    image.load()
    factor = -(-max(image.size) // KEPT)
    if factor == 1:
        return image.convert("RGB")
    small = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    for top in range(0, small.height, STRIP):
        below = min((top + STRIP) * factor, image.height)
        strip = image.crop((0, top * factor, image.width, below)).convert("RGB")
        small.paste(strip.reduce(factor), (0, top))
    return small


def read_page(data: Any, page: Any) -> tuple[Image, int, int]:
    """A picture that a browser sent, or a page of a PDF that it sent, drawn by a process of its own under limits.

    Args:
        data: A data URL.
        page: Which page of a PDF, from 1; a picture has one.

    Returns:
        The picture, RGB; the page, and how many the file has: 1 of 1 for a picture.

    Raises:
        InputError: no picture or PDF, no such page, or too large.
        MissingExtraError: the library that draws PDF files is not installed.
    """
    if not isinstance(data, str) or not data.startswith(PDF):
        return read_image(data), 1, 1
    number = page if isinstance(page, int) and not isinstance(page, bool) else 1
    body = data[len(PDF) :]
    if len(body) > MOST_BYTES * 4 / 3 + 4:
        raise InputError(f"Expected a PDF of at most {MOST_BYTES // 1_000_000} MB: send fewer of its pages.")
    try:
        content = base64.b64decode(body, validate=True)
    except binascii.Error:
        raise InputError("This is no PDF that can be read: choose the file again.") from None
    with tempfile.TemporaryDirectory() as folder, Parser() as parser:
        path = Path(folder) / "sent.pdf"
        path.write_bytes(content)
        count = parser.page_count(path, "The PDF")
        drawn = parser.picture(path, number, KEPT, "The PDF")
    return read_image("data:image/png;base64," + base64.b64encode(drawn).decode()), number, count
