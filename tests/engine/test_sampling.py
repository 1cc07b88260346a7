"""A smaller collection keeps what its queries need."""

from __future__ import annotations

import pytest

from engine import Collection
from engine.errors import InputError
from engine.sampling import sample


def test_relevant_documents_stay(tiny_collection: Collection) -> None:
    part = sample(tiny_collection, documents=4, queries=2, seed=1)
    assert len(part.queries) == 2
    assert len(part.documents) == 4
    for query in part.queries:
        assert part.qrels[query] == tiny_collection.qrels[query]
    assert all(name in part.documents for grades in part.qrels.values() for name in grades)
    assert list(part.documents) == [name for name in tiny_collection.documents if name in part.documents]


def test_relevant_documents_stay_even_when_fewer_were_asked_for(tiny_collection: Collection) -> None:
    part = sample(tiny_collection, documents=1)
    assert set(part.documents) == {name for grades in tiny_collection.qrels.values() for name in grades}
    assert part.notes[-1].startswith("5 of 8 documents")


def test_what_is_judged_and_what_is_titled_stays() -> None:
    documents = {name: f"text {name}" for name in "abcdef"}
    whole = Collection(documents, {"q": "ask"}, {"q": {"a": 1, "b": 0}}, titles={"b": "Title"}, notes=("read",))
    part = sample(whole, documents=2)
    assert list(part.documents) == ["a", "b"]  # a judged non-relevant document counts in bpref
    assert part.qrels == whole.qrels
    assert part.titles == {"b": "Title"}
    assert part.notes[0] == "read"


def test_the_same_seed_gives_the_same_part(tiny_collection: Collection) -> None:
    first, second, other = (sample(tiny_collection, 4, 1, seed) for seed in (0, 0, 3))
    assert first.fingerprint == second.fingerprint != other.fingerprint


def test_more_than_there_is_keeps_all(tiny_collection: Collection) -> None:
    assert sample(tiny_collection, 100, 100).fingerprint == tiny_collection.fingerprint


def test_nothing_cannot_be_asked_for(tiny_collection: Collection) -> None:
    with pytest.raises(InputError, match="at least one"):
        sample(tiny_collection, 0)
