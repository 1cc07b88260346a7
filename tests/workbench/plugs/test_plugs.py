"""Each plug in the package that it is for: the same order and scores as the engine's, and nothing of theirs changed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from engine import Collection, maxsim
from engine.errors import InputError
from tests.conftest import FakeEncoder
from workbench.client import Client, schema
from workbench.plugs import Ranker
from workbench.workspace import Workspace, open_workspace

QUESTION = "index of the largest value"
TEXTS = ["sleep for some seconds", "the index of the largest value", "  ", "a sorted value"]


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    return Ranker(FakeEncoder())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def workspace(tiny_collection: Collection) -> Workspace:
    return open_workspace(tiny_collection, FakeEncoder(), "exact")  # type: ignore[arg-type]


def expected(texts: list[str]) -> np.ndarray:
    encoder = FakeEncoder()
    return maxsim(encoder.encode_query([QUESTION]), encoder.encode_document(texts))[0]


def test_scores_are_those_of_the_engine(ranker: Ranker) -> None:
    scores = ranker.scores(QUESTION, TEXTS)
    assert np.array_equal(scores[[0, 1, 3]], expected([TEXTS[0], TEXTS[1], TEXTS[3]]))
    assert scores[2] == -np.inf
    assert [place for place, _ in ranker.best(QUESTION, TEXTS)] == [1, 3, 0, 2]
    assert ranker.best(QUESTION, []) == []
    with pytest.raises(InputError, match="question"):
        ranker.scores(" ", TEXTS)
    with pytest.raises(InputError):
        Ranker(FakeEncoder(), scorer="nobody")  # type: ignore[arg-type]


def test_a_server_scores_in_place_of_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    client, asked = Client("http://127.0.0.1:9"), []

    def rerank(question: str, texts: list[str], **options: Any) -> SimpleNamespace:
        asked.append((question, texts, options))
        return SimpleNamespace(results=[schema.Reranked(rank=1, index=1, id=None, score=2.5)])

    monkeypatch.setattr(client, "rerank", rerank)
    assert Ranker(client, "xtr").scores("a", ["x", "", "y"]).tolist() == [-np.inf, -np.inf, 2.5]
    assert asked == [("a", ["x", "y"], {"scorer": "xtr"})]


def test_rerankers(ranker: Ranker) -> None:
    rerankers = pytest.importorskip("rerankers")
    from workbench.plugs.rerankers import LateInteractionRanker

    plug = LateInteractionRanker(ranker.encoder)
    found = plug.rank(QUESTION, TEXTS, doc_ids=["a", "b", "c", "d"], metadata=[{"n": n} for n in range(4)])
    assert [(one.doc_id, one.rank, one.n) for one in found] == [("b", 1, 1), ("d", 2, 3), ("a", 3, 0), ("c", 4, 2)]
    assert found.get_score_by_docid("b") == plug.score(QUESTION, TEXTS[1]) == expected([TEXTS[1]])[0]
    assert [one.document.text for one in found.top_k(1)] == [TEXTS[1]]
    document = rerankers.Document(text=TEXTS[1], doc_id="x")
    assert plug.rank(QUESTION, [document])[0].document is document
    assert plug.rank(QUESTION, []).results_count() == 0
    assert plug.rank(QUESTION, TEXTS[1]).results_count() == 1


def test_langchain(ranker: Ranker, workspace: Workspace) -> None:
    pytest.importorskip("langchain_core")
    from langchain_core.documents import Document
    from langchain_core.runnables import RunnableLambda

    from workbench.plugs.langchain import SCORE, LateInteractionCompressor, LateInteractionRetriever

    retriever = LateInteractionRetriever(searched=workspace, k=2)
    found = retriever.invoke(QUESTION)
    hits = workspace.search(QUESTION, 2).hits
    assert [(one.id, one.page_content, one.metadata[SCORE]) for one in found] == [
        (hit.id, hit.text, hit.score) for hit in hits
    ]
    few = LateInteractionRetriever(searched=workspace, where="text LIKE '%file%'").invoke("join strings")
    assert {one.id for one in few} == {"open", "glob"}
    given = [Document(page_content=text, metadata={"n": n}) for n, text in enumerate(TEXTS)]
    compressor = LateInteractionCompressor(ranker=ranker, top_n=2)
    kept = compressor.compress_documents(given, QUESTION)
    assert [(one.metadata["n"], one.page_content) for one in kept] == [(1, TEXTS[1]), (3, TEXTS[3])]
    assert all(SCORE not in one.metadata for one in given)
    behind: Any = RunnableLambda(lambda documents: compressor.compress_documents(cast(Any, documents), QUESTION))
    chain = retriever | behind
    assert [one.id for one in chain.invoke(QUESTION)] == [hit.id for hit in hits]
    with pytest.raises(ValueError, match="top_n"):
        LateInteractionCompressor(ranker=ranker, top_n=0)


def test_llama_index(ranker: Ranker) -> None:
    pytest.importorskip("llama_index.core")
    from llama_index.core.schema import NodeWithScore, TextNode

    from workbench.plugs.llama_index import LateInteractionRerank

    nodes = [NodeWithScore(node=TextNode(text=text, id_=str(n)), score=0.5) for n, text in enumerate(TEXTS)]
    found = LateInteractionRerank(ranker=ranker, top_n=2).postprocess_nodes(nodes, query_str=QUESTION)
    assert [(one.node.node_id, one.score) for one in found] == [
        ("1", expected([TEXTS[1]])[0]), ("3", expected([TEXTS[3]])[0])
    ]  # fmt: skip
    assert [node.score for node in nodes] == [0.5] * 4
    with pytest.raises(InputError, match="query"):
        LateInteractionRerank(ranker=ranker).postprocess_nodes(nodes)


def test_sentence_transformers(ranker: Ranker) -> None:
    from sentence_transformers.cross_encoder.evaluation import CrossEncoderRerankingEvaluator

    from workbench.plugs.sentence_transformers import PairScorer

    plug = PairScorer(ranker.encoder)
    best = plug.rank(QUESTION, TEXTS, top_k=2, return_documents=True)
    assert [(one["corpus_id"], one["text"]) for one in best] == [(1, TEXTS[1]), (3, TEXTS[3])]
    pairs = [(QUESTION, TEXTS[1]), ("sorted value", TEXTS[3]), (QUESTION, TEXTS[3])]
    found = plug.predict(pairs)
    assert isinstance(found, np.ndarray)
    assert [plug.predict(pair) for pair in pairs] == found.tolist()
    sample = {"query": QUESTION, "positive": [TEXTS[1]], "negative": [TEXTS[0], TEXTS[3]]}
    measured = CrossEncoderRerankingEvaluator([sample], write_csv=False)(plug)  # type: ignore[arg-type]
    assert measured["mrr@10"] == 1.0
    assert plug.model_card_data.evaluations[0]["ndcg@10"] == 1.0
    with pytest.raises(InputError, match="pairs"):
        plug.predict([("one",), ("two",)])
    with pytest.raises(InputError, match="prompt_name"):
        plug.predict(pairs, prompt_name="query")


def test_a_model_of_sentence_transformers_ranks(embedded_encoder: Any) -> None:
    found = Ranker(embedded_encoder.model).best("parse JSON text", ["sleep a second", "read an object from JSON"])
    assert [place for place, _ in found] == [1, 0]
