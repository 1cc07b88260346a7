import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.statistics import CORRECTIONS, best_difference, bonferroni, bootstrap, corrected, holm, moved, paired


def test_interval_of_a_known_sample_is_close_to_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(0.4, 0.2, 400)
    interval = bootstrap(values)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.004)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.004)


def test_same_seed_same_interval_and_another_seed_another() -> None:
    values = np.random.default_rng(2).random(30)
    assert bootstrap(values, seed=3) == bootstrap(values, seed=3)
    assert bootstrap(values, seed=3) != bootstrap(values, seed=4)


@pytest.mark.parametrize("values", [[0.5], [0.25, 0.25, 0.25]])
def test_no_spread_no_width(values: list[float]) -> None:
    interval = bootstrap(values)
    assert interval.low == interval.high == interval.mean == values[0]


def test_a_paired_difference_is_that_of_the_queries_that_both_have() -> None:
    before, after = {"a": 0.5, "b": 1.0, "c": 0.25, "more": 9.0}, {"b": 0.5, "a": 0.75, "c": 0.75}
    assert paired(before, after, 3) == bootstrap([-0.5, 0.25, 0.5], 3)
    with pytest.raises(InputError):
        paired(before, {})


def test_no_queries_is_an_error() -> None:
    with pytest.raises(InputError, match="at least one query"):
        bootstrap([])


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1))
def test_moved_splits_the_queries(values: dict[str, tuple[float, float]]) -> None:
    before = {query: pair[0] for query, pair in values.items()}
    after = {query: pair[1] for query, pair in values.items()}
    better, worse = moved(before, after, 0.05)
    assert {query for query in values if after[query] - before[query] > 0.05} == set(better)
    assert {query for query in values if after[query] - before[query] < -0.05} == set(worse)
    gains = [after[query] - before[query] for query in better]
    assert gains == sorted(gains, reverse=True)


def test_the_difference_of_the_best_is_that_of_two_where_there_are_two() -> None:
    rng = np.random.default_rng(4)
    names = [f"q{i}" for i in range(60)]
    first = dict(zip(names, rng.random(60), strict=True))
    second = {name: value + 0.2 + 0.3 * rng.standard_normal() for name, value in first.items()}
    single, of_the_best = paired(first, second), best_difference([first], [second])
    assert of_the_best.mean == pytest.approx(single.mean)
    np.testing.assert_allclose(of_the_best[1:], single[1:], atol=0.02)
    worse = {name: value - 1 for name, value in second.items()}
    assert best_difference([first], [worse, second]) == of_the_best


def test_choosing_the_best_of_many_equal_systems_is_no_gain_to_be_sure_of() -> None:
    """Twelve systems that differ by chance alone: the best of eleven looks better than the twelfth."""
    rng = np.random.default_rng(0)
    systems = [{f"q{i}": value for i, value in enumerate(rng.random(40))} for _ in range(12)]
    best = max(systems[1:], key=lambda values: sum(values.values()))
    gain = best_difference(systems[:1], systems[1:])
    assert gain.mean == pytest.approx(paired(systems[0], best).mean)
    assert best_difference(systems[1:], systems[:1]).mean == pytest.approx(-gain.mean)
    assert not best_difference(systems[:6], systems[6:]).excludes_zero


@pytest.mark.parametrize(("before", "after"), [([], [{"a": 1.0}]), ([{"a": 1.0}], []), ([{"a": 1.0}], [{"b": 1.0}])])
def test_a_difference_of_the_best_needs_the_same_queries_on_both_sides(before, after) -> None:
    with pytest.raises(InputError, match="same queries"):
        best_difference(before, after)


def test_corrections_by_hand() -> None:
    raw = [0.01, 0.04, 0.03, 0.5]
    assert holm(raw) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert bonferroni(raw) == pytest.approx([0.04, 0.16, 0.12, 1.0])
    assert corrected(raw, "none") == raw
    assert corrected(raw) == holm(raw)
    with pytest.raises(InputError, match="bonferroni"):
        corrected(raw, "tukey")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_the_raw_values_and_those_of_bonferroni(raw: list[float]) -> None:
    values = {name: corrected(raw, name) for name in CORRECTIONS}
    for low, middle, high in zip(values["none"], values["holm"], values["bonferroni"], strict=True):
        assert low <= middle <= high <= 1
