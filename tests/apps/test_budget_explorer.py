"""The explorer of budgets without a browser: what it offers, measures, keeps and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="needs Gradio: pip install 'late-interaction-workbench[apps]'")

from apps import budget_records
from apps.budget_records import budgets, dimensions
from apps.pages.pool import PoolPage
from apps.workspaces import Workspaces
from engine.errors import InputError
from tests.conftest import FakeEncoder
from workbench.experiments.views.pooling import best_under
from workbench.workspace import open_workspace


class Nested(FakeEncoder):
    name = "nested"
    nested = (4, 16)


class Other(FakeEncoder):
    fingerprint = "of other weights"


@pytest.fixture
def page(tiny_collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PoolPage:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(budget_records, "BITS", (16, 2))
    monkeypatch.setattr(budget_records, "GRID_FACTORS", (1.0, 4.0))
    workspaces = Workspaces(open_workspace(tiny_collection, Nested(), "exact"))  # type: ignore[arg-type]
    monkeypatch.setattr(workspaces.models, "get", lambda name: {"fake": Other()}[name])
    return PoolPage(workspaces)


def explored(page: PoolPage, **request: Any) -> list[dict[str, Any]]:
    return [told["explored"] for told in page.measure({"explore": True, **request}, "visitor")]


def test_it_offers_the_dimensions_that_the_model_was_trained_for(page: PoolPage) -> None:
    told = page.start({})["explorer"]
    assert (told["dims"], told["nested"], told["explored"]["status"]) == ([4, 16], True, "empty")
    assert dimensions(FakeEncoder()) == ([4, 8, 12, 16], False)  # type: ignore[arg-type]


def test_points_come_one_by_one_and_a_finished_grid_is_kept(page: PoolPage) -> None:
    told = explored(page, pools="once")
    counts = [len(state["points"]) for state in told]
    assert counts == sorted(counts)
    last = told[-1]
    assert (last["status"], last["done"], last["total"]) == ("done", 3 * 2 * 2, 3 * 2 * 2)
    assert {(p["pool"], p["dim"], p["bits"]) for p in last["points"]} == {
        (pool, dim, bits) for pool in ("1", "4", "once") for dim in (4, 16) for bits in (16, 2)
    }
    assert {trace["name"] for trace in json.loads(last["figure"])["data"] if trace.get("name")} == {
        "16 dimensions", "4 dimensions",
    }  # fmt: skip
    assert page.explored({"pools": " once "}) == last
    assert page.explored({"pools": "tokens=3"})["status"] == "empty"


def test_two_models_stand_beside_each_other(page: PoolPage) -> None:
    last = explored(page, pools="", against="fake")[-1]
    assert last["done"] == last["total"] == 2 * 2 * 2 + 2 * 4 * 2
    assert [p["model"] for p in last["points"]] == ["nested", "fake"] * 8 + ["fake"] * 8, "both curves from the start"
    assert len({p["key"] for p in last["points"]}) == 24


def test_what_cannot_be_is_a_sentence_before_anything_is_measured(page: PoolPage) -> None:
    for request, sentence in (
        ({"pools": "tokens=1"}, "2 or more tokens"), ({"pools": "tokns=4"}, "did you mean tokens"),
        ({"pools": "importance=.5,by=model"}, "use by=rarity"), ({"pools": ["once"]}, "pools as text"),
        ({"pools": "tokens=3 tokens=4 tokens=5 tokens=6 tokens=7"}, "4 budgets at most, got 5"),
    ):  # fmt: skip
        [last] = explored(page, **request)
        assert (last["status"], last["points"]) == ("error", [])
        assert sentence in last["error"]
    assert budgets(" once;  tokens=4 once factor=1 ") == ["once", "tokens=4"]
    with pytest.raises(InputError):
        budgets("half")


def test_a_stopped_grid_goes_on_from_the_store(page: PoolPage) -> None:
    run = page.measure({"explore": True, "pools": "once"}, "visitor")
    for told in run:
        if len(told["explored"]["points"]) == 3:
            page.stops.stop("visitor")
    assert told["explored"]["status"] == "stopped"
    done = len(told["explored"]["points"])
    assert 3 <= done < 12
    assert len(page.explored({"pools": "once"})["points"]) == done  # what is finished stays
    assert explored(page, pools="once")[-1]["done"] == 12


def test_merged_and_dropped_tokens_follow_the_point(page: PoolPage) -> None:
    asked = {"document": "argmax", "pool": "once", "dim": "4"}
    told = page.merge(asked)
    words = [token.text for token in FakeEncoder().tokens(page.workspaces.first.collection.documents["argmax"], "")]
    assert (told["tokens"], told["vectors"], told["dropped"]) == (len(words), len({*words}), len(words) - len({*words}))
    assert page.merge({"document": "argmax", "factor": "2", "method": "hierarchical"})["vectors"] == 1 + 9 // 2
    for wrong, sentence in (
        ({"pool": "tokens=1"}, "2 or more"), ({"factor": "x"}, "a pool factor"),
        ({"factor": "2", "dim": "99"}, "a dim from 1 to 16"), ({"factor": "2", "dim": "a"}, "a dimension"),
    ):  # fmt: skip
        assert sentence in page.merge({"document": "argmax", **wrong})["error"]


def test_the_page_and_python_agree_on_the_best(page: PoolPage) -> None:
    from workbench.experiments.pool_studies import pool_study

    points = list(pool_study(page.workspaces.first.prepared, (1, 4), bits=(16, 2), dims=(4, 16), pools=("once",)))
    rows = explored(page, pools="once")[-1]["points"]
    for most in (500, 1500, 1e6):
        best = best_under(points, most)
        fit = sorted((r for r in rows if r["bytes"] <= most), key=lambda r: (-r["mean"], r["bytes"]))
        assert (fit[0]["name"] if fit else None) == (best.name if best else None)
