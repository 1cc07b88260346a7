"""A part of a collection that can still be evaluated: for quick runs, to watch a training with, or by a condition."""

from __future__ import annotations

import random
from dataclasses import replace

from engine.collection import Collection
from engine.errors import InputError


def sample(collection: Collection, documents: int, queries: int | None = None, seed: int = 0) -> Collection:
    """Keep some judged queries, every document that is judged for them, and other documents at random.

    With fewer documents to confuse, every system scores higher than on the whole collection: compare only results on
    the same part.

    Args:
        collection: Any collection.
        documents: How many documents; more when the kept queries have more that are judged, all when it has fewer.
        queries: How many judged queries; all of them when None or more than there are.
        seed: Decides which documents and queries are kept.

    Returns:
        The part, with everything in the collection's own order.

    Raises:
        InputError: fewer than one document or query.
    """
    if documents < 1 or (queries is not None and queries < 1):
        raise InputError(f"Expected at least one document and query, got {documents} and {queries}: raise them.")
    generator = random.Random(seed)
    judged = collection.judged_queries
    asked = set(judged if queries is None else generator.sample(judged, min(queries, len(judged))))
    kept = {name for query in asked for name in collection.qrels[query]}
    others = [name for name in collection.documents if name not in kept]
    kept |= set(generator.sample(others, max(min(documents - len(kept), len(others)), 0)))
    chosen = {name: text for name, text in collection.documents.items() if name in kept}
    texts = {query: text for query, text in collection.queries.items() if query in asked}
    qrels = {query: {name: collection.qrels[query][name] for name in collection.qrels[query] if name in kept}
             for query in texts}  # fmt: skip
    titles = {name: title for name, title in collection.titles.items() if name in kept}
    part = replace(collection, documents=chosen, queries=texts, qrels=qrels, titles=titles)
    if len(chosen) == len(collection.documents):
        return part
    note = f"{len(chosen):,} of {len(collection.documents):,} documents: easier than the whole."
    return replace(part, name=f"{collection.name}, a part", notes=(*collection.notes, note))


def fitting(collection: Collection, condition: str) -> Collection:
    """Keep the documents that fit a condition, and the judged queries that have a relevant one among them.

    Args:
        collection: Any collection.
        condition: On its rows; see `engine.conditions.Rows.select`.

    Returns:
        The part, with everything in the collection's own order; a note says how much it is. Queries without judgements
        all stay where no query has any.

    Raises:
        InputError: it is no condition, or fits no document.
    """
    selection = collection.rows.select(condition)
    kept = set(selection.ids)
    qrels = {
        query: left
        for query, grades in collection.qrels.items()
        if (left := {name: grade for name, grade in grades.items() if name in kept}) and max(left.values()) > 0
    }
    queries = {query: text for query, text in collection.queries.items() if query in qrels or not collection.qrels}
    notes = [f"Searched among {selection}."]
    if len(queries) < len(collection.queries):
        notes.append(
            f"{len(collection.queries) - len(queries)} of {len(collection.queries)} queries have no relevant document "
            "among them and are left out."
        )
    documents = {name: collection.documents[name] for name in selection.ids}
    return replace(
        collection, documents=documents, queries=queries, qrels=qrels, notes=(*collection.notes, *notes)
    )  # fmt: skip
