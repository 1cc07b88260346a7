"""Where a document stands in a longer one: its neighbours, and the picture of its page."""

from __future__ import annotations

import base64
from typing import Any

from apps.text import visible
from engine import Collection
from engine.errors import InputError, NotFoundError
from engine.reading.apart import Limits, Parser

WIDTH = 900  # pixels of a page's picture
LIMITS = Limits(seconds=20.0)


def place_of(collection: Collection, name: str) -> dict[str, Any] | None:
    """What a page says of the place of a document.

    Args:
        collection: It.
        name: The document.

    Returns:
        "told" (the whole, page and passage), "before" and "after" (ids or None) and "picture" (whether there is one);
        None for a document that is no part of a longer one.
    """
    part = collection.parts.get(name)
    if part is None:
        return None
    before, after = collection.neighbours(name)
    return {"told": visible(str(part)), "before": before, "after": after, "picture": _has_picture(collection, name)}


def _has_picture(collection: Collection, name: str) -> bool:
    part = collection.parts.get(name)
    return part is not None and part.page is not None and collection.folder is not None


def page_picture(collection: Collection, name: str) -> str:
    """The picture of the page that a document stands on, as an address that holds it.

    Args:
        collection: Its `folder` holds the file.
        name: The document.

    Returns:
        A data address of a PNG.

    Raises:
        NotFoundError: it stands on no page of a file, or the file is gone.
        InputError: the page cannot be drawn within the limits.
    """
    if not _has_picture(collection, name) or collection.folder is None:
        raise NotFoundError(f"{name!r} is no page of a PDF: there is no picture of it.")
    part, folder = collection.parts[name], collection.folder.resolve()
    path = (folder / part.document).resolve()
    if not path.is_relative_to(folder) or path.suffix.lower() != ".pdf" or not path.is_file() or part.page is None:
        raise NotFoundError(f"The file {part.document!r} is not where it was: bring it again.")
    with Parser(LIMITS) as parser:
        try:
            content = parser.picture(path, part.page, WIDTH, part.document)
        except InputError as error:
            raise InputError(visible(str(error))) from None
    return "data:image/png;base64," + base64.b64encode(content).decode()
