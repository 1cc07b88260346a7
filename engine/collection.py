"""Collections: documents, queries and relevance judgements."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from engine.conditions import Rows
from engine.errors import InputError, NotFoundError
from engine.fields import Fields
from engine.letters import has_halves

Qrels = dict[str, dict[str, int]]


class Part(NamedTuple):
    """Where a document that is part of a longer one stands in it.

    Args:
        document: Name of the whole; files below a folder are named by their path in it.
        page: From 1, or None where the format knows no pages.
        pages: How many the whole has, or None.
        passage: From 1 within the page, or within the whole where there are no pages; None where it was not cut.
        passages: How many there are, or None.
    """

    document: str
    page: int | None = None
    pages: int | None = None
    passage: int | None = None
    passages: int | None = None

    def __str__(self) -> str:
        page = "" if self.page is None else f", page {self.page} of {self.pages}"
        return self.document + page + ("" if self.passage is None else f", passage {self.passage} of {self.passages}")


@dataclass(frozen=True)
class Collection:
    """Texts to search, questions to ask, and who answers what.

    Args:
        documents: id -> text; a title is joined in front as `title + " " + text`.
        queries: id -> text.
        qrels: query id -> {document id: grade}, grade 1 or more is relevant.
        name: What records and pages call it.
        notes: What the reader left out or changed, for the person to see.
        titles: id -> title, where there is one: pages show it, models see the joined text.
        parts: id -> where it stands in a longer document, for those that are part of one, in the order of the whole.
        folder: Where the files lie that `parts` name, or None.
        made: Query id -> how a machine made it ("title", "first sentence", a model); those of people are not in it.
        confirmed: Made queries whose judgement a person has confirmed.
        fields: The other columns of the rows that the documents come from, or None; `rows` holds all.

    Raises:
        InputError: no documents, an empty text, or judgements for unknown queries or documents.
    """

    documents: dict[str, str]
    queries: dict[str, str] = field(default_factory=dict)
    qrels: Qrels = field(default_factory=dict)
    name: str = "collection"
    notes: tuple[str, ...] = ()
    titles: dict[str, str] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    folder: Path | None = None
    fields: Fields | None = field(default=None, compare=False, repr=False)
    made: dict[str, str] = field(default_factory=dict)
    confirmed: frozenset[str] = frozenset()
    excluded: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.documents:
            raise InputError(f"Expected at least one document in {self.name!r}, got none: check the source.")
        for kind, texts in (("document", self.documents), ("query", self.queries)):
            for key, text in texts.items():
                if not isinstance(text, str) or not text.strip():
                    raise InputError(f"Expected a text for {kind} {key!r} of {self.name!r}, got {text!r}: remove it.")
                if has_halves(text):
                    raise InputError(
                        f"Expected whole letters in {kind} {key!r} of {self.name!r}, got half a surrogate "
                        "pair: replace it."
                    )
        for query, grades in self.qrels.items():
            if query not in self.queries:
                raise InputError(f"Judgements name query {query!r}, which {self.name!r} does not have: remove them.")
            missing = [document for document in grades if document not in self.documents]
            if missing:
                raise InputError(
                    f"Judgements of query {query!r} name {len(missing)} documents that {self.name!r} does not have, "
                    f"first {missing[0]!r}: remove them or add the documents."
                )

    @property
    def fingerprint(self) -> str:
        """Hash over everything that a result depends on, 16 hex digits."""
        digest = hashlib.blake2b(digest_size=8)
        for part in (self.documents, self.queries):
            for key, text in part.items():
                digest.update(f"{key}\0{text}\0".encode("utf-8", "surrogatepass"))
            digest.update(b"\1")
        for query, grades in sorted(self.qrels.items()):
            digest.update(f"{query}\0{sorted(grades.items())}\0".encode("utf-8", "surrogatepass"))
        for query, names in sorted(self.excluded.items()):
            digest.update(f"{query}\0not {sorted(names)}\0".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    @cached_property
    def rows(self) -> Rows:
        """The documents as rows that a condition such as "year >= 2020" is tried on; read when first asked for."""
        return Rows(self)

    def neighbours(self, document: str) -> tuple[str | None, str | None]:
        """The parts before and after one in the same whole, or None where there is none.

        Raises:
            NotFoundError: no such document.
        """
        if document not in self.documents:
            raise NotFoundError(f"{self.name!r} has no document {document!r}: take one from a result.")
        return self._neighbours.get(document, (None, None))

    @cached_property
    def _neighbours(self) -> dict[str, tuple[str | None, str | None]]:
        wholes: dict[str, list[str]] = {}
        for key, part in self.parts.items():
            wholes.setdefault(part.document, []).append(key)
        return {
            key: (before, after)
            for keys in wholes.values()
            for before, key, after in zip((None, *keys), keys, (*keys[1:], None), strict=False)
        }

    @property
    def judged_queries(self) -> list[str]:
        """Ids of the queries with at least one relevant document, in order."""
        return [query for query in self.queries if self.relevant(query)]

    def relevant(self, query: str) -> dict[str, int]:
        """Documents judged relevant for a query, with their grades; none for a query without any."""
        return {name: grade for name, grade in self.qrels.get(query, {}).items() if grade > 0}

    @property
    def made_record(self) -> dict[str, Any]:
        """How many queries were made, by what, and how many of these a person has confirmed; empty where none was."""
        made = {query: how for query, how in self.made.items() if query in self.queries}
        if not made:
            return {}
        confirmed = sum(query in made for query in self.confirmed)
        return {"questions": len(made), "confirmed": confirmed, "by": dict(Counter(made.values()))}

    @property
    def made_note(self) -> str:
        """A sentence about made queries for whoever reads a number, or ""."""
        record = self.made_record
        if not record:
            return ""
        how = ", ".join(f"{count} by {name}" for name, count in record["by"].items())
        share = record["confirmed"] / record["questions"]
        return (
            f"{record['questions']} of {len(self.queries)} questions were made ({how}); a person has confirmed "
            f"{share:.0%} of them"
        )

    def describe(self) -> dict[str, object]:
        """Counts, name and fingerprint, as JSON values."""
        return {
            "name": self.name,
            "documents": len(self.documents),
            "queries": len(self.queries),
            "judgements": sum(len(grades) for grades in self.qrels.values()),
            "fingerprint": self.fingerprint,
            "notes": list(self.notes),
            **({"made": record} if (record := self.made_record) else {}),
        }


def require_judgements(collection: Collection) -> None:
    """Make sure that there is something to measure with, before anything is encoded.

    Args:
        collection: To be measured with.

    Raises:
        InputError: no query has a relevant document; the sentence holds the notes, which may say where there are some.
    """
    if not collection.judged_queries:
        if collection.qrels:
            count = sum(map(len, collection.qrels.values()))
            raise InputError(
                f"None of the {count} judgements of {collection.name!r} has a grade of 1 or more: nothing is relevant, "
                "so nothing can be measured."
            )
        why = "".join(f" ({note})" for note in collection.notes if "judgements" in note)
        raise InputError(f"{collection.name!r} has no judgements{why}: give a collection with queries and qrels.")


def join_title(title: str | None, text: str | None) -> str:
    """The text that models see: `title + " " + text`, or whichever there is."""
    return f"{title or ''} {text or ''}".strip()
