"""Systems: each stage's results by the plain way to get them, what is sent on, and what is refused before building."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine import Collection, TokenEmbeddings, create_index, evaluate, maxsim, rerank
from engine.errors import InputError, MissingExtraError, NotFoundError
from engine.indexes.hnsw import HnswIndex
from engine.maxsim import scorers
from tests.conftest import FakeEncoder
from workbench.experiments.prepare import Prepared, prepare
from workbench.systems import Answer, System, build, building
from workbench.systems.fusion import FusionOptions, fuse
from workbench.systems.stages import Found
from workbench.systems.weights import combinations

LEARNED = ("weighted-maxsim", "lite")  # scorers with weights that come from training


def asked(built: System) -> list[Answer]:
    rankings = built.search(built.ask(list(built.collection.queries.values())), 10)
    assert all(isinstance(ranking, Answer) for ranking in rankings)
    return rankings  # type: ignore[return-value]


def ids(rankings: list[Answer]) -> list[list[str]]:
    return [ranking.ids for ranking in rankings]


@pytest.mark.parametrize("name", [name for name in scorers.KINDS if name not in LEARNED])
def test_a_rerank_is_that_of_the_engine_on_what_was_sent_on(made: Prepared, name: str) -> None:
    found, first = asked(build(f"bm25:k=20 > {name}", made)), asked(build("bm25:k=20", made))
    whole = build("bm25", made).search(list(made.collection.queries.values()), 20)
    assert ids(first) == [ranking.ids[:10] for ranking in whole]
    names = list(made.collection.documents)
    expected = rerank(made.queries, [r.ids for r in whole], names, made.documents, 10, name)
    assert ids(found) == [ranking.ids for ranking in expected]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-5)


@pytest.mark.parametrize("kind", ["exact", "plaid", "hnsw"])
def test_a_kind_of_index_is_a_stage(made: Prepared, kind: str, tmp_path: object) -> None:
    index = create_index(kind, f"{tmp_path}/index")
    index.add(list(made.collection.documents), made.documents)
    expected = index.search(made.queries, 10)
    found = asked(build(kind, made))
    assert ids(found) == [ranking.ids for ranking in expected]
    assert [r.scores.tolist() for r in found] == [r.scores.tolist() for r in expected]


def test_vectors_of_a_rerank_are_held_stored_or_made_when_asked(made: Prepared) -> None:
    held, made_now = asked(build("bm25 > maxsim", made)), asked(build("bm25 > maxsim:encode", made))
    assert ids(held) == ids(made_now)
    bits = build('bm25 > maxsim:"plaid:bits=1"', made)
    stage = dict(bits.stages)['maxsim:"plaid:bits=1"']
    index = stage._index.index  # type: ignore[attr-defined]
    for number, ranking in enumerate(asked(bits)):
        scores = maxsim(made.queries.select([number]), index.stored(ranking.ids))[0]
        np.testing.assert_allclose(ranking.scores, scores, atol=1e-5)
    assert bits.bytes < build("bm25 > maxsim", made).bytes + 40_000
    assert dict(build("bm25 > maxsim:encode", made).stages)["maxsim:encode"].holdings == {}


def test_what_a_stage_sends_on_is_its_k_and_what_is_behind_a_reranks_k_keeps_its_order(made: Prepared) -> None:
    first = build("exact", made).search(made_questions(made), 20)
    for answer, before in zip(build("exact:k=20 > top-mean:k=5", made).search(made_questions(made), 20), first,
                              strict=True):  # fmt: skip
        assert answer.ids[5:] == before.ids[5:20]
        assert set(answer.ids[:5]) == set(before.ids[:5])
        assert np.all(np.diff(answer.scores) <= 0)
        assert [len(entry.found.positions) for entry in answer.passed] == [20, 20]  # type: ignore[attr-defined]
    short = build("bm25:k=3 > maxsim", made).search(made_questions(made), 10)
    assert max(map(len, short)) == 3
    assert max(map(len, build("bm25:k=3", made).search(made_questions(made), 10))) == 3
    assert max(map(len, build("bm25:k=30", made).search(made_questions(made), 10))) == 10
    deep = build("exact > maxsim", made).search(made_questions(made), 60)
    assert {len(ranking) for ranking in deep} == {60}


def made_questions(prepared: Prepared) -> list[str]:
    return list(prepared.collection.queries.values())


def test_ranks_are_fused_as_the_formula_says() -> None:
    found = [Found(np.array([3, 1, 2]), np.array([9.0, 5, 5], np.float32)),
             Found(np.array([2, 0]), np.array([0.5, 0.1], np.float32))]  # fmt: skip
    ties = np.array([0, 1, 2, 3])
    ranks = fuse(found, FusionOptions(), (0.5, 0.5), ties)
    expected = {3: 0.5 / 61, 1: 0.5 / 62, 2: 0.5 / 63 + 0.5 / 61, 0: 0.5 / 62}
    assert ranks.positions.tolist() == [2, 3, 0, 1]  # 0 and 1 tie: by id
    np.testing.assert_allclose(ranks.scores, [expected[i] for i in ranks.positions], rtol=1e-6)
    scores = fuse(found, FusionOptions(by="score"), (0.25, 0.75), ties)
    assert dict(zip(scores.positions.tolist(), scores.scores.tolist(), strict=True)) == {2: 0.75, 3: 0.25, 0: 0, 1: 0}
    empty = Found(np.empty(0, np.int64), np.empty(0, np.float32))
    assert fuse([empty, found[1]], FusionOptions(by="score"), (0.5, 0.5), ties).positions.tolist() == [2, 0]
    alike = Found(np.array([1, 2]), np.array([4.0, 4], np.float32))
    assert fuse([alike, empty], FusionOptions(by="score"), (1.0, 0.0), ties).scores.tolist() == [1, 1]


def test_weights_decide_and_one_part_alone_gives_its_order(made: Prepared) -> None:
    exact, single = asked(build("exact", made)), asked(build("single", made))
    assert ids(asked(build("(exact + single):weights=1/0", made))) == ids(exact)
    assert ids(asked(build("(exact + single):weights=0/1", made))) == ids(single)
    assert ids(asked(build("(exact + single):weights=2/2", made))) == ids(asked(build("exact + single", made)))


def test_combinations_add_up_and_begin_with_even_weights() -> None:
    for parts in range(2, 7):
        found = combinations(parts)
        assert len(found) == len(set(found)) <= 100
        assert all(sum(weights) == pytest.approx(1) and len(weights) == parts for weights in found)
    assert combinations(2)[0] == (0.5, 0.5)
    assert set(combinations(2)) == {(i / 20, 1 - i / 20) for i in range(21)} or len(combinations(2)) == 21


def test_weights_by_cross_validation_never_saw_the_question(made: Prepared) -> None:
    built = build("(exact + single):by=score,weights=cv,seed=1", made)
    weights = built.root.weights
    assert weights is not None
    collection = made.collection
    parts = [build(text, made) for text in ("exact", "single")]
    found = {q: [part.found(part.ask([collection.queries[q]])[0]) for part in parts] for q in collection.queries}
    options, ties = FusionOptions(by="score"), built.material.ties

    def mean(chosen: tuple[float, ...], queries: list[str]) -> float:
        rankings = {}
        for query in queries:
            fused = fuse(found[query], options, chosen, ties, 10)
            rankings[query] = Answer([built.material.ids[i] for i in fused.positions], fused.scores)
        scores = evaluate(rankings, collection, ["ndcg@10"]).per_query["ndcg@10"]
        return float(np.mean([scores[query] for query in queries]))

    judged = collection.judged_queries
    assert mean(weights.overall, judged) == pytest.approx(max(mean(w, judged) for w in combinations(2)), abs=1e-9)
    groups: dict[tuple[float, ...], list[str]] = {}
    for query in judged:
        groups.setdefault(weights.of(collection.queries[query]), []).append(query)
    assert weights.folds == 5
    assert weights.of("never asked") == weights.overall
    again = build("(exact + single):by=score,weights=cv,seed=1", made).root.weights
    assert again == weights
    described = built.describe()["stages"][-1]["options"]
    assert described["weights"] == list(weights.overall)
    assert sum(entry["questions"] for entry in described["held_out"]) == len(judged)


def test_times_and_counts_are_told_by_stage(made: Prepared) -> None:
    built = build("bm25:k=8 + single > maxsim", made)
    assert [entry["p50_ms"] for entry in built.describe()["stages"]] == [None] * 4
    answers = asked(built)
    assert [entry.stage for entry in answers[0].passed] == ["bm25:k=8", "single", "bm25:k=8 + single", "maxsim"]
    described = built.describe()
    assert [entry["stage"] for entry in described["stages"]] == [entry.stage for entry in answers[0].passed]
    bm25, single, fused, last = described["stages"]
    assert (bm25["entered"], single["entered"], single["sent"]) == (60, 60, 60)
    assert bm25["sent"] <= 8
    assert fused["sent"] == last["entered"] == 60
    assert last["sent"] == 10
    assert all(entry["p50_ms"] > 0 for entry in described["stages"])
    assert described["bytes"] == built.bytes == sum(e["bytes"] for e in described["stages"])
    assert described["text"] == "bm25:k=8 + single > maxsim"


def test_bytes_that_two_stages_share_count_once(made: Prepared) -> None:
    once = build("bm25 > maxsim", made)
    assert build("bm25 > maxsim:k=5 > mean-maxsim", made).bytes == once.bytes


def test_questions_are_encoded_once_and_those_of_the_collection_never_again(
    made: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    prepared = prepare(made.collection, FakeEncoder())  # type: ignore[arg-type]
    real = FakeEncoder.encode_query
    monkeypatch.setattr(FakeEncoder, "encode_query", lambda self, texts, *rest: encoded.append(len(texts))
                        or real(self, texts, *rest))  # fmt: skip
    built = build("exact + plaid > maxsim", prepared)
    built.search(built.ask(list(made.collection.queries.values())), 5)
    assert encoded in ([], [len(made.collection.queries)])  # kept by an earlier test, or now
    built.search(["a small boat", "bread"], 5)
    assert encoded[-1] == 2
    assert encoded.count(2) == 1


def test_a_lexical_system_encodes_nothing(made: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare(made.collection, FakeEncoder())  # type: ignore[arg-type]
    for task in ("query", "document"):
        monkeypatch.setattr(FakeEncoder, f"encode_{task}", lambda *given: pytest.fail("encoded"))
    built = build("bm25", prepared)
    assert built.search(["a small boat"], 3)[0].ids


def test_all_is_checked_before_anything_is_built(made: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "_stage", lambda *given: pytest.fail("it was built"))
    for text, sentence in (
        ("exact > cross-encoder:/no/such/folder", "/no/such/folder"),
        ("exact + single:/no/such/folder", "/no/such/folder"),
        ("exact > weighted-maxsim", "weights that come from training"),
    ):
        with pytest.raises((InputError, NotFoundError), match=sentence):
            build(text, made)
    few = Collection(dict(list(made.collection.documents.items())[:5]), {"q": "boat"}, {"q": {"d00": 1}}, "few")
    with pytest.raises(InputError, match="5 judged questions or more"):
        build("(exact + single):weights=cv", prepare(few, FakeEncoder()))  # type: ignore[arg-type]
    monkeypatch.setattr(HnswIndex, "check_installed", classmethod(lambda cls: _missing()))
    for text in ("bm25 + hnsw", "single:index=hnsw", "bm25 > maxsim:hnsw"):
        with pytest.raises(MissingExtraError):
            build(text, made)


def _missing() -> None:
    raise MissingExtraError("voyager is not installed")


def test_questions_that_are_none_are_refused(made: Prepared) -> None:
    built = build("bm25", made)
    with pytest.raises(InputError, match="Expected questions, got ' '"):
        built.search(["boat", " "], 5)
    with pytest.raises(InputError, match="k of 1 or more"):
        built.search(["boat"], 0)
    assert built.search([], 5) == []


def test_documents_without_vectors_are_found_by_words_and_fall_out_of_a_rerank() -> None:
    texts = {"a": "a small boat", "b": "small bread", "c": "clock"}
    vectors = TokenEmbeddings.from_list([np.eye(4, dtype=np.float32)[:2], np.empty((0, 4), np.float32),
                                         np.eye(4, dtype=np.float32)[2:]])  # fmt: skip
    queries = TokenEmbeddings.from_list([np.eye(4, dtype=np.float32)[:1]])
    prepared = prepare(Collection(texts, {"q": "small"}, {}, "few"), "vectors", vectors, queries)
    assert set(build("bm25", prepared).search(["small"], 3)[0].ids) == {"a", "b"}
    assert build("bm25 > maxsim", prepared).search(["small"], 3)[0].ids == ["a"]
    assert build("single", prepared).search(["small"], 3)[0].ids[0] == "a"


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_single_vector_is_the_mean_or_the_first_of_the_tokens_where_there_is_no_backbone(
    made: Prepared, pooling: str
) -> None:
    def pooled(vectors: TokenEmbeddings) -> np.ndarray:
        tokens = [item.astype(np.float32) for item in vectors]
        rows = np.stack([item[0] if pooling == "cls" else item.mean(axis=0) for item in tokens])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    scores = pooled(made.queries) @ pooled(made.documents).T
    for row, answer in zip(scores, asked(build(f"single:pooling={pooling}", made)), strict=True):
        np.testing.assert_allclose(answer.scores, np.sort(row)[::-1][:10], atol=1e-3)
    graph = asked(build(f"single:pooling={pooling},index=hnsw", made))
    assert ids(graph) == ids(asked(build(f"single:pooling={pooling}", made)))


def test_reasons_name_stages(made: Prepared) -> None:
    built = build("bm25 + single > maxsim", made)
    name = next(iter(made.collection.documents))
    word = made.collection.documents[name].split()[0]
    assert list(built.reasons(word, name)) == ["bm25"]
    assert built.reasons("qqq", name) == {"bm25": ()}, "no word counts, which is not the same as no sum of words"
    with pytest.raises(NotFoundError, match="no document 'nope'"):
        built.reasons(word, "nope")


def test_the_same_at_any_order_of_documents(made: Prepared) -> None:
    collection = made.collection
    turned = Collection(dict(reversed(collection.documents.items())), collection.queries, collection.qrels, "turned")
    for text in ("bm25", "single", "bm25 + single > maxsim"):
        ours, theirs = (asked(build(text, p)) for p in (made, prepare(turned, FakeEncoder())))  # type: ignore[arg-type]
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
            for _, group in itertools.groupby(zip(one.ids, one.scores, strict=True), lambda pair: pair[1]):
                names = [name for name, _ in group]
                assert names == sorted(names)
