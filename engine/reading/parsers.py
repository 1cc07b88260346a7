"""PDF, HTML and .docx files as text, and pages as pictures: a script that `engine.reading.apart` runs by itself.

It reads one request a line from standard input and answers each by one line, both JSON. It imports nothing of this
project, so that it starts at once, and whoever asks may end it at any moment: what a hostile file does, it does here.
"""

from __future__ import annotations

import base64
import codecs
import io
import json
import os
import re
import sys
import zipfile
from collections.abc import Callable
from typing import Any

BREAK, LINE, CELL = "\x1d", "\x1e", "\x1f"  # where blocks, lines and cells of a table end, while spaces are joined
BLOCKS = (
    "p,div,section,article,main,aside,header,footer,h1,h2,h3,h4,h5,h6,ul,ol,dl,table,blockquote,pre,figure,figcaption,"
    "form,fieldset,address,details,summary,hr"
)
LINES = "li,tr,dt,dd,br,caption,option"
UNSEEN = ["script", "style", "noscript", "template", "svg", "iframe", "object", "nav", "head"]
SPOKEN = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)  # the encoding that HTML names
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
HEAD = 4096  # bytes in which HTML names its encoding
HYPHEN = re.compile("[\x02\ufffe]\\s*")  # how PDFium writes a hyphen at the end of a line
TALLEST = 4  # a picture's height over its width, at most


class Refused(Exception):
    """What is wrong with the file, as the end of a sentence that begins with its name."""


def pdf(request: dict[str, Any]) -> dict[str, Any]:
    """The text of each page."""
    with _opened(request) as document:
        count = len(document)
        if count > request["pages"]:
            raise Refused(f"has {count:,} pages, more than the {request['pages']:,} that are read: split it")
        pages, size = [], 0
        for number in range(count):
            text = HYPHEN.sub("", document[number].get_textpage().get_text_bounded()).replace("\r\n", "\n")
            size += len(text)
            _check_length(size, request)
            pages.append(text)
    if not any(page.strip() for page in pages):
        raise Refused("holds no text, only pictures of its pages: run text recognition (OCR) on it first")
    return {"pages": pages}


def picture(request: dict[str, Any]) -> dict[str, Any]:
    """One page of a PDF as PNG."""
    with _opened(request) as document:
        if not 1 <= request["page"] <= len(document):
            raise Refused(f"has no page {request['page']}, it has {len(document)}")
        page = document[request["page"] - 1]
        width, height = page.get_size()
        scale = min(request["width"] / max(width, 1), TALLEST * request["width"] / max(height, 1))
        stream = io.BytesIO()
        page.render(scale=scale).to_pil().save(stream, "png")
    return {"png": base64.b64encode(stream.getvalue()).decode()}


def page_count(request: dict[str, Any]) -> dict[str, Any]:
    """How many pages a PDF has, whether or not they hold text."""
    with _opened(request) as document:
        count = len(document)
    if count > request["pages"]:
        raise Refused(f"has {count:,} pages, more than the {request['pages']:,} that are read: split it")
    return {"count": count}


def _opened(request: dict[str, Any]) -> Any:
    import pypdfium2

    try:
        return pypdfium2.PdfDocument(request["path"])
    except pypdfium2.PdfiumError as error:
        if "assword" in str(error) or "ecurity" in str(error):
            raise Refused("is encrypted: save it without a password") from None
        raise


def html(request: dict[str, Any]) -> dict[str, Any]:
    """Title and text of an HTML file; of its main part where it marks one."""
    with open(request["path"], "rb") as stream:
        return _html(_decoded(stream.read()), request)


def _decoded(content: bytes) -> str:
    marked = next((name for mark, name in MARKS if content.startswith(mark)), None)
    spoken = SPOKEN.search(content[:HEAD])
    named = marked or (spoken.group(1).decode("ascii", "replace") if spoken else "utf-8")
    if named.lower() in ("iso-8859-1", "latin1", "latin-1", "ascii", "us-ascii"):
        named = "cp1252"  # as browsers read these
    for encoding in dict.fromkeys((named, "utf-8", "cp1252")):
        try:
            return content.decode(encoding)
        except (LookupError, ValueError):
            continue
    return content.decode("latin-1")


def _html(content: str, request: dict[str, Any]) -> dict[str, Any]:
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(content)
    title = tree.css_first("title")
    title = " ".join(title.text().split()) if title is not None else ""
    tree.strip_tags(UNSEEN)
    for element in tree.css("pre"):
        for node in list(element.traverse(include_text=True)):
            if node.tag == "-text":
                node.replace_with(node.text(deep=False).replace("\n", LINE))
    for element in tree.css("td > p:only-child,th > p:only-child"):
        element.unwrap()  # a cell of one paragraph, as word processors write them, is one cell of its row
    for selector, mark in ((BLOCKS, BREAK), (LINES, LINE), ("td,th", CELL)):
        for element in tree.css(selector):
            element.insert_before(mark)
            element.insert_after(mark)
    places = [*tree.css("main,[role=main]"), *([tree.body] if tree.body is not None else [])]
    text = next((text for place in places if (text := _tidy(place.text(deep=True)))), "")
    _check_length(len(text), request)
    if not text:
        raise Refused("holds no text")
    return {"title": title, "pages": [text]}


def _tidy(text: str) -> str:
    """Blocks with an empty line between them, cells of a table with a tab, other spaces joined."""
    blocks = []
    for block in text.split(BREAK):
        lines = ["\t".join(" ".join(c.split()) for c in line.split(CELL) if c.strip()) for line in block.split(LINE)]
        blocks.append("\n".join(line for line in lines if line))
    return "\n\n".join(block for block in blocks if block)


def docx(request: dict[str, Any]) -> dict[str, Any]:
    """The text of a .docx file; what was deleted with its changes recorded is left out."""
    import mammoth

    try:
        with zipfile.ZipFile(request["path"]) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if "word/document.xml" not in archive.namelist():
                raise Refused("is no .docx document: save it again as one")
    except zipfile.BadZipFile:
        with open(request["path"], "rb") as stream:
            encrypted = stream.read(8) == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # Word wraps what it encrypts like this
        if encrypted:
            raise Refused("is encrypted, or in the format of old: save it as .docx without a password") from None
        raise
    if size > request["unpacked"]:
        raise Refused(f"unpacks to {size / 1e6:,.0f} MB, more than {request['unpacked'] / 1e6:,.0f}: split it")
    no_picture = mammoth.images.img_element(lambda image: {"src": ""})
    with open(request["path"], "rb") as stream:
        return _html(mammoth.convert_to_html(stream, convert_image=no_picture).value, request) | {"title": ""}


def _check_length(length: int, request: dict[str, Any]) -> None:
    if length > request["characters"]:
        raise Refused(f"holds more than {request['characters']:,} characters of text: split it")


KINDS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "pdf": pdf, "html": html, "docx": docx, "picture": picture, "page_count": page_count,
}  # fmt: skip


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What one request gives, or why it gives nothing: "refused" ends a sentence, "broken" is what a library said."""
    try:
        return KINDS[request["kind"]](request)
    except Refused as error:
        return {"refused": str(error)}
    except MemoryError:
        return {"broken": "it needs more memory than there is"}
    except Exception as error:  # parsers raise anything on what is no file of their kind
        return {"broken": (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(". ")}


def main() -> None:
    """Answer requests until there are none."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin:
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != os.path.dirname(os.path.abspath(__file__))]
    sys.setrecursionlimit(3000)
    main()
