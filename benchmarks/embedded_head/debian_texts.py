"""Questions and answers, glosses and manual pages in Debian's packages: text to train on that no collection shares.

The packages are fetched by name with Debian's own client and unpacked into a folder; nothing of them is installed, run
or kept in the repository.
"""

from __future__ import annotations

import gzip
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.errors import NotFoundError
from workbench.embedded.docstrings import cut

Row = dict[str, str]
MOST_WORDS = 150
FEWEST_WORDS = 8  # of an answer or a gloss


def fetch(package: str, folder: Path) -> Path:
    """Unpack a package of Debian, unless it is there.

    Args:
        package: Its name.
        folder: Where packages are kept.

    Returns:
        The folder of its files.

    Raises:
        NotFoundError: Debian's client is not here, or does not find the package.
    """
    target = folder / package
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{package}"
    try:
        subprocess.run(["apt-get", "download", "-qq", package], cwd=folder, check=True, capture_output=True)
        archive = next(folder.glob(f"{package}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", archive, draft], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError, StopIteration):
        raise NotFoundError(
            f"Debian's package {package!r} cannot be fetched here: run `apt-get update` on a Debian, or leave it out."
        ) from None
    draft.rename(target)
    archive.unlink()
    return target


def rows_of(source: str, folder: Path) -> list[Row]:
    """The pairs of a source.

    Args:
        source: One of SOURCES.
        folder: Where packages are kept.

    Returns:
        Rows with "query" and "positive", each query once.
    """
    package, read = SOURCES[source]
    rows = {}
    for query, positive in read(fetch(package, folder)):
        text = cut(" ".join(positive.split()), MOST_WORDS)
        if query.strip() and len(text.split()) >= FEWEST_WORDS:
            rows.setdefault(" ".join(query.split()), text)
    return [{"query": query, "positive": positive} for query, positive in rows.items()]


def sections_of_html(folder: Path, pattern: str) -> Iterator[tuple[str, str]]:
    """Headings of pages, and the paragraphs below each up to the next."""
    from bs4 import BeautifulSoup, Tag

    headings = {"h1", "h2", "h3", "h4"}
    for path in sorted(folder.rglob(pattern)):
        page = BeautifulSoup(path.read_text(encoding="utf-8", errors="replace"), "lxml")
        for mark in page.find_all("a", class_="headerlink"):
            mark.decompose()
        title, paragraphs = "", []
        for element in page.find_all([*headings, "p"]):
            assert isinstance(element, Tag)
            if element.name in headings:
                yield title, " ".join(paragraphs)
                title, paragraphs = re.sub(r"^[\d.A-Z]*\d[\d.]*\s*", "", _text(element)), []
            else:
                paragraphs.append(_text(element))
        yield title, " ".join(paragraphs)


def _text(element: Any) -> str:
    return re.sub(r"\s+([,.?;:])", r"\1", element.get_text(" ").strip())


def questions_of_pod(folder: Path, pattern: str) -> Iterator[tuple[str, str]]:
    """Headings of Perl's documentation, and the prose below each."""
    for path in sorted(folder.rglob(pattern)):
        for block in re.split(r"^=head[12] ", path.read_text(encoding="utf-8", errors="replace"), flags=re.M)[1:]:
            title, _, rest = block.partition("\n\n")
            prose = [part for part in rest.split("\n\n") if part and part[0] not in " \t="]
            yield _plain_pod(title), _plain_pod(" ".join(prose))


def _plain_pod(text: str) -> str:
    text = re.sub(r"L<(?:([^|>]*)\|)?([^>]*)>", lambda found: found[1] or found[2].strip('/"'), text)
    for _ in range(2):  # codes stand inside codes
        text = re.sub(r"[A-Z]<+\s*([^<>]*?)\s*>+", r"\1", text)
    return text


def glosses_of_wordnet(folder: Path) -> Iterator[tuple[str, str]]:
    """WordNet: the words of each synset with its gloss, and each example sentence with words and gloss."""
    for path in sorted(folder.rglob("data.*")):
        for line in path.read_text(encoding="latin-1").splitlines():
            fields, bar, gloss = line.partition(" | ")
            if not bar:
                continue
            parts = fields.split()
            words = [
                re.sub(r"\(\w+\)$", "", word).replace("_", " ") for word in parts[4 : 4 + 2 * int(parts[3], 16) : 2]
            ]
            meaning, *examples = [part.strip(' ;"') for part in re.split(r'; "|"; ', gloss)]
            yield ", ".join(words), meaning
            for example in examples[:1]:
                yield example, f"{', '.join(words)}: {meaning}"


def entries_of_dict(folder: Path, names: str, form: str) -> Iterator[tuple[str, str]]:
    """Entries of a dictionary for dictd: a headword at the margin, its definition indented."""
    for path in sorted(folder.rglob(names)):
        text = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
        for entry in re.split(r"\n(?=\S)", text):
            head, _, body = entry.partition("\n")
            body = re.sub(r"\[[^\]]*\]|<[^>]*>|\{|\}|--\w+\.?|\(\d{4}-\d\d-\d\d\)", " ", body)
            if body.startswith((" ", "\n")) and len(head) < 60:
                yield form.format(re.sub(r"\\.*", "", head).strip()), body


def purposes_of_manuals(folder: Path) -> Iterator[tuple[str, str]]:
    """Manual pages: what NAME says the thing is for, and the first paragraphs of DESCRIPTION."""
    for path in sorted(folder.rglob("man[1-9]/*.gz")):
        sections = re.split(r"^\.SH +\"?([A-Z ]+)\"?$", gzip.decompress(path.read_bytes()).decode("utf-8", "replace"),
                            flags=re.M)  # fmt: skip
        named = dict(zip(sections[1::2], sections[2::2], strict=True))
        name, dash, purpose = _plain_roff(named.get("NAME", "")).partition(" - ")
        if dash:
            yield purpose, f"{name}: {_plain_roff(named.get('DESCRIPTION', ''))}"


def _plain_roff(text: str) -> str:
    lines = []
    for line in text.splitlines():
        font = re.match(r"\.(B|I|BR|BI|IR|RB|IB|SM|RI)\s+(.*)", line)
        if font:
            separator = " " if len(font[1]) == 1 else ""
            lines.append(separator.join(re.findall(r'"[^"]*"|\S+', font[2])).replace('"', ""))
        elif not line.startswith((".", "'")):
            lines.append(line)
    text = re.sub(r"\\f(\[\w+\]|\w)|\\&|\\c|\\/|\\,", "", " ".join(lines))
    return " ".join(re.sub(r"\\-|\\\(em", "-", text).replace("\\(aq", "'").replace("\\e", "\\").split())


# Source -> Debian's package, and what reads its pairs. Documentation of Python's standard library is the embedded
# collection, so of python3.11-doc only the questions and answers are read.
SOURCES: dict[str, tuple[str, Callable[[Path], Iterator[tuple[str, str]]]]] = {
    "perl questions": ("perl-doc", lambda folder: questions_of_pod(folder, "perl*faq*.pod")),
    "perl manual": ("perl-doc", lambda folder: questions_of_pod(folder, "perl[!f]*.pod")),
    "python questions": ("python3.11-doc", lambda folder: sections_of_html(folder, "html/faq/*.html")),
    "debian questions": ("debian-faq", lambda folder: sections_of_html(folder, "*.en.html")),
    "r questions": ("r-doc-html", lambda folder: sections_of_html(folder, "R-*.html")),
    "postgresql": ("postgresql-doc-15", lambda folder: sections_of_html(folder, "*.html")),
    "sqlite": ("sqlite3-doc", lambda folder: sections_of_html(folder, "*.html")),
    "library manuals": ("manpages-dev", purposes_of_manuals),
    "system manuals": ("manpages", purposes_of_manuals),
    "computing": ("dict-foldoc", lambda folder: entries_of_dict(folder, "*.dict.dz", "what is {}?")),
    "jargon": ("dict-jargon", lambda folder: entries_of_dict(folder, "*.dict.dz", "{}")),
    "dictionary": ("dict-gcide", lambda folder: entries_of_dict(folder, "*.dict.dz", "meaning of {}")),
    "wordnet": ("wordnet-base", glosses_of_wordnet),
}
