import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from engine import Collection, evaluate, maxsim, pool
from engine.errors import BusyError, CorruptDataError, InputError, NotFoundError
from engine.evaluation import SAME_IDS
from engine.maxsim import scorers
from engine.retrieval import Ranking, id_order, top_positions
from workbench import cache, runs
from workbench.experiments.execute import resume, run
from workbench.experiments.experiment import Experiment
from workbench.experiments.prepare import prepare
from workbench.runs.store import begin, runs_folder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def do(tiny_collection, fake_encoder):
    def execute(experiment=None, **options):
        options = {"collection": tiny_collection, "encoder": fake_encoder, **options}
        return run(experiment or Experiment(collection="tiny", model="fake", pool_factor=2), **options)

    return execute


def test_scores_agree_with_the_engine_step_by_step(do, tiny_collection, fake_encoder) -> None:
    finished = do()
    documents = pool(fake_encoder.encode_document(list(tiny_collection.documents.values())).astype("float16"), 2)
    queries = fake_encoder.encode_query(list(tiny_collection.queries.values())).astype("float16")
    ids = list(tiny_collection.documents)
    expected = {}
    for query, row in zip(tiny_collection.queries, maxsim(queries, documents), strict=True):
        best = top_positions(row, id_order(ids), 100)
        expected[query] = Ranking([ids[i] for i in best], row[best])
    scores = evaluate(expected, tiny_collection)
    assert finished.status == "complete"
    assert {name: finished.mean[name] for name in finished.judged_metrics} == pytest.approx(scores.mean)
    assert finished.per_query("ndcg@10") == pytest.approx(scores.per_query["ndcg@10"])
    assert {query: ranking.ids for query, ranking in finished.rankings().items()} == {
        query: ranking.ids for query, ranking in expected.items()
    }
    assert finished.record["sizes"]["tokens"] == documents.n_tokens
    assert sorted(path.name for path in finished.path.iterdir()) == ["rankings.parquet", "run.json", "scores.parquet"]


def test_a_second_identical_run_does_no_work_and_says_so(do, fake_encoder, monkeypatch) -> None:
    first = do()
    monkeypatch.setattr(type(fake_encoder), "_encode", lambda *a, **k: pytest.fail("encoded again"))
    monkeypatch.setattr("workbench.experiments.execute.measure", lambda *a: pytest.fail("worked again"))
    stages: list[str] = []
    second = do(progress=lambda stage, done, total: stages.append(stage))
    assert second.reused
    assert not first.reused
    assert second.id == first.id
    assert stages[-1] == "reused"


def test_another_factor_shares_the_embeddings_and_gives_another_run(do) -> None:
    first, second = do(), do(Experiment(collection="tiny", model="fake", pool_factor=4))
    assert first.id != second.id
    assert second.record["cached"] == ["encode documents", "encode queries"]
    assert [found.id for found in runs.list()] == [second.id, first.id]


def test_other_judgements_give_another_run(do, tiny_collection) -> None:
    other = replace(tiny_collection, qrels={"q1": {"argmax": 1}})
    changed = do(collection=other)
    assert changed.id != do().id
    assert any("2 queries have no judgements" in warning and "q2" in warning for warning in changed.warnings)
    assert changed.record["unjudged"] == ["q2", "q3"]


def test_exact_scorer_reranks_with_the_vectors_before_pooling(do) -> None:
    exact = do(Experiment(collection="tiny", model="fake"))
    pooled = Experiment(collection="tiny", model="fake", pool_factor=8)
    reranked = do(pooled.with_(scorer="exact"))
    assert reranked.rankings()["q1"].ids == exact.rankings()["q1"].ids  # k covers all 8 documents
    assert do(pooled).rankings()["q1"].scores.tolist() != exact.rankings()["q1"].scores.tolist()


def test_a_named_scorer_reranks_and_is_another_run(do, tiny_collection, fake_encoder) -> None:
    plain = Experiment(collection="tiny", model="fake", pool_factor=4)
    exact, soft = do(plain.with_(scorer="exact")), do(plain.with_(scorer="smooth-maxsim"))
    assert len({do(plain).id, exact.id, soft.id}) == 3
    assert do(plain.with_(scorer="maxsim")).reused
    documents = fake_encoder.encode_document(list(tiny_collection.documents.values())).astype("float16")
    queries = fake_encoder.encode_query(list(tiny_collection.queries.values())).astype("float16")
    expected = scorers.score("smooth-maxsim", queries, documents)[0]
    found = soft.rankings()["q1"]
    positions = [list(tiny_collection.documents).index(name) for name in found.ids]
    assert found.scores.tolist() == pytest.approx(expected[positions].tolist(), abs=1e-5)
    assert "reranked by smooth-maxsim" in soft.name


def test_the_search_is_as_deep_as_the_metrics_look(fake_encoder) -> None:
    documents = {f"d{i:02}": f"word{i % 7} other{i}" for i in range(40)}
    collection = Collection(documents, {"q": "word1"}, {"q": {"d01": 1, "d36": 1}}, "many")
    wanted = Experiment(collection="many", model="fake", k=3, metrics=("recall@30", "ndcg@10"))
    finished = run(wanted, collection=collection, encoder=fake_encoder)
    assert finished.record["depth"] == 30
    assert len(finished.rankings()["q"].ids) == 30
    deep = run(wanted.with_(k=30), collection=collection, encoder=fake_encoder)
    assert deep.id == finished.id  # what is searched decides the run
    assert {"exact@10", "exact@30"} <= set(finished.mean)


def test_documents_with_the_id_of_their_query_count_as_the_experiment_says(fake_encoder) -> None:
    texts = {"a": "tea is healthy", "b": "tea is not healthy", "c": "coffee"}
    collection = Collection(texts, {name: texts[name] for name in "ab"}, {"a": {"b": 1}, "b": {"a": 1}}, "arguments")
    wanted = Experiment(collection="arguments", model="fake", k=1, metrics=("mrr@1",))
    done = {rule: run(wanted.with_(same_ids=rule), collection=collection, encoder=fake_encoder) for rule in SAME_IDS}
    assert {rule: found.mean["mrr@1"] for rule, found in done.items()} == {"auto": 1.0, "leave out": 1.0, "keep": 0.0}
    assert len({found.id for found in done.values()}) == 3
    assert {rule: found.record["depth"] for rule, found in done.items()} == {"auto": 2, "leave out": 2, "keep": 1}
    assert done["keep"].name.endswith("same ids: keep")


def test_runs_of_before_there_was_a_rule_for_equal_ids_are_found_again(do) -> None:
    experiment = Experiment(collection="tiny", model="fake", pool_factor=2)
    kept = do()
    values = experiment.to_dict()
    del values["same_ids"]
    assert Experiment.from_dict(values) == experiment
    record = json.loads((kept.path / "run.json").read_text())
    for name in ("crc32", "files"):
        del record[name]
    del record["experiment"]["same_ids"]
    (kept.path / "run.json").write_text(json.dumps(record))
    assert do().reused
    assert runs.find(kept.id).experiment == experiment


def test_no_judgements_is_an_error_before_any_work(do, tiny_collection) -> None:
    with pytest.raises(InputError, match="no judgements"):
        do(collection=Collection(tiny_collection.documents, name="bare"))
    assert runs.list() == []


def test_a_stopped_run_is_interrupted_and_is_taken_up(do) -> None:
    seen: list[str] = []

    def stop() -> bool:
        return bool(seen) and seen[-1] == "pool"

    interrupted = do(progress=lambda stage, done, total: seen.append(stage), stop=stop)
    assert interrupted.status == "interrupted"
    assert [found.status for found in runs.list()] == ["interrupted"]
    with pytest.raises(InputError, match="interrupted"):
        interrupted.per_query("ndcg@10")
    finished = do()
    assert finished.status == "complete"
    assert "encode documents" in finished.record["cached"]
    assert [found.status for found in runs.list()] == ["complete"]


def test_a_run_of_prepared_vectors_that_is_stopped_at_once_is_interrupted(tiny_collection, fake_encoder) -> None:
    ready = prepare(tiny_collection, fake_encoder)
    assert run(Experiment(), stop=lambda: True, prepared=ready).status == "interrupted"


def test_a_failing_stage_leaves_an_interrupted_run(do, monkeypatch) -> None:
    monkeypatch.setattr("workbench.experiments.measure.evaluate", lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        do()
    (left,) = runs.list()
    assert left.status == "interrupted"
    runs.delete(left.id)
    assert runs.list() == []


def test_a_long_encoding_goes_on_at_its_last_block(fake_encoder, monkeypatch) -> None:
    monkeypatch.setattr(cache, "BLOCK_TEXTS", 3)
    texts = [f"text number {i} of many" for i in range(8)]

    def interrupt(done: int, total: int) -> None:
        if done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.cached_embeddings(fake_encoder, texts, "document", interrupt)
    seen: list[int] = []
    found = cache.cached_embeddings(fake_encoder, texts, "document", lambda done, total: seen.append(done))
    assert seen == [6, 8]
    assert (found.values == fake_encoder.encode_document(texts).astype("float16").values).all()
    assert found.offsets.tolist() == fake_encoder.encode_document(texts).offsets.tolist()


def test_resume_by_name_on_the_embedded_defaults(monkeypatch, tiny_collection, fake_encoder) -> None:
    monkeypatch.setattr("workbench.experiments.prepare.load_collection", lambda name: tiny_collection)
    monkeypatch.setattr("engine.Encoder.load", lambda name, device="auto", dtype="auto": fake_encoder)
    interrupted = run(Experiment(), stop=iter([False, False, False, True]).__next__, name="mine")
    assert interrupted.status == "interrupted"
    finished = resume(interrupted.id[:10])
    assert finished.status == "complete"
    assert finished.name == "mine"


def test_find_by_beginning_and_misses(do) -> None:
    finished = do()
    assert runs.find(finished.id[:8]).id == finished.id
    with pytest.raises(NotFoundError, match="No run"):
        runs.find("nothing")
    with pytest.raises(NotFoundError):
        runs.find("../" + finished.id)
    with pytest.raises(NotFoundError):
        runs.delete("nothing")


def test_a_running_run_is_shown_and_not_deleted() -> None:
    begin("busy-run", {"experiment": Experiment().to_dict(), "created": "2026-01-01"})
    assert [found.status for found in runs.list()] == ["running"]
    with pytest.raises(BusyError, match="running"):
        runs.delete("busy-run")


def test_a_record_of_another_version_or_damaged_is_refused_in_one_sentence(do) -> None:
    finished = do()
    record = json.loads((finished.path / "run.json").read_text())
    (finished.path / "run.json").write_text(json.dumps(record | {"format": 99}))
    with pytest.raises(CorruptDataError, match="format 99"):
        runs.find(finished.id)
    (listed,) = runs.list()
    assert listed.status == "unreadable"
    assert "format 99" in listed.problem
    (finished.path / "run.json").write_text("{")
    with pytest.raises(CorruptDataError, match="damaged"):
        runs.find(finished.id)
    runs.delete(finished.id)


def test_trec_file_is_read_by_ranx_with_the_same_scores(do, tiny_collection, tmp_path) -> None:
    import ranx

    finished = do()
    runs.to_trec(finished, tmp_path / "run.trec")
    qrels = ranx.Qrels(tiny_collection.qrels)
    for found in (ranx.Run.from_file(str(tmp_path / "run.trec"), kind="trec"), runs.to_ranx(finished)):
        assert ranx.evaluate(qrels, found, "ndcg@10") == pytest.approx(finished.mean["ndcg@10"])


def test_per_query_values_name_the_known_metrics(do) -> None:
    finished = do()
    with pytest.raises(InputError, match=r"no 'mrr': it has ndcg@10, recall@100"):
        finished.per_query("mrr")
    assert set(finished.frame().columns) == {"metric", "query", "value"}


def test_two_threads_that_run_the_same_share_one_run(do) -> None:
    with ThreadPoolExecutor(4) as pool_of_threads:
        found = list(pool_of_threads.map(lambda _: do(), range(4)))
    assert len({run.id for run in found}) == 1
    assert [run.status for run in runs.list()] == ["complete"]


def test_a_forced_run_replaces_the_old_one_as_a_whole(do) -> None:
    first, second = do(), do(force=True)
    assert first.id == second.id
    assert second.created > first.created
    assert second.per_query("ndcg@10") == first.per_query("ndcg@10")
    assert [path.name for path in runs_folder().iterdir()] == [second.id]
