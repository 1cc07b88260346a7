"""Training from the browser: what is checked before, a run that is watched and stopped, and the model it leaves."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from apps import training
from apps.training import rehearse
from apps.training_asked import first_request, held_out, read_request
from engine import Collection, load_collection
from engine.errors import InputError
from tests.apps.conftest import QUESTIONS

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from apps.explorer import Server

PAIRS = [
    {"query": "join strings", "positive": "Join strings with a separator between them"},
    {"query": "average", "positive": "Compute the arithmetic average of the values"},
    {"query": "files that match", "positive": "Find the files whose path matches a pattern"},
    {"query": "files that match", "positive": "Find the files whose path matches a pattern"},
    {"query": "empty", "positive": " "},
]
FILE = {"name": "pairs.jsonl", "text": "\n".join(json.dumps(row) for row in PAIRS)}
REQUEST = {
    "source": "file", "file": FILE, "base": "embedded", "way": "head", "loss": "contrastive", "steps": "2",
    "batch": "3", "rate": "1e-3", "every": "1", "seed": "0", "name": "../My model!",
}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    return tmp_path


def judged(count: int) -> Collection:
    documents = {f"d{i}": f"document number {i}" for i in range(count)}
    queries = {f"q{i}": f"question {i}" for i in range(count)}
    return Collection(documents, queries, {f"q{i}": {f"d{i}": 1} for i in range(count)}, "judged")


def test_two_of_five_questions_are_kept_apart() -> None:
    training_part, measured = held_out(judged(50))
    assert len(measured.queries) == 20
    assert not set(training_part.queries) & set(measured.queries)
    assert len(training_part.queries) == 30
    with pytest.raises(InputError, match="5 or more"):
        held_out(judged(4))


def test_a_model_gets_a_folder_of_our_own_and_never_an_old_one(home: Path, tiny_collection: Collection) -> None:
    settings, data, development, _ = read_request(REQUEST, tiny_collection)
    assert settings.output == str(home / "models" / "my-model")
    (home / "models" / "my-model").mkdir()
    assert read_request(REQUEST, tiny_collection)[0].output.endswith("my-model-2")
    assert data.counts["duplicate"] == data.counts["empty"] == 1
    assert data.counts["leaking"] == 2, "answers of the collection that measures are not trained on"
    assert development is not None
    assert data.name == "pairs.jsonl"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"file": None}, "no file of pairs"),
        ({"file": {"name": "pairs.pkl", "text": "x"}}, "pairs.pkl"),
        ({"file": {"name": "p.jsonl", "text": '{"a": 1}'}}, "no column for the query"),
        ({"steps": "0"}, "from 1 to 5,000"),
        ({"steps": "99999"}, "from 1 to 5,000"),
        ({"batch": "two"}, "batch as a whole number"),
        ({"rate": "fast"}, "learning rate"),
        ({"rate": "nan"}, "learning_rate"),
        ({"way": "everything"}, "what is trained"),
        ({"factors": "1, two"}, "pool factors such as 1, 2, 4"),
        ({"factors": "0.5"}, "pool_factors as a number of 1 or more"),
        ({"loss": "magic"}, "Unknown loss"),
        ({"scorer": "magic"}, "Unknown scorer"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_is_loaded(
    home: Path, tiny_collection: Collection, change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) as raised:
        read_request({**REQUEST, **change}, tiny_collection)
    assert "/tmp" not in str(raised.value)


@pytest.mark.parametrize("way", ["head", "lora", "all"])
def test_the_first_run_sets_questions_apart_to_choose_its_step(home: Path, way: str) -> None:
    asked = {**first_request(way, judged(5)), "source": "judgements"}
    settings, data, development, _ = read_request(asked, judged(200))
    assert settings.validation > 0
    assert settings.evaluate_every > 0
    assert bool(settings.lora_rank) == (way == "lora")
    assert settings.train_only == ("head" if way == "head" else "all")
    assert development is not None
    assert len(development.queries) == 80
    assert not set(data.columns["query"]) & set(development.queries.values())
    few, _, _, _ = read_request({**asked, "factors": "1, 2"}, judged(10))
    assert few.validation == 0.0
    assert few.pool_factors == (1, 2)


def test_texts_alone_are_trained_on_and_all_questions_measure(home: Path) -> None:
    collection = judged(30)
    texts = {name: f"name.{name}: First of all it says what. {text} has more to tell." for name, text in
             collection.documents.items()}  # fmt: skip
    whole = Collection(texts, collection.queries, collection.qrels, "whole")
    settings, data, development, _ = read_request(first_request("head", whole), whole)
    assert development is not None
    assert development.queries == whole.queries
    assert data.columns["query"] == ["First of all it says what"] * 30
    assert data.columns["positive"][3] == "name.d3: document number 3 has more to tell."
    assert not set(data.columns["query"]) & set(whole.queries.values())
    assert settings.weights_rate > settings.learning_rate
    with pytest.raises(InputError, match="documents of two sentences"):
        read_request(first_request("head", collection), collection)


def test_training_questions_are_trained_on_where_there_are_some_and_all_judged_ones_measure(
    home: Path,
) -> None:
    embedded = load_collection("embedded")
    request = first_request("head", embedded)
    assert request["source"] == "questions"
    settings, data, development, choosing = read_request(request, embedded)
    assert development is not None
    assert choosing is None
    assert settings.validation > 0
    assert {*development.judged_queries} <= {*embedded.judged_queries}
    assert len(development.judged_queries) == 200
    assert data.counts["leaking"] == 0
    assert len(data) > 1500
    with pytest.raises(InputError, match="no training questions of its own"):
        read_request({**request, "source": "questions"}, judged(30))


def test_a_rehearsal_measures_a_batch_and_keeps_nothing(home: Path) -> None:
    pytest.importorskip("accelerate", reason="needs the training packages: the extra train")
    settings, data, *_ = read_request(REQUEST, judged(3))
    checked = rehearse(settings, data)
    assert checked["steps"] == 2
    assert checked["rows"] == 3
    assert checked["preflight"]["seconds"] > 0
    assert checked["preflight"]["graph_bytes"] > 0
    assert list((home / "models").iterdir()) == []


def upload(page: Page, server: Server, **state: str) -> None:
    query = "&".join(
        f"{name}={value}"
        for name, value in {"source": "file", "way": "head", "batch": "3", "every": "1", **state}.items()
    )
    page.goto(f"{server.url}train?{query}")
    page.locator("input[type=file]").set_input_files(
        {"name": "pairs.jsonl", "mimeType": "text/plain", "buffer": FILE["text"].encode()}
    )


@pytest.mark.browser
def test_a_run_is_checked_watched_and_its_model_merged_and_used(
    page: Page, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from playwright.sync_api import expect

    from apps import merging

    pytest.importorskip("accelerate", reason="needs the training packages: the extra train")
    upload(page, server, steps="2")
    page.get_by_role("button", name="Check the data").click()
    expect(page.locator(".result .lead")).to_contain_text("3 rows of pairs", timeout=120_000)
    expect(page.locator(".result")).to_contain_text("twice")
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.locator(".result .lead")).to_contain_text("Done after 2 steps", timeout=120_000)
    expect(page.locator(".result .lead")).to_contain_text(re.compile("questions? better"))
    expect(page.locator(".run .plot .cartesianlayer .subplot")).to_have_count(2)  # loss, and nDCG with its interval
    slider = page.get_by_role("slider", name="Step of the matrix")
    slider.focus()
    slider.press("Home")
    expect(page.locator(".pinned label")).to_contain_text("Step 0")
    monkeypatch.setattr(merging, "WATCHED_DOCUMENTS", 60)
    monkeypatch.setattr(merging, "WATCHED_QUESTIONS", 6)
    page.get_by_role("button", name="Measure the way").click()
    share = page.get_by_role("slider", name="Share of the way")
    share.focus(timeout=120_000)
    expect(page.locator(".between .plot .scatterlayer .trace")).to_have_count(2)  # the collection, and the embedded one
    share.press("End")
    expect(page.locator(".between [role=status]")).to_contain_text("against the base")
    share.press("Home")
    share.press("PageUp")
    page.get_by_role("button", name="Keep this point").click()
    expect(page.locator(".between a.mono")).to_contain_text("trained/my-model-at-", timeout=60_000)
    expect(page.locator(".result .lead")).to_contain_text("Done after 2 steps")  # the report stays
    page.get_by_role("link", name="Use it in the other pages").click()
    expect(page.locator(".model")).to_have_value("trained/my-model")
    page.get_by_role("button", name="Index").click()
    expect(page.locator(".lead")).to_contain_text("model trained/my-model", timeout=120_000)
    page.get_by_role("link", name="Search it").click()
    expect(page.locator(".about")).to_contain_text("trained/my-model")
    expect(page.locator(".score")).to_be_visible()


@pytest.mark.browser
def test_the_page_opens_with_the_training_questions_where_there_are_some(
    page: Page, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.embedded import train_questions

    def opened(address: str) -> str | None:
        page.goto(f"{server.url}train{address}")
        page.locator(".scorer option").first.wait_for(state="attached")  # the page fills them in after its choices
        return page.locator("input[name=source]:checked").get_attribute("value")

    monkeypatch.setattr(train_questions, "FEWEST", 1000)  # of a part of the collection: none
    assert opened("?source=questions") == "texts"
    assert page.locator(".of-questions").is_hidden()
    monkeypatch.setattr(train_questions, "FEWEST", 10)
    assert opened("") == "questions"
    assert page.locator(".of-questions").is_visible()
    count = train_questions.count(server.workspaces.first.collection)
    assert f"{count} written for it" in page.locator(".training").inner_text()
    asked = [opened(f"?source={name}") for name in ("texts", "file", "judgements", "other")]
    assert asked == ["texts", "file", "questions", "questions"], "too few are judged here to train on"


@pytest.mark.browser
def test_stop_ends_a_run_and_keeps_its_model(page: Page, server: Server) -> None:
    from playwright.sync_api import expect

    from engine.maxsim import scorers
    from engine.training import LOSSES

    pytest.importorskip("accelerate", reason="needs the training packages: the extra train")
    upload(page, server, steps="4000")
    expect(page.locator(".loss option")).to_have_count(len(LOSSES))  # the page fills them in
    assert page.locator(".loss option").evaluate_all("found => found.map(({ value }) => value)") == list(LOSSES)
    assert page.locator(".scorer option").evaluate_all("found => found.map(({ value }) => value)") == scorers.names()
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.locator(".run .facts-row")).to_contain_text("of 4,000", timeout=120_000)
    page.get_by_role("button", name="Stop and keep").press("Enter")  # it moves while the page fills
    expect(page.locator(".result .lead")).to_contain_text("Stopped after", timeout=120_000)
    model = page.locator(".result .tools .mono").text_content() or ""
    assert server.workspaces.models.get(model).dim == server.workspaces.first.encoder.dim


def test_maps_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from engine.explain import align
    from engine.tokens import Token
    from engine.training import Evaluated, Pinned

    tokens, vectors = [Token("a", 0, 1, "text"), Token("b", 2, 3, "text")], np.eye(2, dtype=np.float32)
    pair = align(vectors, vectors, tokens, tokens)
    told = training.Told((QUESTIONS["wait"], "a b"))
    for step in range(training.MOST_PINNED + 5):
        told.listen(Pinned(step, (pair,)))
    assert len(told.maps) == training.MOST_PINNED
    assert told.maps[0]["score"] == pytest.approx(2.0)
    for chooses in (True, False):
        told.listen(Evaluated(step, 0.5, 0.4, 0.6, 3, chooses))
        assert told.as_dict()["apart"] is chooses


def test_a_merge_names_a_trained_model_and_a_share(home: Path, tiny_collection: Collection) -> None:
    from apps import merging
    from apps.pages.train import TrainPage

    with pytest.raises(InputError, match="trained here"):
        merging.folder_of("embedded")
    bare = Collection(tiny_collection.documents, {}, {}, "bare")
    with pytest.raises(InputError, match="judgements to measure"):
        merging.measured_with(bare, tiny_collection)
    assert [c.name for c in merging.measured_with(tiny_collection, tiny_collection)] == [tiny_collection.name]
    refused = TrainPage.keep(None, {"model": "trained/x", "share": "half"})  # type: ignore[arg-type]
    assert "share from 0 to 1" in refused["error"]
    assert "trained here" in TrainPage.keep(None, {"model": "../x", "share": 0.5})["error"]  # type: ignore[arg-type]
