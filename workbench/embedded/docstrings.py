"""Turn a documentation string, in plain, reStructuredText or NumPy layout, into one short passage of prose."""

from __future__ import annotations

import inspect
import re

MOST_WORDS = 60  # with 4,100 documents, about 260,000 tokens: encoded in well under a minute on 2 cores
MOST_SECTION_WORDS = 20

_HEADING = re.compile(r"^(?P<title>[A-Z][A-Za-z ]{2,30}):?\n[-=~]{3,}\n", re.MULTILINE)
_TITLE = re.compile(r"\A[^\n]+\n([-=~*#])\1{2,}\n+(?=[^\n])")
_ROLE = re.compile(r":[a-zA-Z:+-]+:`~?\.?([^`<]+?)(?:\s*<[^`>]*>)?`")
_QUOTED = re.compile(r"`{1,2}([^`]+)`{1,2}_{0,2}")
_DIRECTIVE = re.compile(r"^(?P<indent>[ ]*)\.\. [^\n]*(?:\n(?:[ ]*\n)*(?P=indent)[ ]+[^\n]*)*", re.MULTILINE)
_DOCTEST = re.compile(r"^[ ]*>>>[^\n]*(?:\n[ ]*[^\n\s][^\n]*)*", re.MULTILINE)
_TABLE_RULE = re.compile(r"^[ ]*[-=~+^_*|]{4,}[-=~+^_*| ]*$", re.MULTILINE)
_REPEATED_SIGNATURE = re.compile(r"^\s*[\w.]+\([^\n]*\)(?:[ ]*->[ ]*[^\n]*)?\s*$")
_ENTRY = re.compile(r"^(?P<names>\*{0,2}[A-Za-z_][\w*, ]{0,40}?)\s*(?::[^\n]*)?$")


def passage(docstring: str) -> str:
    """Clean one documentation string into running text.

    Doctests, tables' rules and directives go; the summary stays whole, and of NumPy's sections only what a reader
    searches by: what goes in and what comes out. The rest (examples, notes, references) repeats or digresses.

    Args:
        docstring: the string as the object carries it.

    Returns:
        One line of at most `MOST_WORDS` words, cut after a sentence where there is one; empty if nothing is left.
    """
    text = inspect.cleandoc(docstring).replace("\r\n", "\n")
    text = _DOCTEST.sub("", _DIRECTIVE.sub("", text))
    text = _TITLE.sub("", _without_leading_signatures(text))
    summary, sections = _split_sections(text)
    parts = [cut(_plain(_TABLE_RULE.sub("", summary)), MOST_WORDS)]
    for title, prefix in (("Parameters", "Parameters:"), ("Returns", "Returns:"), ("Attributes", "Attributes:")):
        if entries := _entries(sections.get(title, "")):
            parts.append(f"{prefix} {cut(entries, MOST_SECTION_WORDS)}")
    return cut(" ".join(part for part in parts if part), MOST_WORDS)


def cut(text: str, most_words: int) -> str:
    """Shorten a text to a number of words, after a sentence if one ends in its second half.

    Args:
        text: running text with single spaces.
        most_words: the largest number of words to keep.

    Returns:
        The text itself where it is short enough, else its beginning.
    """
    words = text.split()
    if len(words) <= most_words:
        return text
    for end in range(most_words, most_words // 2, -1):
        if words[end - 1][-1] in ".!?":
            return " ".join(words[:end])
    return " ".join(words[:most_words])


def _without_leading_signatures(text: str) -> str:
    """Drop the lines `name(arguments) -> result` that C functions and ufuncs put before their first sentence."""
    lines = text.split("\n")
    while lines and (not lines[0].strip() or _REPEATED_SIGNATURE.match(lines[0])):
        lines.pop(0)
    return "\n".join(lines) if lines else text


def _split_sections(text: str) -> tuple[str, dict[str, str]]:
    headings = [found for found in _HEADING.finditer(text) if found.start() > 0]
    if not headings:
        return text, {}
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    sections = {
        heading["title"].strip(): text[heading.end() : end] for heading, end in zip(headings, ends, strict=True)
    }
    return text[: headings[0].start()], sections


def _entries(section: str) -> str:
    """Join a NumPy section's entries: each name with the first sentence that describes it."""
    entries: list[str] = []
    for line in section.split("\n"):
        if line and not line[0].isspace():
            entry = _ENTRY.match(line)
            entries.append(entry["names"].strip() + " " if entry else line + " ")
        elif entries and line.strip():
            entries[-1] += line.strip() + " "
    return " ".join(_first_sentence(_plain(entry)) for entry in entries)


def _first_sentence(text: str) -> str:
    end = re.search(r"[.!?](?=\s|$)", text)
    return text[: end.end()] if end else text + "." if text else ""


def _plain(text: str) -> str:
    return " ".join(_QUOTED.sub(r"\1", _ROLE.sub(r"\1", text)).split())
