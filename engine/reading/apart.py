"""Files that a library must parse, read in a process of its own with limits: what they do, they do to it alone."""

from __future__ import annotations

import base64
import json
import queue
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.errors import InputError, missing_extra
from engine.letters import clean
from engine.reading.lines import GZIP, reading

PAPERS = {".pdf": "pdf", ".html": "html", ".htm": "html", ".xhtml": "html", ".docx": "docx"}
PACKAGES = {"pdf": "pypdfium2", "html": "selectolax", "docx": "mammoth"}
EXTRA = "files"
SCRIPT = Path(__file__).with_name("parsers.py")
LOOK = 0.05  # seconds between two looks at what the process takes


@dataclass(frozen=True)
class Limits:
    """What one file may take.

    Args:
        bytes: Of the file.
        unpacked: Bytes of what a .docx file packs.
        pages: Of a PDF.
        characters: Of its text.
        seconds: Of reading it.
        memory: Bytes that its process holds.
    """

    bytes: int = 500_000_000
    unpacked: int = 500_000_000
    pages: int = 10_000
    characters: int = 50_000_000
    seconds: float = 120.0
    memory: int = 2_000_000_000


@dataclass(frozen=True)
class Paper:
    """What a file holds.

    Args:
        pages: The text of each page; one where the format knows no pages.
        title: What the file calls itself, or "".
        paged: Whether the pages are those of the file.
    """

    pages: list[str]
    title: str = ""
    paged: bool = False


def paper_kind(path: Path) -> str | None:
    """The kind of parser for a file by its suffix, or None."""
    return PAPERS.get(path.suffix.lower())


def check_installed(kind: str) -> None:
    """Raise MissingExtraError where the library that reads a kind is not there."""
    package = PACKAGES[kind]
    if find_spec(package) is None or (kind == "docx" and find_spec(PACKAGES["html"]) is None):
        raise missing_extra(package, EXTRA)


class Parser:
    """A process that reads files; it is started when it is first needed, and again after a file has ended it.

    Args:
        limits: Of each file.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def __enter__(self) -> Parser:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def read(self, path: Path, name: str | None = None) -> Paper:
        """Read a file.

        Args:
            path: A file of one of `PAPERS`.
            name: What sentences call it; the path when None.

        Returns:
            Its text.

        Raises:
            MissingExtraError: the library for it is not installed.
            NotFoundError: there is no such file.
            InputError: it passes a limit, is encrypted or damaged, or holds no text.
        """
        kind, called = PAPERS[path.suffix.lower()], name or str(path)
        check_installed(kind)
        with reading(path):
            size = path.stat().st_size
            with path.open("rb") as stream:
                packed = stream.read(2) == GZIP
        if packed:
            raise InputError(f"{called} is compressed by gzip: unpack it first.")
        if size > self.limits.bytes:
            raise InputError(
                f"{called} has {size / 1e6:,.0f} MB, more than the {self.limits.bytes / 1e6:,.0f} that are read: "
                "split it."
            )
        found = self._ask({"kind": kind, "path": str(path.absolute())}, called)
        return Paper([clean(page) for page in found["pages"]], clean(found.get("title", "")), kind == "pdf")

    def picture(self, path: Path, page: int, width: int = 900, name: str | None = None) -> bytes:
        """A page of a PDF as PNG.

        Args:
            path: The file.
            page: From 1.
            width: Pixels.
            name: What sentences call it; the path when None.

        Returns:
            The picture.

        Raises:
            MissingExtraError: the library for it is not installed.
            InputError: it cannot be drawn within the limits.
        """
        check_installed("pdf")
        wanted = {"kind": "picture", "path": str(path.absolute()), "page": page, "width": width}
        return base64.b64decode(self._ask(wanted, name or str(path))["png"])

    def page_count(self, path: Path, name: str | None = None) -> int:
        """How many pages a PDF has, whether or not they hold text.

        Args:
            path: The file.
            name: What sentences call it; the path when None.

        Returns:
            The number of its pages.

        Raises:
            MissingExtraError: the library for it is not installed.
            InputError: it cannot be opened within the limits.
        """
        check_installed("pdf")
        return self._ask({"kind": "page_count", "path": str(path.absolute())}, name or str(path))["count"]

    def end(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None

    def _ask(self, request: dict[str, Any], name: str) -> dict[str, Any]:
        limits = self.limits
        parts = {"pages": limits.pages, "characters": limits.characters, "unpacked": limits.unpacked}
        process = self._started()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(parts | request) + "\n")
            process.stdin.flush()
            found = json.loads(self._answer(process, name))
        except BaseException:
            self.end()  # also for Ctrl-C: an answer that nobody waits for must not meet the next request
            raise
        if "refused" in found:
            raise InputError(f"{name} {found['refused']}.")
        if "broken" in found:
            raise InputError(f"{name} cannot be read ({found['broken']}): save it again, or in another format.")
        return found

    def _answer(self, process: subprocess.Popen[str], name: str) -> str:
        """The line that the process writes, unless it ends or passes a limit before."""
        import psutil

        limits, begun = self.limits, time.monotonic()
        while True:
            ended = process.poll() is not None
            try:
                line = self._answers.get(timeout=LOOK)
            except queue.Empty:
                line = "" if ended else None
            if line:
                return line
            if line is not None:
                raise InputError(f"{name} ended the process that read it: save it again, or in another format.")
            if time.monotonic() - begun > limits.seconds:
                raise InputError(f"{name} could not be read within {limits.seconds:g} seconds: split it.")
            try:
                held = psutil.Process(process.pid).memory_info().rss
            except psutil.Error:
                continue  # it has just ended
            if held > limits.memory:
                raise InputError(f"{name} takes more than {limits.memory / 1e9:g} GB of memory to be read: split it.")

    def _started(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.end()
        process = subprocess.Popen(
            [sys.executable, "-X", "utf8", str(SCRIPT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8",
        )  # fmt: skip
        answers: queue.Queue[str] = queue.Queue()

        def listen() -> None:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    answers.put(line)
            except ValueError:
                pass  # closed by `end`
            answers.put("")

        threading.Thread(target=listen, daemon=True).start()
        self._process, self._answers = process, answers
        return process
