"""PDF, HTML and .docx files that tests make themselves, good ones and hostile ones."""

from __future__ import annotations

import ctypes
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def write_pdf(path: Path, pages: Sequence[Sequence[str]]) -> Path:
    """A PDF with lines of text on each page; a page without lines has no text layer."""
    import pypdfium2
    from pypdfium2 import raw

    document = pypdfium2.PdfDocument.new()
    for lines in pages:
        page: Any = document.new_page(595, 842)
        for number, line in enumerate(lines):
            content = (line + "\0").encode("utf-16-le")
            buffer = ctypes.create_string_buffer(content, len(content))
            text = raw.FPDFPageObj_NewTextObj(document, b"Helvetica", 12.0)
            raw.FPDFText_SetText(text, ctypes.cast(buffer, raw.FPDF_WIDESTRING))
            raw.FPDFPageObj_Transform(text, 1, 0, 0, 1, 60, 780 - 16 * number)
            raw.FPDFPage_InsertObject(page, text)
        page.gen_content()
    document.save(path)
    return path


def write_bare_pdf(path: Path, count: int, extra: str = "") -> Path:
    """A small PDF by hand whose page tree says that it has `count` pages, with anything added to its trailer."""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [3 0 R] /Count {count} >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] >>",
        "<< /Filter /Standard /V 1 /R 2 /O <" + "28" * 32 + "> /U <" + "00" * 32 + "> /P -4 >>",
    ]
    content, places = "%PDF-1.4\n", []
    for number, entry in enumerate(objects, start=1):
        places.append(len(content))
        content += f"{number} 0 obj\n{entry}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    content += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    content += f"trailer\n<< /Root 1 0 R /Size {len(objects) + 1} /ID [<00><00>] {extra} >>\nstartxref\n"
    start = content.index("xref\n")
    path.write_text(f"{content}{start}\n%%EOF\n", encoding="latin-1")
    return path


def write_encrypted_pdf(path: Path) -> Path:
    """A PDF that opens with a password only."""
    return write_bare_pdf(path, 1, "/Encrypt 4 0 R")


def write_docx(path: Path, paragraphs: Sequence[str], table: Sequence[Sequence[str]] = ()) -> Path:
    """A .docx file with paragraphs and a table."""
    import docx

    document = docx.Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    if table:
        cells = document.add_table(len(table), len(table[0]))
        for row, texts in enumerate(table):
            for column, text in enumerate(texts):
                cells.cell(row, column).text = text
    document.save(str(path))
    return path


def write_bomb(path: Path, size: int) -> Path:
    """A .docx file that is small and unpacks to `size` bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"0" * size)
    return path


def packed(content: bytes, name: str = "word/document.xml") -> bytes:
    """A zip archive with one entry."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
    return stream.getvalue()
