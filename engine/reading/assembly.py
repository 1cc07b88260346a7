"""Documents, queries and judgements put together: what does not fit is left out and counted, by one rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Collection as Sized
from dataclasses import replace
from pathlib import Path

from engine.collection import Collection, Qrels
from engine.errors import InputError
from engine.fields import Fields
from engine.letters import clean
from engine.reading.judgements import Judgements
from engine.reading.texts import Texts

USUAL_SPLIT = "test"
SAME_SPLIT = {"dev": "validation", "validation": "dev"}  # the hub's library calls the one by the other's name


def choose_split(splits: Sized[str], asked: str | None, source: str) -> tuple[str | None, list[str]]:
    """Which judgements to read.

    Args:
        splits: Those that are there.
        asked: By the person, or None.
        source: For the sentence.

    Returns:
        The asked one, else "test" where it is there, else None; and notes that say what there is instead.

    Raises:
        InputError: the asked one is not there.
    """
    there = ", ".join(sorted(splits)) or "none"
    if asked is not None:
        if asked not in splits and SAME_SPLIT.get(asked) in splits:
            return SAME_SPLIT[asked], []
        if asked not in splits:
            raise InputError(f"{source} has no judgements of the split {asked!r}: the splits that are there: {there}.")
        return asked, []
    if USUAL_SPLIT in splits or not splits:
        return (USUAL_SPLIT if splits else None), []
    return None, [
        f"no judgements were read: there are none of the split {USUAL_SPLIT!r}, the splits that are there: {there}; "
        f"choose one with --split or split="
    ]


def assemble(
    name: str,
    documents: Texts,
    queries: Texts | None = None,
    judgements: Judgements | None = None,
    split: str | None = None,
    notes: list[str] | None = None,
    folder: Path | None = None,
    fields: Fields | None = None,
) -> Collection:
    """Make the collection.

    Args:
        name: What the collection is called, in sentences and records.
        documents: Gathered.
        queries: Gathered, or None.
        judgements: Gathered, or None; those of absent documents and queries are left out and counted.
        split: Which judgements these are, for the notes.
        notes: What was found before.
        folder: Where the files lie that are documents, or None.
        fields: The other columns of the documents' rows.

    Returns:
        The collection; with judgements its queries are those that have one.

    Raises:
        InputError: no document.
    """
    found = [*(notes or []), *documents.all_notes()]
    if not documents.texts:
        empty = f", only {len(documents.empty)} with empty texts" if documents.empty else ""
        raise InputError(f"{name!r} holds no documents{empty}: give at least one row with a text.")
    asked = {} if queries is None else queries.texts
    found += [] if queries is None else queries.all_notes()
    qrels: Qrels = {}
    if judgements is not None:
        found += judgements.notes
        if not judgements.qrels:
            found.append(f"the judgements of {split or 'the file'!r} are empty")
        qrels, remarks = _fitting(judgements.qrels, documents, queries or Texts("queries"))
        found += remarks
        if qrels:  # the queries of every split stand together; keep those of this one
            unjudged = [query for query in asked if query not in qrels]
            asked = {query: text for query, text in asked.items() if query in qrels}
            if unjudged:
                found.append(
                    f"{len(unjudged)} queries without judgements in {split or 'the file'!r} were left out, first "
                    f"{unjudged[0]!r}"
                )
    made = {} if queries is None else {query: how for query, how in queries.made.items() if query in asked}
    confirmed = frozenset() if queries is None else frozenset(queries.confirmed & made.keys())
    collection = Collection(
        documents.texts, asked, qrels, clean(name), tuple(found), documents.titles, documents.parts, folder,
        fields, made, confirmed,
    )  # fmt: skip
    return replace(collection, notes=(*found, collection.made_note)) if made else collection


def rejudged(collection: Collection, judgements: Judgements, source: str) -> Collection:
    """A collection with other judgements, by the rules of `assemble`.

    Args:
        collection: With the queries that they are about.
        judgements: Gathered.
        source: Where they come from, for the sentences.

    Returns:
        The collection with the queries that have one.

    Raises:
        InputError: none of them is about its queries and documents.
    """
    qrels, remarks = _fitting(judgements.qrels, Texts(texts=collection.documents), Texts("queries", collection.queries))
    if not qrels:
        raise InputError(
            f"None of the judgements of {source} is about queries and documents of {collection.name!r}: give the file "
            "that belongs to it."
        )
    asked = {query: text for query, text in collection.queries.items() if query in qrels}
    unjudged = len(collection.queries) - len(asked)
    left = [f"{unjudged} queries without judgements in {source} were left out"] if unjudged else []
    notes = (*collection.notes, *judgements.notes, *remarks, *left)
    made = {query: how for query, how in collection.made.items() if query in asked}
    confirmed = frozenset(collection.confirmed & made.keys())
    return replace(collection, queries=asked, qrels=qrels, notes=notes, made=made, confirmed=confirmed)


def _fitting(qrels: Mapping[str, Mapping[str, int]], documents: Texts, queries: Texts) -> tuple[Qrels, list[str]]:
    """The judgements of queries and documents that are there, and what is to be said about the others."""
    kept: Qrels = {}
    lost: dict[str, list[str]] = {"queries": [], "documents": []}
    for query, grades in qrels.items():
        for document, grade in grades.items():
            if query not in queries.texts:
                lost["queries"].append(query)
            elif document not in documents.texts:
                lost["documents"].append(document)
            else:
                kept.setdefault(query, {})[document] = grade
    reasons: dict[str, Callable[[str], bool]] = {
        "queries": lambda name: name in queries.empty,
        "documents": lambda name: name in documents.empty,
    }
    remarks = []
    for kind, names in lost.items():
        empty = [name for name in names if reasons[kind](name)]
        absent = [name for name in names if not reasons[kind](name)]
        for some, why in ((absent, "that are not there"), (empty, "with empty texts")):
            if some:
                remarks.append(f"{len(some)} judgements of {kind} {why} were left out, first {some[0]!r}")
    return kept, remarks
