from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from engine.errors import InputError
from engine.statistics import holm, p_value
from workbench import runs
from workbench.experiments.execute import run
from workbench.experiments.experiment import Experiment
from workbench.experiments.views.comparison import compare


@pytest.fixture(scope="module")
def three(tmp_path_factory, tiny_collection, fake_encoder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        base = Experiment(collection="tiny", model="fake", metrics=("ndcg@10", "mrr@10"))
        yield [run(base.with_(pool_factor=f), collection=tiny_collection, encoder=fake_encoder) for f in (1, 2, 8)]


def test_every_pair_on_every_metric_with_the_paired_differences(three) -> None:
    found = compare(*three, names=["one", "two", "eight"])
    assert len(found.pairs) == 6
    pair = found.pair("one", "eight", "ndcg@10")
    before, after = three[0].per_query("ndcg@10"), three[2].per_query("ndcg@10")
    assert pair.difference.mean == pytest.approx(np.mean([after[query] - before[query] for query in before]))
    assert set(pair.losses) == {query for query in before if after[query] - before[query] < -0.05}
    assert found.scores["two"]["mrr@10"].mean == pytest.approx(three[1].mean["mrr@10"])
    assert pair.p_corrected >= pair.p


def test_overlap_counts_documents_in_common(three) -> None:
    found = compare(three[0], three[1])
    first, second = three[0].rankings(), three[1].rankings()
    shares = [len(set(first[q].ids[:10]) & set(second[q].ids[:10])) / 8 for q in first]
    assert found.pairs[0].overlap == pytest.approx(np.mean(shares))


def test_table_latex_and_html_say_the_same(three) -> None:
    found = compare(*three, names=["one", "two & more", "<eight>"])
    shown = f"{three[0].mean['ndcg@10']:.3f}"
    for text in (found.to_latex(), found.to_html()):
        assert shown in text
        assert "nDCG@10" in text
    assert r"two \& more" in found.to_latex()
    assert "&lt;eight&gt;" in found.to_html()


def test_letters_mark_what_is_significantly_below(tmp_path, monkeypatch, fake_encoder) -> None:
    from engine import Collection

    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    names = [str(i) for i in range(40)]
    documents = {n: " ".join([f"a{n} b{n} c{n}", *(f"z{n}y{i}" for i in range(20))]) for n in names}
    queries = {f"q{n}": f"a{n} b{n} c{n}" for n in names}
    collection = Collection(documents, queries, {f"q{n}": {n: 1} for n in names}, "words")
    base = Experiment(collection="words", model="fake", metrics=("mrr@10",))
    good = run(base, collection=collection, encoder=fake_encoder)
    bad = run(base.with_(pool_factor=100, pool_protected=0), collection=collection, encoder=fake_encoder)
    found = compare(good, bad, names=["good", "bad"])
    assert good.mean["mrr@10"] == 1
    assert found.pairs[0].significant
    assert found.rows()[1][2].endswith(" b")
    assert not found.rows()[2][2].endswith(" a")


def test_what_cannot_be_compared_is_refused_with_the_reason(three, tiny_collection, fake_encoder) -> None:
    base = Experiment(collection="tiny", model="fake")
    with pytest.raises(InputError, match="two runs or more"):
        compare(three[0])
    judged = run(base, collection=replace(tiny_collection, qrels={"q1": {"sort": 1}}), encoder=fake_encoder)
    with pytest.raises(InputError, match="other judgements"):
        compare(three[0], judged)
    asked = {**tiny_collection.queries, "q4": "x"}
    renamed = run(base, collection=replace(tiny_collection, name="other", queries=asked), encoder=fake_encoder)
    with pytest.raises(InputError, match="'tiny', the other on 'other'"):
        compare(three[0], renamed)
    texts = {**tiny_collection.documents, "more": "one more text"}
    changed = run(base, collection=replace(tiny_collection, documents=texts), encoder=fake_encoder)
    with pytest.raises(InputError, match="texts have changed"):
        compare(three[0], changed)
    with pytest.raises(InputError, match="Not every run has 'map'"):
        compare(*three, metrics=["map"])
    with pytest.raises(InputError, match="twice"):
        compare(three[0], three[0])
    with pytest.raises(InputError, match="interrupted"):
        compare(three[0], replace(three[1], status="interrupted"))
    with pytest.raises(InputError, match="Expected 3 names"):
        compare(*three, names=["a"])


def test_runs_are_found_by_name(three) -> None:
    assert compare(three[0].id, three[1].id).pairs == compare(three[0], three[1]).pairs
    assert runs.list(collection="tiny")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_against_its_definition(values: list[float]) -> None:
    corrected = holm(values)
    order = np.argsort(values, kind="stable")
    for rank, position in enumerate(order):
        expected = max(min(1.0, (len(values) - i) * values[order[i]]) for i in range(rank + 1))
        assert corrected[position] == pytest.approx(expected)


def test_p_values_against_scipy_and_by_hand() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(20), rng.random(20)
    assert p_value(list(first), list(second)) == pytest.approx(stats.ttest_rel(first, second).pvalue)
    # Three differences of one sign: 2 of the 8 sign patterns are as extreme.
    assert p_value([0, 0, 0], [0.1, 0.2, 0.3], "randomization") == pytest.approx(2 / 8)
    assert p_value([0.5], [0.5]) == 1.0
    assert p_value([0.5, 0.4], [0.5, 0.4], "randomization") == 1.0
    with pytest.raises(InputError, match="Unknown test"):
        p_value([0], [1], "wilcoxon")
