"""Questions from titles and first sentences, and a collection that asks made questions and says so."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine import Collection
from engine.checks import require_whole
from engine.errors import InputError

TITLE, SENTENCE = "title", "first sentence"
FEWEST, MOST = 4, 30  # words of a first sentence that is a question
RELEVANT = 1  # the grade of the document that a question was made from
_RULES = "_-=*~#+."  # what lines are drawn of in plain text
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+|\n\s*\n")


@dataclass(frozen=True)
class Question:
    """A question that was made.

    Args:
        text: It.
        documents: Ids of those that answer it, as far as whoever made it knows.
        how: "title", "first sentence", or the model that made it.
    """

    text: str
    documents: tuple[str, ...]
    how: str


def chosen_documents(collection: Collection, count: int, seed: int = 0) -> list[str]:
    """Documents to make questions from, drawn at random, in the collection's order.

    Args:
        collection: It.
        count: How many; all where there are fewer.
        seed: Decides which.

    Returns:
        Ids.

    Raises:
        InputError: a count below 1.
    """
    require_whole("count", count)
    names = list(collection.documents)
    drawn = set(random.Random(seed).sample(names, min(count, len(names))))
    return [name for name in names if name in drawn]


def from_texts(collection: Collection, count: int = 100, seed: int = 0) -> list[Question]:
    """Make questions from titles, and from first sentences where there is no title.

    What a document says of itself is easier to find than what a person would ask, above all by its words: such
    questions rank systems roughly, and their scores are too high.

    Args:
        collection: It.
        count: How many at most.
        seed: Decides which documents they are made from.

    Returns:
        The questions, no two alike; a title that several documents have is answered by each of them.

    Raises:
        InputError: nothing in the collection makes a question.
    """
    require_whole("count", count)
    same_title: dict[str, list[str]] = {}
    for name, title in collection.titles.items():
        if name in collection.documents:
            same_title.setdefault(_plain(title), []).append(name)
    found: dict[str, Question] = {}
    for name in collection.documents:
        question = _of_title(collection, name, same_title) or _of_sentence(collection, name)
        if question is not None:
            found.setdefault(question.text.lower(), question)
    if not found:
        raise InputError(
            f"No document of {collection.name!r} has a title or a first sentence of {FEWEST} to {MOST} words: write "
            "questions by hand, or let a model make them."
        )
    drawn = set(random.Random(seed).sample(sorted(found), min(count, len(found))))
    return [question for key, question in found.items() if key in drawn]


def _of_title(collection: Collection, name: str, same_title: dict[str, list[str]]) -> Question | None:
    title = _plain(collection.titles.get(name, ""))
    beyond = len(collection.documents[name]) - len(title)
    if not title or beyond < len(title):  # a document that is its title alone finds itself
        return None
    return Question(title, tuple(same_title[title]), TITLE)


def _of_sentence(collection: Collection, name: str) -> Question | None:
    text, title = collection.documents[name], collection.titles.get(name, "")
    body = text[len(title) :] if title and text.startswith(title) else text
    parts = _SENTENCE_END.split(body.strip(), maxsplit=1)[0].split()
    first = " ".join(part for part in parts if len(part) < 3 or part.strip(_RULES))  # lines that are drawn ask nothing
    words = [part for part in first.split() if any(map(str.isalpha, part))]
    whole = first and not first[0].islower()  # a passage may begin within a sentence
    asks = whole and len(words) >= FEWEST and len(first.split()) <= MOST
    return Question(first, (name,), SENTENCE) if asks else None


def _plain(text: str) -> str:
    return " ".join(text.split())


def with_questions(collection: Collection, questions: Sequence[Question]) -> Collection:
    """The collection with made questions in place of its own, marked as made.

    Args:
        collection: It.
        questions: Made.

    Returns:
        The collection: queries "made 1", "made 2", ..., judged by what they were made from.

    Raises:
        InputError: no question.
    """
    if not questions:
        raise InputError("Expected at least one made question, got none: make some.")
    names = {f"made {number}": question for number, question in enumerate(questions, start=1)}
    asked = replace(
        collection,
        queries={name: question.text for name, question in names.items()},
        qrels={name: dict.fromkeys(question.documents, RELEVANT) for name, question in names.items()},
        made={name: question.how for name, question in names.items()},
        confirmed=frozenset(),
    )
    return replace(asked, notes=(*collection.notes, asked.made_note))
