"""Six doors, one number: the same question asked anywhere gives the same nDCG@10 to the last digit, and is a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from workbench import runs
from workbench.cli import main
from workbench.experiments.execute import run
from workbench.experiments.plan import TRIED
from workbench.experiments.pool_studies import pool_study
from workbench.experiments.prepare import prepare
from workbench.experiments.studies import compare_indexes, demo, recommend

METRIC = "ndcg@10"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))


def written(collection: Any, folder: Path) -> Path:
    (folder / "qrels").mkdir(parents=True)
    for name, texts in (("corpus", collection.documents), ("queries", collection.queries)):
        lines = [json.dumps({"_id": key, "text": text}) for key, text in texts.items()]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    judged = [f"{query}\t{name}\t{grade}" for query, of in collection.qrels.items() for name, grade in of.items()]
    (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]))
    return folder


@pytest.mark.parametrize("kind", ["exact", "plaid"])
def test_functions_agree_and_share_one_run(kind: str, tiny_collection, fake_encoder) -> None:
    found: dict[str, tuple[str, float]] = {}
    for door in ("run", "compare", "pool", "recommend", "demo"):
        prepared = prepare(tiny_collection, fake_encoder)
        if door == "run":
            done = run(prepared.experiment(index=kind), prepared=prepared, force=True)
            found[door] = done.id, done.mean[METRIC]
        elif door == "compare":
            row = next(compare_indexes(prepared, [(kind, {})], threads=1, matched=None))
            found[door] = row.run, row.metrics[METRIC]
        elif door == "pool":
            point = next(pool_study(prepared, (1,), index=kind, force=True))
            found[door] = point.run.id, point.mean[METRIC]
        elif door == "recommend":
            chosen = recommend(prepared, kinds=(kind,), min_quality=0.01)
            wanted = "exact" if kind == "exact" else kind
            given = next(
                o for o in chosen.tried if o.kind == wanted and o.factor == 1 and o.settings.get("bits", 4) == 4
            )
            found[door] = given.run.id, given.value
        else:
            row = next(row for row in demo(prepared) if row.system.lower().startswith(kind))
            found[door] = row.run, row.ndcg
    assert len({value for _, value in found.values()}) == 1, found
    exact_door = {name: key for name, (key, _) in found.items() if (kind, name) != ("plaid", "recommend")}
    assert len(set(exact_door.values())) == 1, found  # a recommendation sets the rungs of a ladder
    assert {key for key, _ in found.values()} <= {entry.id for entry in runs.list()}
    assert TRIED[0][0] == "exact"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert not end.value.code
    return json.loads(capsys.readouterr().out)


def test_commands_agree_with_the_embedded_model(tiny_collection, tmp_path, monkeypatch, capsys) -> None:
    folder = str(written(tiny_collection, tmp_path / "mine"))
    monkeypatch.setattr("workbench.workspace.prepare", lambda *a, **k: prepare(folder))  # the demo has no --collection
    (tmp_path / "e.yaml").write_text(f"collection: {folder}\nindex: exact\n")
    on = ("--collection", folder, "--json")
    found = {
        "evaluate": said(capsys, "evaluate", *on, "--index", "exact")["mean"][METRIC],
        "run": said(capsys, "run", str(tmp_path / "e.yaml"), "--json")["scores"][METRIC]["mean"],
        "pool-study": said(capsys, "pool-study", *on, "--factor", "1")[0]["mean"][METRIC],
        "recommend": said(capsys, "recommend", *on, "--index", "exact", "--seconds", "60")["exact"]["value"],
        "compare-indexes": said(capsys, "compare-indexes", *on, "--index", "exact", "--matched", "0")[0]["metrics"][
            METRIC
        ],
        "demo": next(
            row["ndcg"]
            for row in said(capsys, "demo", "--table-only", "--json")["rows"]
            if row["system"] == "exact MaxSim"
        ),
    }
    assert len(set(found.values())) == 1, found
    listed = said(capsys, "runs", "list", "--json")
    same = [entry for entry in listed if entry["mean"].get(METRIC) == found["run"] and "exact" in entry["name"]]
    assert any("factor" not in entry["name"] for entry in same)
