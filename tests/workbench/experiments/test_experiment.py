import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError, NotFoundError
from workbench.experiments.experiment import Experiment
from workbench.experiments.plan import parse_spec


@settings(deadline=None)  # the first index kind is imported within
@given(
    factor=st.one_of(st.floats(1, 32), st.just(math.inf)),
    method=st.sampled_from(["hierarchical", "sequential"]),
    bits=st.sampled_from([1, 2, 4, 8]),
    k=st.integers(100, 1000),
    seed=st.integers(0, 10),
    metrics=st.lists(st.sampled_from(["ndcg@10", "recall@100", "mrr@10", "map"]), min_size=1, max_size=3),
)
def test_yaml_gives_back_what_was_written(factor, method, bits, k, seed, metrics) -> None:
    experiment = Experiment(
        pool_factor=factor, pool_method=method, index="plaid", settings={"bits": bits}, k=k, seed=seed, metrics=metrics
    )
    assert Experiment.from_yaml(experiment.to_yaml()) == experiment


def test_file_round_trip_and_what_a_person_writes(tmp_path) -> None:
    path = tmp_path / "exp.yaml"
    path.write_text("collection: embedded\nindex: plaid\nsettings:\n  bits: 2\npool_factor: one\nmetrics: [mrr@10]\n")
    experiment = Experiment.read(path)
    assert experiment == Experiment(index="plaid", settings={"bits": 2}, pool_factor=math.inf, metrics=("mrr@10",))
    experiment.write(path)
    assert Experiment.read(path) == experiment


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pool_facter: 2", "did you mean pool_factor"),
        ("pool_factor: 0.5", "pool_factor of 1 or more"),
        ("pool_factor: two", "pool_factor of 1 or more"),
        ("metrics: [ndgc@10]", "Unknown metric 'ndgc@10'.*ndcg"),
        ("metrics: ndcg@10", "list of metrics"),
        ("k: many", "Expected k as a whole number"),
        ("index: plaid\nsettings: {bit: 2}", "no setting 'bit'"),
        ("index: plaid\nsettings: {bits: 3}", "bits among"),
        ("index: annoy", "Unknown index kind"),
        ("dtype: float8", "Unknown dtype"),
        ("scorer: best", "Unknown scorer"),
        ("pool_method: random", "Unknown pool_method"),
        ("model: ''", "name or path as model"),
        ("- a\n- b", "names and values"),
        ("collection: [", "found a mistake in line"),
    ],
)
def test_mistakes_in_one_sentence(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        Experiment.from_yaml(text)
    assert "\n" not in str(error.value)


def test_numbers_that_no_record_holds_are_refused() -> None:
    for values in ({"k": 10**23}, {"seed": 2**64}, {"settings": {"n_probe": 10**23}, "index": "plaid"}):
        with pytest.raises(InputError, match="at most"):
            Experiment(**values)  # pyright: ignore[reportArgumentType]


def test_yaml_that_is_nested_without_end_is_a_sentence() -> None:
    with pytest.raises(InputError, match="found a mistake"):
        Experiment.from_yaml("x: " + "[" * 3000)


def test_a_setting_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match="gives bits twice"):
        parse_spec("plaid:bits=2,bits=4")


def test_no_file() -> None:
    with pytest.raises(NotFoundError, match="There is no file"):
        Experiment.read("nowhere.yaml")


def test_changed_copies() -> None:
    base = Experiment(index="plaid")
    assert base.with_(**{"settings.bits": 2, "pool_factor": 4}).settings == {"bits": 2}
    assert base.settings == {}
    with pytest.raises(InputError, match="no 'factor'"):
        base.with_(factor=2)
    with pytest.raises(InputError, match=r"settings\.bits"):
        base.with_(**{"index.bits": 2})


def test_the_seed_reaches_an_index_that_has_one() -> None:
    assert Experiment(index="plaid", seed=7).index_settings["seed"] == 7
    assert Experiment(index="plaid", seed=7, settings={"seed": 1}).index_settings["seed"] == 1
    assert "seed" not in Experiment(index="exact", seed=7).index_settings


def test_every_scorer_of_the_engine_is_taken_by_its_name() -> None:
    for name in ("index", "exact", "xtr", "smooth-maxsim:temperature=0.1"):
        assert Experiment(scorer=name).scorer == name
    assert Experiment(scorer="maxsim") == Experiment(scorer="exact")
    with pytest.raises(InputError, match="smooth-maxsim"):
        Experiment(scorer="magic")
    with pytest.raises(InputError, match="name or path as scorer"):
        Experiment(scorer=3)  # type: ignore[arg-type]


def test_a_metric_may_look_deeper_than_k() -> None:
    assert Experiment(metrics=("recall@1000",), k=100).k == 100
    assert Experiment(metrics=()).metrics == ()
