"""The head of nested vectors, weighted queries and mean tokens: what its vectors promise to every index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine import Encoder, TokenEmbeddings, explain, maxsim
from engine.errors import InputError
from engine.late_head import MEAN_TOKENS, LateHead, prefix
from workbench.embedded.model import load

VOCABULARY = 50


@pytest.fixture
def head() -> LateHead:
    torch.manual_seed(0)
    made = LateHead(24, 16, VOCABULARY, marker=0.9, nested=(8, 16))
    with torch.no_grad():
        made.query_weights.uniform_(0.2, 2)
        made.mean_weights.uniform_(0.2, 2)
        made.query_mean.fill_(1.5)
    return made.eval()


def features(lengths: list[int], seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    longest = max(lengths)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    vectors, ids = torch.randn(len(lengths), longest, 24), torch.randint(0, VOCABULARY, (len(lengths), longest))
    return {"token_embeddings": vectors, "attention_mask": mask.long(), "input_ids": ids}


def kept(output: dict[str, torch.Tensor], row: int) -> torch.Tensor:
    return output["token_embeddings"][row][output["attention_mask"][row].bool()]


def test_lengths_are_one_for_documents_and_the_weights_for_queries(head: LateHead) -> None:
    given = features([5, 3])
    documents, queries = (head(dict(given), task=task) for task in ("document", "query"))
    for row, length in enumerate((5, 3)):
        assert kept(documents, row).norm(dim=1).detach().numpy() == pytest.approx(np.ones(length + 2), abs=1e-5)
        weights = head.query_weights[given["input_ids"][row][:length]].tolist()
        share = 1.5 * sum(weights)
        assert kept(queries, row).norm(dim=1).tolist() == pytest.approx([*weights, share, share], rel=1e-5)


def test_padding_and_neighbours_change_nothing(head: LateHead) -> None:
    given = features([6, 2])
    alone = {name: value[1:, :2] for name, value in given.items()}
    assert torch.allclose(kept(head(dict(given)), 1), kept(head(alone), 0), atol=1e-6)


def test_a_mean_token_meets_its_own_counterpart(head: LateHead) -> None:
    query, document = kept(head(features([4], 1), task="query"), 0), kept(head(features([30], 2)), 0)
    best = (query @ document.T).argmax(dim=1).tolist()
    assert best[-2:] == [30, 31]
    assert all(place < 30 for place in best[:-2])


def test_a_text_of_which_nothing_is_left_gets_no_mean(head: LateHead) -> None:
    given = features([4, 4])
    given["attention_mask"][1] = 0
    assert len(kept(head(given), 1)) == 0


def test_prefixes_keep_their_length_and_equal_those_of_stored_vectors(head: LateHead) -> None:
    queries = kept(head(features([7]), task="query"), 0).detach()
    short = prefix(queries, 8)
    assert short.norm(dim=1).tolist() == pytest.approx(queries.norm(dim=1).tolist(), abs=1e-5)
    stored = TokenEmbeddings(queries.numpy().copy(), np.array([0, 9]), "model")
    assert np.allclose(stored.prefix(8).values, short.numpy(), atol=1e-6)
    assert np.array_equal(stored.values, queries.numpy())
    assert stored.prefix(16) is stored
    with pytest.raises(InputError, match="dim from 1 to 16"):
        stored.prefix(17)


def test_saved_and_loaded_it_is_the_same(head: LateHead, tmp_path: Path) -> None:
    head.save(str(tmp_path))
    again = LateHead.load(str(tmp_path)).eval()
    given = features([5])
    assert torch.equal(kept(head(dict(given)), 0), kept(again(dict(given)), 0))
    assert again.nested == [8, 16]


def test_gradients_reach_every_weight(head: LateHead) -> None:
    query, document = kept(head(features([4], 1), task="query"), 0), kept(head(features([9], 2)), 0)
    (query @ document.T).amax(dim=1).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in head.parameters())


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """The packaged backbone with a head that was never trained."""
    folder = tmp_path_factory.mktemp("head")
    torch.manual_seed(0)
    LateHead(384, 64, 30522, nested=(32, 64)).save(str(folder))
    model, note = load("cpu", head=folder)
    model.eval()
    return Encoder(model, "headed", note)


def test_explanations_name_the_mean_tokens_and_add_up(encoder: Encoder) -> None:
    question, text = "where is the biggest number", "Return the index of the largest value."
    found = explain(encoder, question, text)
    assert [token.text for token in found.query_tokens[-2:]] == list(MEAN_TOKENS)
    assert found.document_tokens[-1].text == MEAN_TOKENS[1]
    scores = maxsim(encoder.encode_query([question]), encoder.encode_document([text]))
    assert found.score == pytest.approx(scores[0, 0], abs=1e-3)
    assert len(found.document_tokens) == len(encoder.encode_document([text])[0])


def test_a_saved_model_loads_without_trusting_its_code(encoder: Encoder, tmp_path: Path) -> None:
    encoder.model.save(str(tmp_path))
    again = Encoder.load(str(tmp_path), "cpu", "float32")
    texts = ["Return the index of the largest value."]
    assert np.array_equal(again.encode_query(texts).values, encoder.encode_query(texts).values)
    assert again.tokens(texts[0], "document") == encoder.tokens(texts[0], "document")


def test_a_model_loads_with_fewer_dimensions(encoder: Encoder, tmp_path: Path) -> None:
    encoder.model.save(str(tmp_path))
    whole, short = (Encoder.load(str(tmp_path), "cpu", "float32", dim=dim) for dim in (None, 32))
    texts = ["Return the index of the largest value.", "Sort a list."]
    assert short.dim == short.describe()["dim"] == 32
    expected = whole.encode_document(texts).prefix(32)
    assert np.allclose(short.encode_document(texts).values, expected.values, atol=1e-5)
    assert short.fingerprint == expected.fingerprint != whole.fingerprint
    assert len(short.tokens(texts[0], "document")) == len(short.encode_document(texts)[0])
    with pytest.raises(InputError, match="dim from 1"):
        Encoder.load(str(tmp_path), "cpu", dim=4096)
