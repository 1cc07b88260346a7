"""Training the embedded model's head: what it refuses, what it learns and what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.embedded_head.debian_texts import entries_of_dict, glosses_of_wordnet, questions_of_pod
from benchmarks.embedded_head.fit_head import (
    HeadSettings,
    Pairs,
    begin_head,
    distance_of,
    encode,
    fit_head,
    rarity,
    whole_scores,
)
from benchmarks.embedded_head.overlap import Seen
from benchmarks.embedded_head.train import judged_part, known_item, split, train
from benchmarks.embedded_head.training_texts import halves
from engine import Collection, Encoder, TokenEmbeddings
from engine.errors import InputError
from engine.late_head import LateHead
from engine.maxsim.differentiable import maxsim_ragged
from workbench.embedded.model import load

HELD_OUT = Collection(
    {"a": "The boundary layer of a flat plate at high speed grows with the square root of its length downstream."},
    {"q": "how does a boundary layer grow"},
)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("How does a boundary layer grow?", True),  # the question, written otherwise
        ("We show that the boundary layer of a flat plate at high speed grows with the square root.", True),
        ("The boundary layer of a river is where the water meets the bed.", False),
        ("", False),
    ],
)
def test_what_test_collections_hold_is_refused(text: str, refused: bool) -> None:
    seen = Seen([HELD_OUT])
    assert (text in seen) is refused
    assert seen.sift([{"query": text, "positive": "something else"}])[1] == refused
    assert seen.sift([{"query": "something else", "positive": text}])[1] == refused


def test_of_a_collection_that_shares_answers_only_the_judged_part_counts() -> None:
    collection = Collection({"a": "one", "b": "two"}, {"q": "what"}, {"q": {"b": 1}})
    assert list(judged_part(collection).documents) == ["b"]


def test_pairs_of_documentation_formats(tmp_path: Path) -> None:
    (tmp_path / "a.pod").write_text(
        "=head1 NAME\n\nx\n\n=head2 How do I C<sort> it?\n\nUse L<the sorter|sort>.\n\n    code\n"
    )
    assert ("How do I sort it?", "Use the sorter.") in list(questions_of_pod(tmp_path, "*.pod"))
    line = '00 00 a 02 large 0 big 0 001 & 0 a 0000 | above average in size; "a large city"; "a big man"'
    (tmp_path / "data.adj").write_text(f"  1 licence\n{line}\n")
    assert list(glosses_of_wordnet(tmp_path)) == [
        ("large, big", "above average in size"), ("a large city", "large, big: above average in size"),
    ]  # fmt: skip
    import gzip

    (tmp_path / "x.dict.dz").write_bytes(gzip.compress(b"stack\n   <data> A pile of {things}.\n\nqueue\n   A row.\n"))
    assert [(q, " ".join(a.split())) for q, a in entries_of_dict(tmp_path, "*.dz", "what is {}?")] == [
        ("what is stack?", "A pile of things ."), ("what is queue?", "A row."),
    ]  # fmt: skip


def made_pairs(n: int, dim: int = 24, vocabulary: int = 40) -> Pairs:
    """Pairs whose query holds two of its document's tokens, as vectors that depend on the token."""
    rng = np.random.default_rng(0)
    table = rng.standard_normal((vocabulary, dim)).astype(np.float32)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    documents = [[0, *rng.integers(2, vocabulary, 6).tolist(), 1] for _ in range(n)]
    queries = [[0, *rng.choice(ids[1:-1], 2, replace=False).tolist(), 1] for ids in documents]
    sides = (TokenEmbeddings.from_list([table[ids] for ids in side]) for side in (queries, documents))
    return Pairs(queries, documents, *sides)


def test_a_fit_learns_and_two_are_the_same() -> None:
    pairs, losses = made_pairs(60), []
    settings = HeadSettings(dim=16, nested=(8, 16), steps=40, batch=12, near=2, learning_rate=1e-2)
    fitted = []
    for _ in range(2):
        head = begin_head([pairs], 40, settings)
        fit_head(head, [pairs], settings, lambda step, contrast, distance: losses.append(contrast + distance))
        fitted.append(head)
    assert np.mean(losses[30:40]) < np.mean(losses[:10])
    assert losses[:40] == losses[40:]
    assert all((a == b).all() for a, b in zip(fitted[0].parameters(), fitted[1].parameters(), strict=True))


def test_whole_scores_are_those_of_a_head_that_keeps_every_dimension() -> None:
    pairs = made_pairs(30)
    settings = HeadSettings(dim=25, nested=(25,), steps=0, batch=12, near=2, marker=0.9, mean=1e-6)
    head = begin_head([pairs], 40, settings)  # 24 dimensions beside the marker: nothing is lost
    with torch.no_grad():
        queries, documents = encode(head, pairs)
    whole = torch.from_numpy(whole_scores(head, pairs, settings.mean))
    assert distance_of(maxsim_ragged(queries, documents), whole) < 0.01
    assert distance_of(whole, torch.from_numpy(whole_scores(head, pairs, 0.5))) > 0.02
    assert distance_of(whole, whole) == 0


def test_long_texts_are_cut_in_two() -> None:
    texts = [" ".join(f"word{i}" for i in range(n)) for n in (79, 80, 300)]
    rows = halves(texts, 10)
    assert len(rows) == 2
    assert all(15 <= len(row["query"].split()) <= 50 for row in rows)
    assert {f"{row['query']} {row['positive']}" for row in rows} == {*texts[1:]}
    assert halves(texts, 10) == rows
    assert len(halves(texts, 1)) == 1


def test_rare_tokens_weigh_more_and_special_ones_as_usual() -> None:
    pairs = made_pairs(60)
    rare = rarity([pairs], 41)
    assert rare[40] == rare.max()  # seen in no document
    assert rare[0] == rare.min()
    weights = begin_head([pairs], 41, HeadSettings(dim=16, nested=(16,), batch=12)).query_weights
    assert weights[40] == weights.max()
    assert weights[0] == weights[1] == 1


def test_development_rows_are_not_trained_on_and_the_measure_is_ndcg() -> None:
    pairs = made_pairs(40)
    trained, developed, asked = split(pairs)
    assert (len(trained), asked, len(developed)) == (30, 10, 40)
    assert not {tuple(ids) for ids in developed.select(range(asked)).document_ids} & {*map(tuple, trained.document_ids)}
    scores = np.array([[3.0, 2, 1], [3, 2, 1], [0, 0, 0]])
    assert known_item(scores) == pytest.approx((1 + 1 / np.log2(3) + 1) / 3)


def test_a_head_is_written_with_its_record_and_loads_into_the_model(tmp_path: Path) -> None:
    rows = [
        {"query": f"what is number {i}", "positive": f"number {i} comes after {i - 1} and before {i + 1}"}
        for i in range(40)
    ]
    (tmp_path / "work" / "rows").mkdir(parents=True)
    (tmp_path / "work" / "rows" / "numbers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = HeadSettings(dim=16, nested=(8, 16), steps=3, batch=8, near=2)
    record = train(tmp_path / "work", tmp_path / "head", settings, {"numbers": {"kept": 40, "refused": 0}})
    assert json.loads((tmp_path / "head" / "training.json").read_text()) == json.loads(json.dumps(record))
    measured = ("8", "16", "16, pool factor 2", "16, pool factor 4")
    assert set(record["development nDCG@10"]) == {
        "untrained, 384", *(f"{when}, {what}" for when in ("begun", "fitted") for what in measured)
    }  # fmt: skip
    with pytest.raises(InputError, match="sources numbers to leave out, got letters"):
        train(tmp_path / "work", tmp_path / "head", settings, {}, ["letters"])
    model, note = load("cpu", head=tmp_path / "head")
    assert "16 nested dimensions" in note
    assert Encoder(model).encode_document(["number 7"]).dim == 16
    assert LateHead.load(str(tmp_path / "head")).nested == [8, 16]
