"""Long texts cut into passages of a size that a person chooses, at the ends of paragraphs or sentences where it can."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.collection import Collection, Part, join_title
from engine.errors import InputError
from engine.letters import SPACELESS

if TYPE_CHECKING:
    from engine.encoder import Encoder

WORDS, TOKENS = "words", "tokens"
MODEL = "embedded"  # whose tokens count where none is named
LEAST_SHARE = 0.5  # of the size that a passage has at least when it ends with a paragraph or a sentence
LARGEST = 1_000_000

Span = tuple[int, int]

# A letter of the scripts that write without spaces is a word; so is any other run without spaces, up to a length.
_WORD = re.compile(rf"[{SPACELESS}]|[^\s{SPACELESS}]{{1,80}}")
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_SENTENCE = re.compile(r"(?:[.!?…]+[\"'”’»)\]]*\s+|[。！？]+[”’」』）]*\s*)")


@dataclass(frozen=True)
class Passages:
    """How texts are cut.

    Args:
        size: Words or tokens of a passage at most.
        overlap: How many of them a passage shares with the one before, at most.
        unit: "words", or the name of the model whose tokens count.

    Raises:
        InputError: a size below 1, or an overlap that is not below the size.
    """

    size: int
    overlap: int = 0
    unit: str = WORDS

    def __post_init__(self) -> None:
        if not (1 <= self.size <= LARGEST and 0 <= self.overlap < self.size and self.unit):
            raise InputError(
                f"Expected passages of 1 to {LARGEST:,} with an overlap below the size, got {self}: try 200:40."
            )

    def __str__(self) -> str:
        return f"{self.size}:{self.overlap}" + ("" if self.unit == WORDS else f":{self.unit}")

    @classmethod
    def parse(cls, text: str, model: str = MODEL) -> Passages:
        """Read what a person writes.

        Args:
            text: "200", "200:40", "256:32:tokens" or "256:32:NAME", a model.
            model: Whose tokens count where the text says "tokens".

        Returns:
            The passages.

        Raises:
            InputError: no such form, or impossible numbers.
        """
        size, _, rest = text.strip().partition(":")
        overlap, _, unit = rest.partition(":")
        try:
            numbers = int(size), int(overlap or 0)
        except ValueError:
            raise InputError(
                f"Expected passages as size:overlap in words, or size:overlap:tokens, got {text!r}: try 200:40."
            ) from None
        return cls(*numbers, {"": WORDS, TOKENS: model}.get(unit, unit))

    def cutter(self, tokens: Callable[[str], Sequence[Span]] | None = None) -> Callable[[str], list[str]]:
        """The function that cuts a text; it loads the model whose tokens count, if any.

        Args:
            tokens: Where the tokens of a text are, instead of loading the model.

        Raises:
            WorkbenchError: see `Encoder.load`.
        """
        spans = words
        if self.unit != WORDS:
            from engine.encoder import Encoder

            spans = tokens or token_spans(Encoder.load(self.unit, device="cpu"))
        return lambda text: cut(text, self.size, self.overlap, spans)


def cut_collection(
    collection: Collection, passages: Passages, tokens: Callable[[str], Sequence[Span]] | None = None
) -> Collection:
    """The collection with its long documents cut into passages, each under its document's title.

    Args:
        collection: Without judgements: nobody has judged its passages.
        passages: How they are cut.
        tokens: See `Passages.cutter`.

    Returns:
        A collection; a document that is longer than a passage becomes "id#1", "id#2", a page "id#p3-1", "id#p3-2".

    Raises:
        InputError: there are judgements, or an id of a passage is another document's.
    """
    if collection.qrels:
        raise InputError(
            f"{collection.name!r} has judgements of whole documents, which passages would not fit: leave the passages "
            "out."
        )
    cut_text = passages.cutter(tokens)
    documents: dict[str, str] = {}
    titles: dict[str, str] = {}
    parts: dict[str, Part] = {}
    for key, text in collection.documents.items():
        title, place = collection.titles.get(key), collection.parts.get(key)
        body = text[len(title) :].lstrip() if title and text.startswith(title) else text
        pieces = cut_text(body)
        if len(pieces) < 2:
            names, pieces = [key], [text]
        else:
            mark = "#" if place is None else "-"
            names = [f"{key}{mark}{number}" for number in range(1, len(pieces) + 1)]
            pieces = [join_title(title, piece) if body is not text else piece for piece in pieces]
        for number, (name, piece) in enumerate(zip(names, pieces, strict=True), start=1):
            if name in documents or (name != key and name in collection.documents):
                raise InputError(
                    f"{collection.name!r} has a document {name!r} beside the passages of {key!r}: rename it."
                )
            documents[name] = piece
            if title:
                titles[name] = title
            if len(pieces) > 1:
                parts[name] = (place or Part(key))._replace(passage=number, passages=len(pieces))
            elif place is not None:
                parts[name] = place
    return replace(collection, documents=documents, titles=titles, parts=parts)


def words(text: str) -> list[Span]:
    """First and past-the-last character of each word."""
    return [match.span() for match in _WORD.finditer(text)]


def token_spans(encoder: Encoder) -> Callable[[str], list[Span]]:
    """What finds the tokens of a text as a model's tokenizer cuts it: first and past-the-last character of each."""
    tokenizer: Any = encoder.model.tokenizer

    def spans(text: str) -> list[Span]:
        found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False)
        return [(start, end) for start, end in found["offset_mapping"] if end > start]

    return spans


def cut(text: str, size: int, overlap: int, spans: Callable[[str], Sequence[Span]] = words) -> list[str]:
    """Cut one text.

    Args:
        text: The text.
        size: Units of a passage at most.
        overlap: Units that a passage shares with the one before at most.
        spans: Where the units of a text are.

    Returns:
        Passages in order: together they hold every unit of the text; the text itself where it is no longer than one.
    """
    units = spans(text)
    if len(units) <= size:
        return [text.strip()] if text.strip() else []
    starts = [start for start, _ in units]
    paragraphs = _first_units(_PARAGRAPH, text, starts)
    sentences = sorted({*paragraphs, *_first_units(_SENTENCE, text, starts)})
    whole = [number for number in range(1, len(units)) if starts[number] > units[number - 1][1]]  # no middle of a word
    found, begin, end = [], 0, 0
    while True:
        end = _end(begin, end, size, len(units), (paragraphs, sentences, whole))
        found.append(text[starts[begin] : units[end - 1][1]])
        if end == len(units):
            return found
        begin = _begin(max(end - overlap, begin + 1), end, (sentences, whole))


def _first_units(pattern: re.Pattern[str], text: str, starts: Sequence[int]) -> list[int]:
    """Numbers of the units that come first after each match."""
    return sorted({bisect_left(starts, match.end()) for match in pattern.finditer(text)})


def _begin(least: int, end: int, places: Sequence[Sequence[int]]) -> int:
    """The first unit of the next passage: at a sentence's begin within the overlap, else a word's, else a unit's."""
    for starts in places:
        place = bisect_left(starts, least)
        if place < len(starts) and starts[place] < end:
            return starts[place]
    return least


def _end(begin: int, before: int, size: int, total: int, ends: Sequence[Sequence[int]]) -> int:
    """Past the last unit of a passage, beyond the end before: with a paragraph if one fits, else a sentence, a word."""
    most = begin + size
    if most >= total:
        return total
    least = max(begin + max(1, round(size * LEAST_SHARE)), before + 1)
    for places in ends:
        place = bisect_right(places, most) - 1
        if place >= 0 and places[place] >= least:
            return places[place]
    return most
