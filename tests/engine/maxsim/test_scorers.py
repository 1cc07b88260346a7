"""Scorers: values by plain loops, gradients by finite differences, empty documents, names, and what is kept."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import TokenEmbeddings, maxsim, plugins, rerank
from engine.errors import CorruptDataError, InputError
from engine.maxsim import scorer_kinds, scorers
from engine.maxsim.differentiable import Ragged
from engine.maxsim.learned_scorers import Lite, WeightedMaxSim
from engine.maxsim.scorer_kinds import XTR, MaxSim, MeanMaxSim, SmoothMaxSim, TopMeanSim
from engine.maxsim.scorers import Scorer
from tests.conftest import ragged

DIM = 6
SETTINGS = {
    "smooth-maxsim": ":temperature=0.1", "top-mean": ":m=2", "xtr": ":retrieved=5,in_batch=6",
    "lite": ":m=3,width=4,tokens=5",
}  # fmt: skip


def made(name: str) -> Scorer:
    """A scorer of every name, with settings in which it differs from MaxSim."""
    scorer = scorers.get(name + SETTINGS.get(name, ""), dim=DIM)
    if isinstance(scorer, WeightedMaxSim):
        scorer.direction.data = torch.linspace(-1, 1, DIM)
    if isinstance(scorer, Lite):
        generator = torch.Generator().manual_seed(3)
        for parameter in scorer.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
    return scorer


every_scorer = pytest.mark.parametrize("scorer", [made(name) for name in scorers.names()], ids=scorers.names())


def by_hand(scorer: Scorer, query: np.ndarray, document: np.ndarray, everything: np.ndarray) -> float:
    s = query.astype(np.float64) @ document.astype(np.float64).T
    best = s.max(1)
    if isinstance(scorer, MeanMaxSim):
        return best.mean()
    if isinstance(scorer, SmoothMaxSim):
        t = scorer.temperature
        return sum(t * np.log(np.exp(row / t).sum()) for row in s)
    if isinstance(scorer, TopMeanSim):
        return sum(np.sort(row)[::-1][: scorer.m].mean() for row in s)
    if isinstance(scorer, XTR):
        floor = np.sort(query.astype(np.float64) @ everything.astype(np.float64).T, axis=1)[:, -scorer.retrieved]
        return np.maximum(best, floor).mean()
    if isinstance(scorer, Lite):
        return best.sum() + lite_by_hand(scorer, s)
    if isinstance(scorer, WeightedMaxSim):
        logits = query @ scorer.direction.detach().numpy()
        weights = np.exp(logits) / np.exp(logits).sum() * len(query)
        return float(weights @ best)
    return best.sum()


def lite_by_hand(scorer: Lite, s: np.ndarray) -> float:
    """The network, one number after the other."""
    rows, row_bias = scorer.rows.weight.detach().double().numpy(), scorer.rows.bias.detach().double().numpy()
    columns, bias = scorer.columns.weight.detach().double().numpy(), scorer.columns.bias.detach().double().numpy()
    features = np.zeros((scorer.width, scorer.tokens))
    for i, row in enumerate(s[: scorer.tokens]):
        largest = np.zeros(scorer.m)
        largest[: len(row)] = np.sort(row)[::-1][: scorer.m]
        features[:, i] = np.maximum(rows @ largest + row_bias, 0)
    again = np.stack([np.maximum(columns @ feature + bias, 0) for feature in features])
    return float(again.reshape(-1) @ scorer.out.detach().double().numpy())


def tensors(embeddings: TokenEmbeddings, gradient: bool = False) -> Ragged:
    values = torch.from_numpy(embeddings.values.copy()).requires_grad_(gradient)
    return Ragged(values, torch.from_numpy(embeddings.offsets))


@every_scorer
def test_values_by_hand(scorer: Scorer) -> None:
    rng = np.random.default_rng(0)
    queries, documents = ragged(rng, [4, 7], DIM), ragged(rng, [1, 9, 0, 3], DIM)
    scores = scorer.score(queries, documents)
    assert scores.dtype == np.float32
    assert (scores[:, 2] == -np.inf).all()
    for i in range(2):
        for j in (0, 1, 3):
            expected = by_hand(scorer, queries[i], documents[j], documents.values)
            assert scores[i, j] == pytest.approx(expected, abs=2e-5)
    assert scorer.formula
    assert scorer.source


same_in_training = pytest.mark.parametrize(
    "scorer", [made(name) for name in scorers.names() if name != "xtr"], ids=lambda scorer: type(scorer).__name__
)


@same_in_training
def test_training_sees_the_scores_of_search(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorer_kinds, "BLOCK_TOKENS", 4)  # several blocks of documents
    monkeypatch.setattr(scorer_kinds, "QUERY_TOKENS", 8)  # and of queries
    monkeypatch.setattr(scorer_kinds, "BLOCK_VALUES", 30)
    rng = np.random.default_rng(2)
    queries, documents = ragged(rng, [4, 7, 1], DIM), ragged(rng, [2, 9, 0, 3], DIM)
    scores = scorer(tensors(queries), tensors(documents)).detach().numpy()
    np.testing.assert_allclose(scorer.score(queries, documents), scores, atol=2e-5)
    part = scorer.score(queries, documents.select([3, 1]), within=documents)
    np.testing.assert_allclose(part, scores[:, [3, 1]], atol=2e-5)
    columns = [tensors(documents.select(rows)) for rows in ([0, 1, 3], [3, 0, 1])]
    own = scorer.matched(tensors(queries), columns).detach().numpy()
    whole = scorer(tensors(queries), tensors(documents.select([0, 1, 3, 3, 0, 1]))).detach().numpy()
    np.testing.assert_allclose(own, np.stack([whole[range(3), [0, 1, 2]], whole[range(3), [3, 4, 5]]], 1), atol=2e-5)


@every_scorer
@pytest.mark.parametrize("matched", [False, True])
def test_gradients_by_finite_differences(scorer: Scorer, matched: bool) -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(3)
    sides = tensors(ragged(rng, [3, 2], DIM)), tensors(ragged(rng, [5, 3, 4, 1], DIM))
    queries, documents = (Ragged(side.values.double().requires_grad_(), side.offsets) for side in sides)
    weight = torch.randn(2, 4, dtype=torch.float64)

    def loss() -> torch.Tensor:
        if matched:
            columns = [documents.slice(0, 2), documents.slice(2, 4)]
            return (scorer.matched(queries, columns) * weight[:, :2]).sum()
        return (scorer(queries, documents) * weight).sum()

    inputs = [queries.values, documents.values, *scorer.parameters()]  # type: ignore[attr-defined]
    gradients = torch.autograd.grad(loss(), inputs)
    for tensor, gradient in zip(inputs, gradients, strict=True):
        step = 1e-6 if tensor.dtype == torch.float64 else 1e-3
        for place in torch.randperm(tensor.numel())[:8].tolist():
            with torch.no_grad():
                flat = tensor.view(-1)
                old = flat[place].item()
                flat[place] = old + step
                high = loss().item()
                flat[place] = old - step
                low = loss().item()
                flat[place] = old
            assert gradient.reshape(-1)[place].item() == pytest.approx((high - low) / (2 * step), abs=1e-4)
    queries, documents = (Ragged(side.values.detach().float().requires_grad_(), side.offsets) for side in sides)
    again = torch.autograd.grad(loss(), [queries.values, documents.values, *inputs[2:]])  # through the kernels
    for mine, exact in zip(again, gradients, strict=True):
        torch.testing.assert_close(mine.double(), exact.double(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("matched", [False, True])
def test_xtr_trains_on_what_the_batch_retrieves_alone(matched: bool) -> None:
    rng = np.random.default_rng(8)
    queries, documents = ragged(rng, [4, 7], DIM), ragged(rng, [2, 9, 3, 5], DIM)
    scorer = XTR(in_batch=1)
    expected = np.zeros((2, 4))
    for i in range(2):
        all_of_them = queries[i] @ documents.values.T
        retrieved = all_of_them >= np.sort(all_of_them, axis=1)[:, -1:]  # A_ij of the paper
        for j in range(4):
            own = slice(int(documents.offsets[j]), int(documents.offsets[j + 1]))
            found = retrieved[:, own].any(axis=1)
            best = np.where(retrieved[:, own], all_of_them[:, own], -np.inf).max(axis=1)
            expected[i, j] = best[found].sum() / max(found.sum(), 1)
    assert (expected[:, 3] == 0).all(), "a document that nothing retrieves gets 0"
    if matched:
        columns = [tensors(documents.select([0, 1])), tensors(documents.select([2, 3]))]
        found = scorer.matched(tensors(queries), columns).numpy()
        expected = np.stack([expected[[0, 1], [0, 1]], expected[[0, 1], [2, 3]]], 1)
    else:
        found = scorer(tensors(queries), tensors(documents)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_temperature_falls_while_a_model_trains_and_searches_use_its_end() -> None:
    rng = np.random.default_rng(9)
    queries, documents = ragged(rng, [4], DIM), ragged(rng, [5, 3], DIM)
    falling = SmoothMaxSim(0.5, final=0.02)
    np.testing.assert_array_equal(falling.score(queries, documents), SmoothMaxSim(0.02).score(queries, documents))
    for share, temperature in ((0.0, 0.5), (0.5, 0.1), (1.0, 0.02)):
        falling.anneal(share)
        assert falling.current == pytest.approx(temperature)
    assert falling.describe() == {"temperature": 0.5, "final": 0.02}
    steady = SmoothMaxSim(0.1)
    steady.anneal(0.5)
    assert steady.current == pytest.approx(0.1)


def test_learned_scorers_begin_as_maxsim_and_learn() -> None:
    rng = np.random.default_rng(10)
    queries, documents = ragged(rng, [4, 40], DIM), ragged(rng, [5, 3, 30], DIM)
    for name in ("weighted-maxsim", "lite"):
        scorer = scorers.get(name, dim=DIM)
        np.testing.assert_allclose(scorer.score(queries, documents), maxsim(queries, documents), atol=1e-4)
        before = scorer.describe()
        optimizer = torch.optim.SGD(scorer.parameters(), lr=0.5)  # type: ignore[attr-defined]
        losses = []
        for _ in range(10):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(scorer(tensors(queries), tensors(documents)), torch.tensor([1, 0]))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0]
        assert scorer.describe() != before
    assert Lite(DIM).work(10) == 10 * 16 * 16 + 16 * 32 * 16 + 16 * 16


def test_learned_weights_take_the_leading_dimensions_of_nested_vectors() -> None:
    scorer, rng = WeightedMaxSim(DIM), np.random.default_rng(11)
    scorer.direction.data = torch.linspace(-1, 1, DIM)
    short = WeightedMaxSim(4)
    short.direction.data = scorer.direction.data[:4]
    queries, documents = (ragged(rng, lengths, DIM).prefix(4) for lengths in ([3, 5], [4, 2]))
    np.testing.assert_array_equal(scorer.score(queries, documents), short.score(queries, documents))


def test_limits_that_equal_maxsim() -> None:
    rng = np.random.default_rng(1)
    queries, documents = ragged(rng, [5, 2], DIM), ragged(rng, [4, 8, 1], DIM)
    plain = maxsim(queries, documents)
    for name in ("maxsim", "top-mean:m=1", "smooth-maxsim:temperature=0.0001", "weighted-maxsim"):
        np.testing.assert_allclose(scorers.get(name, dim=DIM).score(queries, documents), plain, atol=1e-3)
    lengths = queries.lengths[:, None]
    for name in ("mean-maxsim", "xtr:retrieved=1000000"):
        np.testing.assert_allclose(scorers.score(name, queries, documents) * lengths, plain, atol=1e-5)


@every_scorer
def test_an_empty_document_gives_no_nan_gradient(scorer: Scorer) -> None:
    rng = np.random.default_rng(4)
    queries, documents = tensors(ragged(rng, [3], DIM), True), tensors(ragged(rng, [4, 0], DIM), True)
    scores = scorer(queries, documents)
    assert scores[0, 1] == -torch.inf
    torch.softmax(scores, 1)[0, 0].backward()
    for side in (queries, documents):
        assert side.values.grad is not None
        assert torch.isfinite(side.values.grad).all()


@every_scorer
def test_texts_of_which_nothing_is_left_and_vectors_that_are_no_numbers(scorer: Scorer) -> None:
    rng = np.random.default_rng(5)
    documents = ragged(rng, [2, 0], DIM)
    assert scorer.score(ragged(rng, [0, 2], DIM), documents)[0].tolist() == [0.0, -np.inf]
    assert (scorer.score(ragged(rng, [2], DIM), ragged(rng, [0, 0], DIM)) == -np.inf).all()
    broken = ragged(rng, [2], DIM)
    broken.values[0, 0] = np.nan
    with pytest.raises(InputError, match="query 0"):
        scorer.score(broken, documents)


def test_the_weights_learn_which_token_counts() -> None:
    torch.manual_seed(0)
    scorer = WeightedMaxSim(2)
    queries = Ragged(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 2]))
    documents = Ragged(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1, 2]))
    optimizer = torch.optim.SGD(scorer.parameters(), lr=0.5)
    for _ in range(20):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(scorer(queries, documents), torch.tensor([1])).backward()
        optimizer.step()
    weights = scorer.weights(queries)
    assert weights[1] > 1.3 > 0.7 > weights[0]


@pytest.mark.parametrize("name", ["maxsim", "xtr:retrieved=4", "top-mean:m=2"])
def test_rerank_gives_the_order_of_scoring_everything(name: str) -> None:
    rng = np.random.default_rng(6)
    queries, documents = ragged(rng, [3, 5], DIM), ragged(rng, [4, 8, 1, 6, 3], DIM)
    scores = scorers.score(name, queries, documents)
    found = rerank(queries, [["1", "4", "0"]] * 2, [str(i) for i in range(5)], documents, 3, scorer=name)
    for row, ranking in zip(scores, found, strict=True):
        assert ranking.ids == sorted(["0", "1", "4"], key=lambda i: -row[int(i)])
        np.testing.assert_allclose(ranking.scores, row[[int(i) for i in ranking.ids]], atol=1e-5)


def test_learned_weights_are_kept_with_the_model_and_found_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="come from training"):
        scorers.get("weighted-maxsim")
    with pytest.raises(InputError, match="come from training"):
        scorers.get("weighted-maxsim", tmp_path)
    scorer = made("weighted-maxsim")
    scorers.save(scorer, "weighted-maxsim", tmp_path)
    again = scorers.get("weighted-maxsim", tmp_path)
    assert again.describe() == scorer.describe() != scorers.get("weighted-maxsim", dim=DIM).describe()
    assert scorers.get("maxsim", tmp_path).describe() == {}
    (tmp_path / scorers.WEIGHTS).write_bytes(b"\0" * 40)
    with pytest.raises(CorruptDataError, match="train it again"):
        scorers.get("weighted-maxsim", tmp_path)


class Halved(MaxSim):
    """A scorer of another package."""

    formula = "1/2 sum_i max_j s_ij"
    source = "made up"

    def __init__(self, divisor: float = 2.0) -> None:
        super().__init__()
        self.divisor = divisor

    def score(
        self, queries: TokenEmbeddings, documents: TokenEmbeddings, within: TokenEmbeddings | None = None
    ) -> np.ndarray:
        return super().score(queries, documents) / np.float32(self.divisor)


def test_another_package_adds_a_scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("halved", f"{__name__}:Halved", plugins.SCORERS)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == plugins.SCORERS else [])
    assert scorers.names()[-1] == "halved"
    rng = np.random.default_rng(7)
    queries, documents = ragged(rng, [3], DIM), ragged(rng, [4, 2], DIM)
    found = rerank(queries, [["a", "b"]], ["a", "b"], documents, 2, scorer="halved:divisor=4")
    np.testing.assert_allclose(np.sort(found[0].scores), np.sort(maxsim(queries, documents)[0]) / 4, rtol=1e-6)
    assert scorers.get("halved").describe() == {"divisor": 2.0}
    with pytest.raises(InputError, match="it has divisor"):
        scorers.check("halved:by=3")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("minsim", "choose among maxsim"),
        ("xtr:k=3", "no setting 'k': it has retrieved"),
        ("maxsim:m=1", "it has none"),
        ("top-mean:m=1.5", "whole number"),
        ("top-mean:m=0", "1 is MaxSim"),
        ("smooth-maxsim:temperature=0", "above 0"),
        ("smooth-maxsim:temperature=NaN", "above 0"),
        ("xtr:retrieved", "name=number"),
        ("xtr:retrieved=true", "name=number"),
        ("xtr:retrieved=2,retrieved=3", "gives retrieved twice"),
    ],
)
def test_mistakes_are_named(name: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        scorers.check(name)
