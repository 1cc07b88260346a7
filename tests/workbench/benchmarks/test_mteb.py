# ruff: noqa: E402
"""Our search in mteb, on tasks made here in its format, beside what mteb makes of the model by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

mteb = pytest.importorskip("mteb")

from engine import Encoder, load_collection
from engine.errors import InputError, NotFoundError
from tests.tiny_models import make_model
from tests.workbench.benchmarks import tiny_tasks
from workbench.benchmarks.mteb import SearchModel, result_cache
from workbench.benchmarks.mteb_task import score_task


@pytest.fixture(scope="module", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        patch.setenv("WORKBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder(make_model(tmp_path_factory.mktemp("model")), "tiny")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tasks")
    return {
        "plain": tiny_tasks.write(root / "plain"),
        "ranked": tiny_tasks.write(root / "ranked", reranking=True),
        "told": tiny_tasks.write(root / "told", instructions=True),
    }


def scores(model: object, task: object, **options: object) -> dict[str, float]:
    found = mteb.evaluate(model, task, cache=None, co2_tracker=False, show_progress_bar=False, **options)
    (row,) = found.task_results[0].scores["test"]
    return {name: value for name, value in row.items() if name.startswith(("ndcg_at", "map_at", "recall_at"))}


@pytest.mark.parametrize("kind", ["plain", "ranked", "told"])
def test_exact_search_scores_what_mteb_scores_with_the_model_itself(
    encoder: Encoder, folders: dict[str, Path], kind: str
) -> None:
    task_kind = {"plain": "Retrieval", "ranked": "Reranking", "told": "InstructionRetrieval"}[kind]
    theirs = scores(encoder.model, tiny_tasks.task("Tiny", folders[kind], task_kind))
    ours = SearchModel(encoder, "exact:dtype=float32", vectors="float32")
    assert scores(ours, tiny_tasks.task("Tiny", folders[kind], task_kind)) == pytest.approx(theirs, abs=1e-6)
    assert theirs["ndcg_at_10"] > 0


@pytest.mark.parametrize(
    "options",
    [
        {"system": "bm25 > maxsim"},
        pytest.param({"index": "plaid:bits=8"}, marks=pytest.mark.slow),  # their kernels are built first
        pytest.param({"pool": "factor=2"}, marks=pytest.mark.slow),
    ],
)
def test_other_searches_are_filed_apart_and_find_what_there_is(
    encoder: Encoder, folders: dict[str, Path], options: dict[str, str]
) -> None:
    if "system" in options:
        pytest.importorskip("bm25s")
    model = SearchModel(encoder, **options)
    for kind in ("plain", "ranked"):
        assert scores(model, tiny_tasks.task("Tiny", folders[kind]))["recall_at_10"] > 0
    exact = SearchModel(encoder).mteb_model_meta
    assert exact.revision == encoder.fingerprint
    assert exact.name == "late-interaction-workbench/tiny"
    assert model.mteb_model_meta.experiment_name != exact.experiment_name


def test_a_text_that_is_empty_is_found_by_nobody_and_finds_nothing(encoder: Encoder) -> None:
    class Told:
        name = "Told"

    model = SearchModel(encoder)
    with pytest.raises(InputError, match="call index first"):
        model.search([{"id": "q", "text": "bread"}], top_k=3)
    model.index([{"id": "a", "title": "", "text": " "}, {"id": "b", "text": "bread", "title": None}],
                task_metadata=Told())  # fmt: skip
    found = model.search([{"id": "q", "text": "bread"}, {"id": "r", "text": ""}], top_k=3)
    assert list(found["q"]) == ["b"]
    assert found["r"] == {}


def test_what_cannot_be_is_refused_before_the_work(encoder: Encoder) -> None:
    with pytest.raises(InputError, match="leave it out"):
        SearchModel(encoder, "plaid", system="bm25")
    with pytest.raises(InputError, match=r"unknown|Unknown|kind"):
        SearchModel(encoder, "nothing")


def test_a_task_by_name_is_kept_in_mtebs_own_format_and_is_a_collection(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, encoder: Encoder
) -> None:
    monkeypatch.setattr("mteb.get_task", lambda name, **_: tiny_tasks.task(name, folders["plain"]))
    monkeypatch.setattr("engine.Encoder.load", lambda *_, **__: encoder)
    choice = {"index": "exact", "settings": {}, "scorer": "index", "pool": "", "system": ""}
    scored, every = score_task("Tiny", "tiny", choice, "cpu", force=False)
    assert every
    assert scored["metric"] == "ndcg_at_10"
    kept = mteb.results.TaskResult.from_disk(Path(scored["file"]))
    assert kept.get_score() == pytest.approx(scored["main_score"])
    collection = load_collection("mteb:Tiny")
    assert collection.documents["d0"] == "Tides the moon lifts the sea"
    assert collection.qrels["q2"] == {"d3": 2, "d4": 1}
    monkeypatch.setattr(SearchModel, "index", lambda *_, **__: pytest.fail("it was there already"))
    assert score_task("Tiny", "tiny", choice, "cpu", force=False)[0] == scored
    assert result_cache().cache_path in Path(scored["file"]).parents
    with pytest.raises(InputError, match="no split 'dev'"):
        load_collection("mteb:Tiny?split=dev")
    with pytest.raises(InputError, match="no subset 'de'"):
        load_collection("mteb:Tiny/de")
    with pytest.raises(InputError, match="leave the scorer out"):
        score_task("Tiny", "tiny", {**choice, "scorer": "exact"}, "cpu", force=False)


def test_unknown_tasks_and_tasks_that_are_no_retrieval_are_refused() -> None:
    with pytest.raises(NotFoundError, match="mteb knows no task 'NoSuchTask'"):
        load_collection("mteb:NoSuchTask")
    with pytest.raises(InputError, match="choose a retrieval or reranking task"):
        load_collection("mteb:STS12")
