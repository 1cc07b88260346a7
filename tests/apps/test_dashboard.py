"""The tables of the dashboard, over runs that were really written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apps.dashboard.tables import by_question, differing, leaderboard, per_question
from engine.retrieval import Ranking
from workbench.runs.record import Run
from workbench.runs.store import begin, finish


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Run, Run]:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))

    def made(name: str, factor: float, values: dict[str, float]) -> Run:
        mean = float(np.mean(list(values.values())))
        record = {
            "name": name,
            "created": "2026-01-02T03:04:05",
            "experiment": {"nested": {"factor": factor}, "index": "exact"},
            "collection": {"name": "tiny"},
            "scores": {"ndcg@10": {"mean": mean, "low": mean - 0.1, "high": mean + 0.1}},
        }
        ranking = Ranking(["a", "b"], np.array([2, 1], np.float32))
        return finish(begin(name, record), record, {"ndcg@10": values}, dict.fromkeys(values, ranking))

    full = {f"q{i}": 0.5 + 0.05 * i for i in range(8)}
    return made("full", 1, full), made("pooled", 4, {name: value - 0.2 for name, value in full.items()})


def test_the_best_run_is_first_and_differences_are_paired(runs: tuple[Run, Run]) -> None:
    values, problems = per_question(runs, "ndcg@10")
    assert not problems
    table = leaderboard(runs, values, "ndcg@10", runs[0])
    assert table["run"].tolist() == ["full", "pooled"]
    assert table["difference"].tolist()[1] == pytest.approx(-0.2)
    assert bool(table["real"].tolist()[1])
    assert leaderboard(runs, per_question(runs, "no such metric")[0], "no such metric", None).empty


@pytest.mark.parametrize("damage", [b"", b"PAR1 and no more", None])
def test_a_damaged_run_is_named_and_the_others_are_shown(runs: tuple[Run, Run], damage: bytes | None) -> None:
    scores = runs[0].path / "scores.parquet"
    scores.unlink() if damage is None else scores.write_bytes(damage)
    values, problems = per_question(runs, "ndcg@10")
    assert len(problems) == 1
    assert f"workbench runs delete {runs[0].id}" in problems[0]
    assert leaderboard(runs, values, "ndcg@10", runs[0])["run"].tolist() == ["pooled"]


def test_only_settings_that_differ_are_shown(runs: tuple[Run, Run]) -> None:
    assert differing(runs).index.tolist() == ["nested.factor"]


def test_questions_are_sorted_by_what_was_lost(runs: tuple[Run, Run]) -> None:
    table = by_question(runs[0], runs[1], "ndcg@10", {"q1": "what?"})
    assert len(table) == 8
    assert table["difference"].to_numpy() == pytest.approx(np.full(8, -0.2))
    assert "what?" in table["question"].tolist()


def test_the_reasons_of_a_system_are_its_stages(
    tiny_collection, fake_encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.dashboard import reasons as page
    from workbench.experiments.execute import run
    from workbench.experiments.prepare import prepare
    from workbench.systems import SystemTrace

    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    prepared = prepare(tiny_collection, fake_encoder)
    done = run(prepared.experiment(system="bm25:k=2 > maxsim"), prepared=prepared)
    monkeypatch.setattr(page, "_texts", lambda name: tiny_collection)
    monkeypatch.setattr(page, "_model", lambda name, dtype: fake_encoder)
    for document in tiny_collection.documents:
        _, found = page.reasons(done, "a question of cats", document)
        assert isinstance(found, SystemTrace)
        assert [stage.stage for stage in found.stages] == ["bm25:k=2", "maxsim"]
        assert (found.rank is None) == ("To win it back" in str(found))
