"""Benchmarks by name, from folders in their layouts: each task a run, one table, a report that says how to repeat."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import layouts, vision_checkpoints
from engine import Collection, Encoder
from engine.errors import InputError
from engine.statistics import mean_of_tasks
from tests.workbench.typed import run, said
from workbench import runs as stored
from workbench.benchmarks.catalogue import choose_tasks, find_benchmark
from workbench.benchmarks.downloads import look_up
from workbench.benchmarks.published import PUBLISHED
from workbench.experiments.prepare import prepare

pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_encoder) -> Path:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr("engine.Encoder.load", lambda *_, **__: fake_encoder)
    return tmp_path


def test_tasks_are_runs_that_are_found_again_and_one_table(folder, tiny_collection, capsys) -> None:
    data = layouts.nanobeir(folder / "nano", {"scifact": tiny_collection, "nq": tiny_collection})
    asked = ("benchmark", "nanobeir", "--data", str(data), "--model", "fake", "--tasks", "scifact,nq")
    assert run(*asked, "--dry-run") == 0
    assert "a folder here" in said(capsys)
    assert not stored.list_runs()
    assert run(*asked, "--report", str(folder / "nano.txt")) == 2
    assert "ending in .md or .json" in said(capsys)
    assert run(*asked, "--report", str(folder / "nano.md"), "--metric", "nDCG@10") == 0
    shown = said(capsys)
    found = {found.name: found for found in stored.list_runs()}
    assert set(found) == {"nanobeir:scifact", "nanobeir:nq"}
    mean = found["nanobeir:nq"].mean["nDCG@10"]
    assert f"{mean:.3f}" in shown
    assert "mean of 2" in shown
    report = (folder / "nano.md").read_text()
    for words in (f"--data {data}", "--metric nDCG@10", found["nanobeir:nq"].id, "mean of 2", "- python"):
        assert words in report
    assert "--report" not in report
    assert run(*asked, "--metric", "nDCG@10", "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert [task["run"] for task in again["tasks"]] == [found[f"nanobeir:{n}"].id for n in ("scifact", "nq")]
    assert len(stored.list_runs()) == 2
    assert stored.find(again["tasks"][0]["run"]).experiment.collection == f"nanobeir:scifact@{data}"


@pytest.mark.parametrize("name", ["nanobeir:nq", "irds:some/thing", "owner/name", "mteb:SciFact?split=test"])
def test_a_library_reads_its_collection_before_the_model_is_loaded(
    name: str, tiny_collection, fake_encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def read(source: str) -> Collection:
        time.sleep(0.1)  # long enough for a model that is loaded beside it to be there first
        order.append(source)
        return tiny_collection

    def load(*_: object, **__: object) -> object:
        order.append("model")
        return fake_encoder

    monkeypatch.setattr("workbench.experiments.prepare.load_collection", read)
    monkeypatch.setattr("engine.Encoder.load", load)
    prepared = prepare(name, "fake")
    assert order == [name, "model"]
    assert prepared.source == (name, "fake")


def test_a_task_without_data_does_not_stop_the_others(folder, tiny_collection, capsys) -> None:
    data = layouts.beir(folder / "beir", {"scidocs": tiny_collection})
    asked = ("benchmark", "beir", "--data", str(data), "--model", "fake")
    assert run(*asked, "--tasks", "fiqa,scidocs", "--report", str(folder / "beir.json")) == 0
    shown = said(capsys)
    assert "fiqa was not measured" in shown
    assert "GTE-ModernColBERT-v1: nDCG@10 as published at https" in shown
    assert "0.192" in shown
    report = json.loads((folder / "beir.json").read_text())
    assert report["command"][:3] == ["workbench", "benchmark", "beir"]
    assert report["published"][0]["source"].startswith("https://")
    assert run(*asked, "--tasks", "fiqa") == 2
    assert "No task of beir could be measured" in said(capsys)
    assert run(*asked, "--tasks", "fish") == 2
    assert "choose among trec-covid" in said(capsys)
    assert run("benchmark", "nothing") == 2
    assert "mteb:TASK" in said(capsys)


def test_bright_counts_without_excluded_documents_and_passkey_by_its_first_result(folder, tiny_collection) -> None:
    excluded = {"q1": ["argmax"]}
    whole = Collection(tiny_collection.documents, tiny_collection.queries, {"q1": {"sort": 1}, "q2": {"open": 1}})
    layouts.bright(folder / "bright", {"pony": whole}, excluded)
    assert run("benchmark", "bright", "--data", str(folder / "bright"), "--model", "fake", "--tasks", "pony",
               "--tasks", "pony/long", "--k", "20") == 0  # fmt: skip
    short = next(found for found in stored.list_runs() if found.name == "bright:pony")
    assert short.experiment.same_ids == "keep"
    assert short.experiment.k == 20
    assert any("queries exclude documents" in note for note in short.warnings)
    layouts.longembed(folder / "long", {"passkey": whole, "qmsum": whole})
    assert run("benchmark", "longembed", "--data", str(folder / "long"), "--model", "fake",
               "--tasks", "passkey/256,qmsum") == 0  # fmt: skip
    metrics = {found.name: found.judged_metrics for found in stored.list_runs() if "longembed" in found.name}
    assert metrics == {"longembed:passkey/256": ["hit_rate@1"], "longembed:qmsum": ["ndcg@10", "recall@100"]}


def test_vidore_searches_pictures(folder, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    encoder = Encoder(_loaded(vision_checkpoints.colpali(folder / "model")), "tiny")
    monkeypatch.setattr("engine.Encoder.load", lambda *_, **__: encoder)
    pages = {i: Image.new("RGB", (40, 60), (40 * i, 0, 0)) for i in range(6)}
    judged = [{"query-id": 0, "corpus-id": 2, "score": 1}]
    layouts.vidore(folder / "pages", {"docvqa": (pages, {0: "where is the total"}, judged)})
    asked = ("benchmark", "vidore", "--data", str(folder / "pages"), "--model", "tiny", "--tasks", "docvqa", "--json")
    assert run(*asked) == 0
    (task,) = json.loads(capsys.readouterr().out)["tasks"]
    assert task["documents"] == 6
    assert set(task["scores"]) >= {"ndcg@5", "recall@5"}
    monkeypatch.setattr("workbench.benchmarks.page_images.encode_pictures", lambda *_: pytest.fail("they are kept"))
    assert run(*asked, "--force") == 0


def _loaded(folder: Path):
    from engine.models import load_model

    return load_model(str(folder), "cpu")[0]


class _Hub(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({
            "id": "owner/name", "sha": "1", "siblings": [
                {"rfilename": "corpus/test.parquet", "size": 3_000_000},
                {"rfilename": "queries/test.parquet", "size": 1},
                {"rfilename": "README.md", "size": 5}, {"rfilename": "other/test.parquet", "size": 2_000_000},
            ],
        }).encode()  # fmt: skip
        self.send_response(200 if "owner/name" in self.path else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    server = HTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_what_is_fetched_is_named_with_its_size(hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    whole, part = look_up("owner/name", endpoint=hub), look_up("owner/name", ["corpus", "queries"], hub)
    assert (whole.bytes, part.bytes) == (5_000_001, 3_000_001)
    assert str(whole) == "owner/name, 5.0 MB: to be fetched"
    (tmp_path / "hub" / "datasets--owner--name" / "snapshots" / "1").mkdir(parents=True)
    assert look_up("owner/name", endpoint=hub).state == "kept here"
    unknown = look_up("owner/gone", endpoint=hub)
    assert unknown.bytes is None
    assert "did not say its size" in str(unknown)
    assert look_up("owner/name", endpoint="http://127.0.0.1:1").state == "kept here"


def test_names_and_published_figures() -> None:
    assert find_benchmark("mteb:SciFact").tasks == ("SciFact",)
    assert find_benchmark("irds:beir/scifact/test").source("beir/scifact/test") == "irds:beir/scifact/test"
    assert choose_tasks(find_benchmark("beir"), None)[0] == "trec-covid"
    assert choose_tasks(find_benchmark("vidore"), ["owner/pages"]) == ("owner/pages",)
    with pytest.raises(InputError, match="nanobeir"):
        find_benchmark("mteb")
    for entry in PUBLISHED:
        known = find_benchmark(entry.benchmark).tasks
        assert set(entry.values) <= set(known)
        assert entry.source.startswith("https://")
        assert all(0 < value < 1 for value in entry.values.values())


def test_the_mean_over_tasks_counts_each_alike() -> None:
    few, many = [1.0, 0.0], list(np.full(1000, 0.25))
    found = mean_of_tasks([few, many])
    assert found.mean == pytest.approx((0.5 + 0.25) / 2)
    assert found.low == pytest.approx(0.125)
    assert found.high == pytest.approx(0.625)
    assert found == mean_of_tasks([few, many])
    with pytest.raises(InputError, match="at least one judged query"):
        mean_of_tasks([[0.5], []])
