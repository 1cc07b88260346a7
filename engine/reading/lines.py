"""Files as lines of text: compressed or not, in UTF-8 or what else people save texts in."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from engine.errors import InputError, NotFoundError

MARKS = (  # the longer marks first: that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
HEAD = 4096  # bytes that tell how a file is encoded
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the system says about a file into a sentence.

    Raises:
        NotFoundError: there is no such file.
        InputError: it cannot be read or unpacked.
    """
    try:
        yield
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {path}: give one that exists.") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"{path} cannot be read ({reason}): give a readable, complete file.") from None


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, unpacked if it is gzip; the content decides, not the name.

    Raises:
        InputError: another archive.
    """
    with path.open("rb") as stream:
        start = stream.peek(4)[:4]
        if start.startswith(ZIP):
            raise InputError(f"{path} is a zip archive: unpack it first.")
        if start.startswith(GZIP):
            with gzip.GzipFile(fileobj=stream) as unpacked:
                yield cast(IO[bytes], unpacked)
        else:
            yield stream


class Lines:
    """The lines of a text file; after the last one, `notes` says what was guessed or replaced.

    Lines end at a line feed, or at a carriage return where the file begins with no line feed at all; other separators
    of Unicode are text. A byte order mark names the encoding, zeros at every second byte mean UTF-16, all else is
    UTF-8; a line that is not is Windows-1252, or UTF-8 with damage where it holds letters that only UTF-8 has.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guessed: list[int] = []
        self._damaged: list[int] = []

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Yield (number, line with its end), counted from 1."""
        with reading(self.path), open_bytes(self.path) as stream:
            head = stream.peek(HEAD)[:HEAD]  # type: ignore[attr-defined]
            encoding = _encoding(head, self.path)
            if encoding != "utf-8":
                wrapped = io.TextIOWrapper(cast(IO[bytes], stream), encoding, errors="replace", newline="\n")
                for number, text in enumerate(wrapped, start=1):
                    if "\ufffd" in text:
                        self._damaged.append(number)
                    yield number, text
                return
            returns = b"\r" in head and b"\n" not in head
            for number, line in enumerate(_cut(stream) if returns else stream, start=1):
                try:
                    text = line.decode("utf-8")
                except UnicodeDecodeError:
                    text = self._repaired(line, number)
                yield number, text.lstrip("\ufeff") if number == 1 else text

    def _repaired(self, line: bytes, number: int) -> str:
        text = line.decode("utf-8", "replace")
        if any(letter > "\x7f" and letter != "\ufffd" for letter in text):
            self._damaged.append(number)
            return text
        self._guessed.append(number)
        try:
            return line.decode("cp1252")
        except UnicodeDecodeError:
            return line.decode("latin-1")

    def text(self) -> str:
        """The whole text."""
        return "".join(line for _, line in self)

    @property
    def notes(self) -> list[str]:
        """Sentences about what was guessed or replaced so far."""
        name, found = self.path.name, []
        if self._guessed:
            found.append(
                f"{name} is not UTF-8 in {len(self._guessed)} lines, first line {self._guessed[0]}: they were read as "
                "Windows-1252, save the file as UTF-8 if letters are wrong"
            )
        if self._damaged:
            found.append(
                f"{len(self._damaged)} lines of {name} hold damaged letters, first line {self._damaged[0]}: they were "
                "replaced by U+FFFD"
            )
        return found


def _cut(stream: IO[bytes]) -> Iterator[bytes]:
    for line in stream:
        yield from line.splitlines(keepends=True)


def _encoding(head: bytes, path: Path) -> str:
    marked = next((encoding for mark, encoding in MARKS if head.startswith(mark)), None)
    if marked is not None:
        return marked
    pairs = max(len(head) // 2, 1)
    first, second = head[0::2].count(0) / pairs, head[1::2].count(0) / pairs
    if second > 0.4 and first < 0.1:
        return "utf-16-le"
    if first > 0.4 and second < 0.1:
        return "utf-16-be"
    if first + second > 0.4:
        raise InputError(f"{path} is no text (most of its bytes are zeros or binary): save it as UTF-8 text.")
    return "utf-8"
