import json

import pytest

from engine.errors import InputError
from workbench import runs
from workbench.experiments.estimate import preflight
from workbench.experiments.experiment import Experiment
from workbench.experiments.plan import grid
from workbench.experiments.studies import seed_noise
from workbench.experiments.sweep import sweep

BASE = Experiment(collection="tiny", model="fake", metrics=("ndcg@10",))


@pytest.fixture(autouse=True)
def registered(tmp_path, monkeypatch, tiny_collection, fake_encoder):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("workbench.experiments.prepare.load_collection", lambda name: tiny_collection)
    monkeypatch.setattr("engine.Encoder.load", lambda name, device="auto", dtype="auto": fake_encoder)


def test_grid_has_every_combination_once() -> None:
    found = grid(BASE.with_(index="plaid"), {"pool_factor": [1, 2, 2], "settings.bits": [2, 4]})
    assert [(e.pool_factor, e.settings["bits"]) for e in found] == [(1, 2), (1, 4), (2, 2), (2, 4)]
    assert [
        e.pool_factor for e in grid(BASE, [{"pool_factor": 3}, {"pool_method": "sequential", "pool_factor": 2}])
    ] == [3, 2]


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({}, "something to vary"),
        ({"pool_factor": []}, "list of values"),
        ({"metrics": "ndcg@10"}, "list of values"),
        ({"factor": [1]}, "no 'factor'"),
        ({"settings.bits": [2]}, "no setting 'bits'"),
    ],
)
def test_mistakes_are_found_before_anything_runs(over, message) -> None:
    with pytest.raises(InputError, match=message):
        sweep(BASE, over)
    assert runs.list() == []


def test_stages_are_shared_and_a_second_sweep_finds_the_runs() -> None:
    seen: list[tuple[int, int]] = []
    first = sweep(BASE, {"pool_factor": [1, 2, 4]}, lambda done, total, run: seen.append((done, total)), processes=1)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert [run.experiment.pool_factor for run in first] == [1, 2, 4]
    assert all("encode documents" in run.record["cached"] for run in first[1:])
    second = sweep(BASE, {"pool_factor": [1, 2, 4]}, processes=1)
    assert [run.id for run in second] == [run.id for run in first]
    assert all(run.reused for run in second)


def test_a_stopped_sweep_goes_on_where_it_stopped() -> None:
    finished: list[str] = []
    part = sweep(BASE, {"pool_factor": [1, 2, 4]}, lambda done, total, run: finished.append(run.id),
                 stop=lambda: len(finished) == 2, processes=1)  # fmt: skip
    assert len(part) == 2
    whole = sweep(BASE, {"pool_factor": [1, 2, 4]}, processes=1)
    assert [run.reused for run in whole] == [True, True, False]


def test_preflight_counts_what_is_known() -> None:
    experiments = grid(BASE, {"pool_factor": [1, 2]})
    before = preflight(experiments)
    assert before.known == 0
    assert before.encode_tokens > 0
    assert before.run_s is None
    assert "the first run will say how long one takes" in str(before)
    sweep(BASE, {"pool_factor": [1]}, processes=1)
    after = preflight(experiments)
    assert after.known == 1
    assert after.encode_tokens == 0
    assert "2 experiments, 1 known; nothing to encode, then about a second a run" in str(after)
    timings = runs.list()[0].record["timings_s"]
    assert after.run_s == pytest.approx(sum(timings[stage] for stage in ("pool", "index", "search", "evaluate")))
    with pytest.raises(InputError, match="1 process or more"):
        preflight(experiments, processes=0)


def test_encoding_is_estimated_from_a_sample_of_this_collection(tiny_collection, fake_encoder, monkeypatch) -> None:
    encoded = fake_encoder.encode_document(list(tiny_collection.documents.values()))
    clock = iter([10.0, 10.0 + 0.5 * encoded.n_tokens])  # half a second a token
    monkeypatch.setattr("workbench.experiments.estimate.time.perf_counter", lambda: next(clock))
    costs = preflight([BASE], 1)
    assert costs.encode_tokens == encoded.n_tokens  # the sample is the whole of so small a collection
    assert costs.encode_s == pytest.approx(0.5 * encoded.n_tokens)


def test_seed_noise_of_an_index_that_draws_none_is_zero() -> None:
    noise = seed_noise(BASE, seeds=(0, 1, 2), processes=1)
    assert len(noise.runs) == 3
    assert noise.spread == noise.deviation == 0
    assert noise.exceeded_by(0.01)
    assert not noise.exceeded_by(0)
    with pytest.raises(InputError, match="two different seeds"):
        seed_noise(BASE, seeds=(1, 1))
    with pytest.raises(InputError, match="fix its seed"):
        seed_noise(Experiment(index="plaid", settings={"seed": 3}))


@pytest.mark.slow
def test_processes_give_the_runs_of_one_process(tmp_path, monkeypatch, tiny_collection) -> None:
    monkeypatch.undo()
    folder = tmp_path / "tiny"
    (folder / "qrels").mkdir(parents=True)
    for name, texts in (("corpus", tiny_collection.documents), ("queries", tiny_collection.queries)):
        lines = [json.dumps({"_id": key, "text": text}) for key, text in texts.items()]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    judged = [f"{q}\t{d}\t{g}" for q, grades in tiny_collection.qrels.items() for d, g in grades.items()]
    (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]))
    base = Experiment(collection=str(folder), metrics=("ndcg@10",))
    scores = []
    for processes in (1, 2):
        monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / f"home-{processes}"))
        found = sweep(base, {"pool_factor": [1, 2, 4]}, processes=processes)
        assert [run.experiment.pool_factor for run in found] == [1, 2, 4]
        scores.append([run.per_query("ndcg@10") for run in found])
    assert scores[0] == scores[1]
