"""The text of a system: what it means, the one text that stands for it, and a sentence for each mistake."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from workbench.systems.fusion import FusionOptions
from workbench.systems.text import Fused, Leaf, Reranked, leaves, parse_system


def leaf(text: str) -> Leaf:
    found = parse_system(text)
    assert isinstance(found, Leaf)
    return found


def by(text: str) -> Leaf:
    found = parse_system(f"bm25 > {text}")
    assert isinstance(found, Reranked)
    return found.by


@pytest.mark.parametrize(
    ("text", "one"),
    [
        ("bm25", "bm25"),
        ("  bm25:k=1000>maxsim ", "bm25:k=1000 > maxsim"),
        ("bm25:k1=1.2:k=1000", "bm25:k=1000,k1=1.2"),
        ("bm25:k1=1.5,b=.75", "bm25"),
        ("(bm25)", "bm25"),
        ("(bm25 + single) > maxsim", "bm25 + single > maxsim"),
        ("(bm25+single):by=rank", "bm25 + single"),
        ("(bm25+single):by=score,weights=.3/.7", "(bm25 + single):by=score,weights=.3/.7"),
        ("bm25 + (single > maxsim)", "bm25 + (single > maxsim)"),
        ("(bm25 + single) + exact", "(bm25 + single) + exact"),
        ("plaid:bits=2,n_probe=8,k=50 > maxsim:encode", "plaid:k=50,bits=2,n_probe=8 > maxsim:encode"),
        ("plaid:bits=4", "plaid"),
        ('bm25 > maxsim:"plaid:bits=2"', 'bm25 > maxsim:"plaid:bits=2"'),
        ("bm25 > maxsim:vectors=plaid", "bm25 > maxsim:plaid"),
        ("bm25 > xtr:retrieved=200:k=50 > maxsim", "bm25 > xtr:k=50,retrieved=200 > maxsim"),
        ('bm25 > cross-encoder:"a/na+me":k=20', 'bm25 > cross-encoder:"a/na+me",k=20'),
        ("bm25 > cross-encoder:a/name:k=50", "bm25 > cross-encoder:a/name"),
        ("single:some/model,index=hnsw", "single:some/model,index=hnsw"),
    ],
)
def test_one_text_stands_for_a_system(text: str, one: str) -> None:
    assert str(parse_system(text)) == one
    assert str(parse_system(one)) == one
    assert parse_system(one) == parse_system(text)


def test_plus_binds_closer_than_rerank() -> None:
    tree = parse_system("bm25 + single > maxsim")
    assert tree == Reranked(Fused((leaf("bm25"), leaf("single")), FusionOptions()), by("maxsim"))
    assert [entry.name for entry in leaves(tree)] == ["bm25", "single", "maxsim"]


FINDERS = st.sampled_from(["bm25", "single", "exact", "plaid", "hnsw", "bm25:k=7", "bm25:b=0.5", "plaid:bits=2"]).map(
    leaf
)
RERANKERS = st.sampled_from(["maxsim", "maxsim:encode", "top-mean:m=2", "cross-encoder:x/y", "maxsim:k=9"]).map(by)
OPTIONS = st.builds(
    FusionOptions, by=st.sampled_from(["rank", "score"]), constant=st.integers(0, 99), k=st.integers(0, 9)
)
TREES: st.SearchStrategy[Any] = st.recursive(
    FINDERS,
    lambda inner: st.one_of(
        st.builds(Reranked, inner, RERANKERS),
        st.builds(Fused, st.lists(inner, min_size=2, max_size=3, unique_by=str).map(tuple), OPTIONS),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(tree=TREES)
def test_the_text_of_any_tree_is_read_as_that_tree(tree: Any) -> None:
    assert parse_system(str(tree)) == tree


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Expected a system, got nothing"),
        ("bm52", r"Unknown stage 'bm52': these find documents: bm25, single, .*these rerank them: maxsim.*"),
        ("bm25 maxsim", "Unknown stage 'bm25 maxsim'"),
        ("maxsim", r"'maxsim' reranks what another one found, and there is none: write bm25 > maxsim"),
        ("bm25 + maxsim", "'maxsim' reranks what another one found"),
        ("cross-encoder:x", "'cross-encoder' reranks what another one found"),
        ("bm25 > plaid", r"'plaid' finds documents and cannot rerank.*maxsim"),
        ("bm25 >", "Expected a stage that reranks at the end"),
        ("> maxsim", "Expected a stage that finds documents before '>'"),
        ("bm25 + ", "Expected a stage that finds documents at the end"),
        ("bm25 + + single", "before '\\+'"),
        ("(bm25 + single", "closing bracket"),
        ("bm25)", r"Expected \+ or > before '\)'"),
        ("()", "before '\\)'"),
        ("(bm25) single", "Expected \\+ or > before 'single'"),
        ("bm25 > (maxsim)", "one stage that reranks after >"),
        ('bm25 > maxsim:"plaid', "second quote"),
        ("bm25 + bm25", "fuses a part with itself"),
        ("(bm25):by=score", "behind one part"),
        ("bm25:depth=3", "no option 'depth': it knows k, k1, b, method, delta, stemmer, stopwords"),
        ("plaid:bit=2", "no option 'bit': it knows k, bits"),
        ("exact:k=1,dtype=float64", "float16 or float32"),
        ("bm25 > maxsim:m=2", "no option 'm': it knows k, vectors"),
        ("bm25 > top-mean:n=2", "no option 'n': it knows k, vectors, m"),
        ("bm25 > top-mean:m=0", "whole number of 1 or more"),
        ("bm25 > maxsim:bm25", "vectors=held, encode or an index"),
        ("(bm25+single):how=rank", "A fusion has no option 'how': it knows by, weights, constant, k, seed"),
        ("(bm25+single):by=votes", "choose by=rank or by=score"),
        ("(bm25+single):weights=1/2/3", "weights of 2 parts"),
        ("(bm25+single):weights=-1/2", "weights of 2 parts"),
        ("(bm25+single):weights=0/0", "weights of 2 parts"),
        ("(bm25+single):weights=nan/1", "weights of 2 parts"),
        ("bm25:k=x", "whole number as k of 'bm25'"),
        ("bm25:k=-1", "whole number of 0 or more"),
        ("exact:k=1.5", "whole number of 0 or more"),
        ("bm25:k=1:k=2", "is given k twice"),
        ("bm25:1000", "Expected name=value as an option of 'bm25'"),
        ("bm25:b=2", "a number of 0 to 1"),
        ("bm25:k1=nan", "a number of 0 or more"),
        ("bm25:k1=inf", "a number of 0 or more"),
        ("bm25:method=best", "choose among lucene"),
        ("bm25 > cross-encoder", "Expected a model for 'cross-encoder'"),
        ("bm25 > cross-encoder:x:y", "Expected name=value"),
        ("single:index=plaid", "choose among exact, hnsw"),
        ("single:pooling=max", "choose among mean, cls"),
        ("single:x/y,pooling=cls", "a model named has its own"),
        ("bm25" + " > maxsim" * 400, "at most 2000 characters"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        parse_system(text)
