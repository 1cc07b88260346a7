"""Budgets of pooling: clusters cut as scipy cuts them, tokens dropped as plain Python does, added ones left be."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Encoder, TokenEmbeddings, pool
from engine.errors import InputError, UnsupportedError
from engine.late_head import LateHead
from engine.pooling import (
    Pieces,
    PoolSettings,
    groups_by,
    link,
    parse_pool,
    pool_by,
    pool_groups,
    pooled_tokens,
    token_pieces,
)
from engine.pooling.pieces import rarity
from engine.tokens import Token
from tests.conftest import ragged
from tests.tiny_models import ROWS, make_model

LENGTHS = [40, 1, 0, 2, 7, 23]
TEXT = "the harbour lights and the bread"


def marked(documents: TokenEmbeddings, added: int) -> TokenEmbeddings:
    """The same vectors, the last of each item being no token of its text."""
    return TokenEmbeddings(documents.values, documents.offsets, added=added)


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether vectors are the same, up to what scaling them to length 1 again rounds."""
    return one.shape == other.shape and np.allclose(one, other, atol=1e-6)


def scipy_clusters(vectors: np.ndarray, value: float, criterion: str) -> list[int]:
    """Ward's clusters by scipy, numbered by their first token."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if len(vectors) < 2:
        return [0] * len(vectors)
    distance = np.clip(1 - vectors @ vectors.T, 0, 2)
    labels = fcluster(linkage(squareform(distance, checks=False), method="ward"), t=value, criterion=criterion)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(label, len(numbers)) for label in labels.tolist()]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), length=st.integers(0, 40), added=st.integers(0, 2), protected=st.integers(0, 2),
       spare=st.integers(1, 30))  # fmt: skip
def test_a_budget_of_tokens_is_kept_and_cut_as_scipy_cuts(seed, length, added, protected, spare) -> None:
    documents = marked(ragged(np.random.default_rng(seed), [length, 9], 10), added)
    tokens = protected + added + spare
    groups, offsets = groups_by(documents, PoolSettings(tokens=tokens, protected=protected))
    pooled = pool(documents, tokens=tokens, protected=protected)
    assert pooled.lengths.tolist() == np.diff(offsets).tolist() == [min(length, tokens), min(9, tokens)]
    tail = min(added, length)
    first = min(protected, length - tail)
    expected = scipy_clusters(documents[0][first : length - tail], spare, "maxclust")
    assert groups[:first].tolist() == list(range(first))
    assert (groups[first : length - tail] - first).tolist() == expected
    assert same(pooled[0][len(pooled[0]) - tail :], documents[0][length - tail :])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), length=st.integers(2, 40), distance=st.floats(0.05, 3))
def test_a_distance_cuts_where_scipy_cuts(seed, length, distance) -> None:
    documents = ragged(np.random.default_rng(seed), [length, 5], 6)
    groups, offsets = groups_by(documents, PoolSettings(distance=distance, protected=0))
    assert groups[:length].tolist() == scipy_clusters(documents[0], distance, "distance")
    assert offsets[1] == groups[:length].max() + 1


def test_beside_each_other_the_one_that_keeps_more_decides_and_a_budget_of_tokens_holds() -> None:
    documents = ragged(np.random.default_rng(1), LENGTHS, 8)
    linked = link(documents)
    by_factor, by_distance = linked.pool(4).lengths, linked.pool(distance=0.8).lengths
    assert (by_factor != by_distance).any()
    both = linked.pool(4, distance=0.8)
    assert both.lengths.tolist() == np.maximum(by_factor, by_distance).tolist()
    assert linked.pool(4, distance=0.8, tokens=6).lengths.tolist() == np.minimum(both.lengths, 6).tolist()
    assert pool(documents, 2, "sequential", tokens=6).lengths.tolist() == [6, 1, 0, 2, 4, 6]
    assert linked.pool(1, tokens=100).lengths.tolist() == LENGTHS  # room for all


@pytest.mark.parametrize("spec", ["factor=inf", "factor=2", "distance=3", "tokens=4", "once,importance=.1"])
@pytest.mark.parametrize("method", ["hierarchical", "sequential"])
def test_vectors_that_the_model_added_neither_merge_nor_go(spec: str, method: str) -> None:
    plain = ragged(np.random.default_rng(2), LENGTHS, 8)
    for item in (0, 4, 5):  # as alike as can be: any merge would take them first
        plain[item][-2:] = plain[item][-3:-2]
    documents = marked(plain, 2)
    if method == "sequential" and spec.startswith("distance"):
        pytest.skip("runs have no distance")
    wanted = parse_pool(f"{spec},method={method}")
    pieces = Pieces(np.zeros(documents.n_tokens, np.int64), np.zeros(documents.n_tokens, np.float32))
    pooled, (groups, offsets) = pool_by(documents, wanted, pieces), groups_by(documents, wanted, pieces)
    assert pooled.added == 2
    for item, length in enumerate(LENGTHS):
        tail = min(2, length)
        start, end = documents.offsets[item], documents.offsets[item + 1]
        assert same(pooled[item][len(pooled[item]) - tail :], documents[item][length - tail :])
        assert groups[end - tail : end].tolist() == list(range(offsets[item + 1] - tail, offsets[item + 1]))
        assert not set(groups[start : end - tail]) & set(groups[end - tail : end])


def test_vectors_keep_how_many_were_added(tmp_path: Path) -> None:
    documents = marked(ragged(np.random.default_rng(3), LENGTHS, 8), 2)
    documents.save(tmp_path / "saved")
    changed = [TokenEmbeddings.open(tmp_path / "saved"), documents[1:4], documents[::2], documents.select([4, 0])]
    changed += [documents.astype("float16"), documents.prefix(4), pool(documents, 2), pool(documents, tokens=5)]
    assert [found.added for found in changed] == [2] * len(changed)


def dropped_plainly(names: list[int], importance: list[float], wanted: PoolSettings, added: int) -> list[int]:
    """Positions of one document that stay."""
    own = range(len(names) - min(added, len(names)))
    free = [i for i in own if i >= wanted.protected]
    if wanted.once:
        free = [i for i in free if names[i] not in {names[j] for j in free if j < i}]
    if wanted.importance is not None and free:
        count = max(math.ceil(round(wanted.importance * len(free), 6)), 1)
        free = sorted(free, key=lambda i: (-importance[i], i))[:count]
    return sorted([*(i for i in range(len(names)) if i not in own or i < wanted.protected), *free])


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=4), seed=st.integers(0, 2**31), once=st.booleans(),
    share=st.sampled_from([None, 0.1, 0.3, 0.5, 0.9]), protected=st.integers(0, 2), added=st.integers(0, 2),
)  # fmt: skip
def test_what_is_dropped(lengths, seed, once, share, protected, added) -> None:
    rng = np.random.default_rng(seed)
    documents, total = marked(ragged(rng, lengths, 4), added), sum(lengths)
    pieces = Pieces(rng.integers(0, 5, total), rng.integers(0, 4, total).astype(np.float32))
    wanted = PoolSettings(importance=share, once=once, protected=protected)
    groups, offsets = groups_by(documents, wanted, pieces)
    pooled = pool(documents, importance=share, once=once, protected=protected, pieces=pieces, factor=1)
    for item, (start, end) in enumerate(zip(documents.offsets[:-1], documents.offsets[1:], strict=True)):
        names, matters = pieces.names[start:end].tolist(), pieces.importance[start:end].tolist()
        stays = dropped_plainly(names, matters, wanted, added)
        assert np.flatnonzero(groups[start:end] >= 0).tolist() == stays
        assert same(pooled[item], documents[item][stays])
        assert groups[start:end][stays].tolist() == list(range(offsets[item], offsets[item + 1]))


def test_what_is_left_is_merged_as_if_nothing_else_had_been_there() -> None:
    documents = ragged(np.random.default_rng(4), [30, 12], 8)
    pieces = Pieces(np.arange(42) % 9, np.random.default_rng(5).random(42).astype(np.float32))
    both = parse_pool("importance=.6,factor=2")
    left = pool_by(documents, parse_pool("importance=.6"), pieces)
    assert np.array_equal(pool_by(documents, both, pieces).values, pool(left, 2).values)
    groups = groups_by(documents, both, pieces)[0]
    assert np.array_equal(groups[groups >= 0], pool_groups(left, 2)[0])


def test_rarity_by_hand() -> None:
    names, offsets = np.array([7, 7, 3, 7, 5]), np.array([0, 3, 5])
    expected = [math.log(1 + (2 - documents + 0.5) / (documents + 0.5)) for documents in (2, 2, 1, 2, 1)]
    np.testing.assert_allclose(rarity(names, offsets), expected, rtol=1e-6)


def test_pieces_stand_beside_the_vectors_of_the_encoder(tmp_path: Path) -> None:
    encoder = Encoder(make_model(tmp_path, skiplist=[","]))
    texts = [TEXT, "seven clocks, and none of them agrees with the seven"]
    documents, pieces = encoder.encode_document(texts), token_pieces(encoder, texts)
    tokens = [token for text in texts for token in encoder.tokens(text, "document")]
    assert len(pieces.names) == documents.n_tokens == len(tokens)
    by_name = {}
    for name, token in zip(pieces.names.tolist(), tokens, strict=True):
        assert by_name.setdefault(name, token.text) == token.text
    once = pool(documents, once=True, pieces=pieces)
    assert once.lengths.tolist() == [len({str(t) for t in encoder.tokens(text, "document")}) for text in texts]
    [the] = {name for name, text in by_name.items() if text == "the"}
    assert pieces.importance[pieces.names == the].max() < pieces.importance.max()  # in both texts
    with pytest.raises(UnsupportedError, match="by=rarity"):
        token_pieces(encoder, texts, "model")


class Gate(torch.nn.Module):
    """Learned importance that depends on the vectors, as in ColBERTer."""

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return features

    def token_importance(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        return features["token_embeddings"][..., 0]


def test_a_model_says_which_tokens_matter(tmp_path: Path) -> None:
    encoder = Encoder(make_model(tmp_path, extra=[Gate()], skiplist=["and"]))
    documents = encoder.encode_document([TEXT])
    told = token_pieces(encoder, [TEXT], "model").importance
    np.testing.assert_allclose(told, documents[0][:, 0], atol=1e-5)
    kept = pool(documents, importance=0.5, pieces=token_pieces(encoder, [TEXT], "model"), protected=0)
    assert sorted(kept[0][:, 0]) == sorted(documents[0][:, 0])[-len(kept[0]) :]


def test_weights_of_ids_are_importances_and_mean_tokens_matter_most(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    head = LateHead(16, 8, ROWS)
    with torch.no_grad():
        head.mean_weights.copy_(torch.arange(ROWS))
    model.append(head.eval())
    encoder = Encoder(model)
    documents, told = encoder.encode_document([TEXT]), token_pieces(encoder, [TEXT], "model").importance
    ids = encoder.model.preprocess([TEXT])["input_ids"][0].tolist()
    assert documents.added == encoder.added == 2
    assert told.tolist() == [*map(float, ids), math.inf, math.inf]
    pooled = pool(documents, math.inf)
    assert len(pooled[0]) == 4  # [CLS], the text, and both means
    assert same(pooled[0][-2:], documents[0][-2:])
    with pytest.raises(InputError, match="4 or more tokens a document, one for the text beside 1 protected and 2 that"):
        pool(documents, tokens=3)


def test_pooled_tokens_name_what_went_together() -> None:
    tokens = [Token(word, 2 * i, 2 * i + 1, "text") for i, word in enumerate("abcde")]
    found = pooled_tokens(tokens, [0, 1, -1, 1, 2])
    assert [token.text for token in found] == ["a", "b + d", "e"]
    assert [part.text for part in found[1].parts] == ["b", "d"]


choices = st.builds(
    PoolSettings, factor=st.sampled_from([1, 1.5, 2, 7, math.inf]), tokens=st.none() | st.integers(4, 99),
    distance=st.none() | st.floats(0.01, 2), importance=st.none() | st.floats(0.01, 1), once=st.booleans(),
    protected=st.integers(0, 3),
)  # fmt: skip


@settings(deadline=None)
@given(choices)
def test_the_text_of_settings_reads_back_as_themselves(wanted: PoolSettings) -> None:
    assert parse_pool(str(wanted)) == wanted
    assert parse_pool(str(wanted).replace(",", "+")) == wanted
    assert hash(parse_pool(str(wanted))) == hash(wanted)


def test_settings_have_one_text() -> None:
    texts = ["", "2", "factor=2.0", "one", " tokens = 64 , factor=3", "once=false", "importance=1", "distance=.30"]
    assert [str(parse_pool(text)) for text in texts] == [
        "", "factor=2", "factor=2", "factor=inf", "factor=3,tokens=64", "", "", "distance=0.3",
    ]  # fmt: skip
    assert parse_pool(3) == parse_pool("factor=3")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("factor=.5", "pool factor of 1 or more"),
        ("factor=nan", "pool factor of 1 or more"),
        ("two", "a number as factor of pooling, got 'two'"),
        ("token=64", "did you mean tokens"),
        ("speed=2", "there are factor, tokens"),
        ("tokens=1", "2 or more tokens a document, one for the text beside 1 protected, got 1"),
        ("tokens=6.5", "a whole number as tokens"),
        ("tokens=-3", "tokens as a whole number of 1 or more"),
        ("tokens=99999999999999999999", "lower it"),
        ("distance=0", "a distance above 0"),
        ("distance=inf", "a distance above 0"),
        ("distance=.2,method=sequential", "leave one of the two out"),
        ("importance=0", "a share above 0 and up to 1"),
        ("importance=1.5", "a share above 0 and up to 1"),
        ("by=model", "an importance beside by=model"),
        ("importance=.5,by=length", "Unknown importance 'length'"),
        ("once=maybe", "once as true or false"),
        ("tokens=8,tokens=9", "gives tokens twice"),
        ("method=kmeans", "hierarchical, sequential"),
        ("protected=-1", "protected as a whole number"),
    ],
)
def test_what_cannot_be_is_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        parse_pool(text)


def test_mistakes_with_vectors_are_named() -> None:
    documents = ragged(np.random.default_rng(6), [5, 3], 4)
    with pytest.raises(InputError, match="the pieces of all tokens to pool by once, got none"):
        pool(documents, once=True)
    few = Pieces(np.zeros(3, np.int64), np.zeros(3, np.float32))
    with pytest.raises(InputError, match="the pieces of 8 tokens, got those of 3"):
        pool(documents, importance=0.5, pieces=few)
    holes = Pieces(np.zeros(8, np.int64), np.full(8, np.nan, np.float32))
    with pytest.raises(InputError, match="NaN"):
        pool(documents, importance=0.5, pieces=holes)
    with pytest.raises(InputError, match="Unknown importance"):
        token_pieces(None, [], "length")  # type: ignore[arg-type]
