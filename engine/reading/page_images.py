"""Pages as pictures: ViDoRe's datasets, PDF files, and folders of pictures, each page drawn when it is asked for."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.collection import Collection, Part
from engine.errors import InputError, NotFoundError
from engine.letters import clean
from engine.reading.apart import Limits, Parser
from engine.reading.assembly import assemble
from engine.reading.hub import rows_of
from engine.reading.judgements import Judgements
from engine.reading.lines import reading
from engine.reading.texts import Texts

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
WIDTH = 1240  # pixels of a PDF's page: A4 at 150 to the inch
MOST_PIXELS = 100_000_000  # of a picture


@dataclass(frozen=True, eq=False)
class Pages:
    """Pages to search, as pictures.

    Args:
        collection: What is asked and judged of them; the text of a document is what the page is called.
        draw: The picture of a document by its id, RGB.
    """

    collection: Collection
    draw: Callable[[str], Image]

    def pictures(self) -> list[Image]:
        """All pictures, in the order of the documents."""
        return [self.draw(name) for name in self.collection.documents]


def read_vidore(name: str, split: str = "test", language: str | None = None) -> Pages:
    """A dataset in the layout of ViDoRe: configurations corpus (with pictures), queries and qrels.

    Args:
        name: "owner/name" on the hub, or a folder.
        split: Of all three.
        language: Only queries of this language, where the queries say theirs.

    Returns:
        Its pages.

    Raises:
        NotFoundError: it is not cached and cannot be fetched.
        InputError: it has no such language, or is of another layout.
    """
    corpus, asked, judged = (rows_of(name, part, split) for part in ("corpus", "queries", "qrels"))
    for rows, columns in ((corpus, ("corpus-id", "image")), (asked, ("query-id", "query"))):
        missing = [column for column in columns if column not in rows.column_names]
        if missing:
            raise InputError(
                f"{name!r} is not in the layout of ViDoRe: it lacks the column {missing[0]!r}, it has "
                f"{', '.join(rows.column_names)}."
            )
    if language is not None:
        known = sorted(set(asked["language"])) if "language" in asked.column_names else []
        if language not in known:
            raise InputError(f"{name!r} has no queries in {language!r}: choose among {', '.join(known) or 'none'}.")
        asked = [row for row in asked if row["language"] == language]
    places = {str(number): place for place, number in enumerate(corpus["corpus-id"])}
    documents, queries, judgements = Texts("pages"), Texts("queries"), Judgements()
    for number in places:
        documents.add(number, None, f"page {number}", f"A page of {name}")
    for row in asked:
        queries.add(str(row["query-id"]), None, row["query"], f"A query of {name}")
    for row in judged:
        if str(row["query-id"]) in queries.texts:
            judgements.add(str(row["query-id"]), str(row["corpus-id"]), row["score"], f"A judgement of {name}")

    def draw(page: str) -> Image:
        return _picture(corpus[places[page]]["image"])

    return Pages(assemble(Path(name).name, documents, queries, judgements), draw)


def read_pages(path: str | Path, width: int = WIDTH, limits: Limits | None = None) -> Pages:
    """The pages of a PDF file, or of a folder of PDF files and pictures.

    A PDF is drawn by a process of its own under limits, as its texts are read.

    Args:
        path: The file or folder.
        width: Pixels of a PDF's page.
        limits: Of each file.

    Returns:
        Its pages: "report.pdf#p3", or the name of a picture.

    Raises:
        NotFoundError: there is no such file.
        InputError: a folder without pages, or a file that cannot be drawn.
        MissingExtraError: the library that draws PDF files is not installed.
    """
    root = Path(path)
    with reading(root):
        root.stat()
    files = sorted(entry for entry in root.rglob("*") if entry.is_file()) if root.is_dir() else [root]
    chosen = [file for file in files if file.suffix.lower() in (".pdf", *PICTURES)]
    if not chosen:
        raise InputError(f"{path} holds no PDF files and no pictures ({', '.join(PICTURES)}): give another.")
    documents, parts, places = Texts("pages"), {}, {}
    base = root if root.is_dir() else root.parent
    with Parser(limits) as parser:
        for file in chosen:
            name = clean(str(file.relative_to(base)))
            count = parser.page_count(file, name) if file.suffix.lower() == ".pdf" else 0
            for page in range(1, count + 1):
                key = f"{name}#p{page}"
                documents.add(key, None, f"{name}, page {page} of {count}", name)
                parts[key], places[key] = Part(name, page, count), (file, page)
            if not count:
                documents.add(name, None, name, name)
                places[name] = (file, 0)
    made = assemble(root.name, documents, folder=base)
    return Pages(Collection(made.documents, name=made.name, parts=parts, folder=base), _drawer(places, width, limits))


def _drawer(places: Mapping[str, tuple[Path, int]], width: int, limits: Limits | None) -> Callable[[str], Image]:
    def draw(key: str) -> Image:
        if key not in places:
            raise NotFoundError(f"There is no page {key!r}: take one of the collection.")
        file, page = places[key]
        if not page:
            return _picture({"bytes": file.read_bytes()}, str(file))
        with Parser(limits) as parser:
            return _picture({"bytes": parser.picture(file, page, width, key)})

    return draw


def _picture(value: Any, name: str = "a page") -> Image:
    """A picture as RGB, from what a dataset or a file holds.

    Raises:
        InputError: it is no picture, or too large.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = value if isinstance(value, Image.Image) else Image.open(io.BytesIO(value["bytes"]))
        if image.width * image.height > MOST_PIXELS:
            raise InputError(f"{name} has {image.width} by {image.height} pixels: resize it.")
        return image.convert("RGB")
    except (UnidentifiedImageError, OSError, TypeError, KeyError, Image.DecompressionBombError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{name} is no picture that can be read ({reason}): save it again as PNG.") from None
