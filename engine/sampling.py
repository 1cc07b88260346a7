"""A part of a collection that can still be evaluated: for quick runs, and to watch a training run with."""

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
    parts = {name: part for name, part in collection.parts.items() if name in kept}
    part = replace(collection, documents=chosen, queries=texts, qrels=qrels, titles=titles, parts=parts)
    if len(chosen) == len(collection.documents):
        return part
    note = f"{len(chosen):,} of {len(collection.documents):,} documents: easier than the whole."
    return replace(part, name=f"{collection.name}, a part", notes=(*collection.notes, note))
