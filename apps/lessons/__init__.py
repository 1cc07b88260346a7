"""The lessons: short texts with a live figure each, one file a lesson, for the explorer and for published sites."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
SECTIONS = ("Try", "Question", "Answer")


@lru_cache(maxsize=1)
def lessons() -> tuple[dict[str, Any], ...]:
    """All lessons in their order.

    Returns:
        For each its "name" (in addresses), "title", "demo" (which figure), "notebook", "question" and "texts" that the
        figure begins with, "text" (paragraphs), "try", "ask" and "answer"; paragraphs hold `code` and *stress*.
    """
    return tuple(parse(path.stem, path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.md")))


def parse(stem: str, text: str) -> dict[str, Any]:
    """Read a lesson: a title, settings as "name: value", paragraphs, and the sections Try, Question and Answer.

    Args:
        stem: Name of the file, its number in front.
        text: Its content.

    Returns:
        See `lessons`.
    """
    body, *rest = text.split("\n## ")
    sections = {part.partition("\n")[0].strip(): part.partition("\n")[2].strip() for part in rest}
    assert set(sections) == set(SECTIONS), f"{stem} lacks one of {', '.join(SECTIONS)}"
    head, *paragraphs = [part.strip() for part in body.strip().split("\n\n")]
    title, *settings = head.splitlines()
    pairs = [(line.partition(": ")[0], line.partition(": ")[2]) for line in settings]
    values = dict(pairs)
    return {
        "name": stem.partition("-")[2], "title": title.removeprefix("# "), "demo": values["demo"],
        "notebook": values["notebook"], "question": values.get("question", ""),
        "texts": [value for name, value in pairs if name == "text"], "text": [" ".join(p.split()) for p in paragraphs],
        "try": sections["Try"], "ask": sections["Question"], "answer": sections["Answer"],
    }  # fmt: skip
