"""The commands on experiments, as a person types them: run, runs, sweep, compare, pool-study."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.workbench.typed import run, said
from workbench import runs as stored
from workbench.runs.store import begin

pytestmark = pytest.mark.usefixtures("folder")


def test_a_second_identical_run_does_no_work_and_says_so(capsys) -> None:
    assert run("run", "exp.yaml", "--name", "first") == 0
    assert "nDCG@10" in said(capsys)
    assert run("run", "exp.yaml") == 0
    assert "This run was there already: nothing was computed." in said(capsys)
    assert run("runs") == 0
    assert "1 runs" in said(capsys)
    assert run("run", "exp.yaml", "--force") == 0
    run("sweep", "exp.yaml", "--over", "pool_factor=1,2", "--processes", "1")
    capsys.readouterr()
    assert run("runs", "list", "--limit", "1") == 0
    assert "The newest 1 are shown" in said(capsys)


def test_a_run_travels_as_a_zip(folder, capsys, monkeypatch) -> None:
    run("run", "exp.yaml")
    (only,) = stored.list_runs()
    assert run("runs", "export", only.id[:8], "run.zip") == 0
    monkeypatch.setenv("WORKBENCH_HOME", str(folder / "elsewhere"))
    assert run("runs", "import", "run.zip") == 0
    (imported,) = stored.list_runs()
    assert imported.record == only.record
    assert imported.per_query("ndcg@10") == only.per_query("ndcg@10")
    assert run("runs", "export", only.id, "run.trec") == 0
    assert (folder / "run.trec").read_text().startswith("q1 Q0 argmax 1 ")
    capsys.readouterr()
    assert run("runs", "import", "exp.yaml") == 2
    assert "no complete zip of a run" in said(capsys)


def test_an_interrupted_run_is_shown_and_taken_up_or_removed(capsys) -> None:
    run("run", "exp.yaml")
    (done,) = stored.list_runs()
    record = {key: done.record[key] for key in ("name", "created", "experiment", "collection", "model")}
    for name in ("tiny-000000000001", "tiny-000000000002"):
        place = begin(name, record)
        text = json.loads((place / "run.json").read_text())
        (place / "run.json").write_text(json.dumps(text | {"process": text["process"] | {"pid": 2**22 + 1}}))
    capsys.readouterr()
    assert run("runs", "list", "--status", "interrupted") == 0
    shown = said(capsys)
    assert "2 runs" in shown
    assert "interrupted" in shown
    assert run("runs", "resume", "tiny-000000000001") == 0
    assert run("runs", "delete", "tiny-000000000002") == 0
    assert [found.status for found in stored.list_runs()] == ["complete"]


def test_same_ids_mean_the_same_in_run_evaluate_and_sweep(folder, capsys) -> None:
    for name in ("corpus", "queries"):
        lines = [json.dumps({"_id": key, "text": text}) for key, text in {"a": "tea", "b": "tea or not"}.items()]
        (folder / "tiny" / f"{name}.jsonl").write_text("\n".join(lines))
    (folder / "tiny" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\na\tb\t1\nb\ta\t1\n")
    found = {}
    for rule in ("leave-out", "keep"):
        capsys.readouterr()
        assert run("run", "exp.yaml", "--same-ids", rule, "--json") == 0
        found[rule] = json.loads(capsys.readouterr().out)
        on = ("--collection", "tiny", "--index", "exact", "--same-ids", rule, "--json")
        assert run("evaluate", *on) == 0
        assert json.loads(capsys.readouterr().out)["run"] == found[rule]["id"]
        assert run("sweep", "exp.yaml", "--over", "k=100", "--same-ids", rule, "--json", "--processes", "1") == 0
        assert [record["id"] for record in json.loads(capsys.readouterr().out)] == [found[rule]["id"]]
    assert found["leave-out"]["scores"]["ndcg@10"]["mean"] == 1.0
    assert found["keep"]["scores"]["ndcg@10"]["mean"] < 0.9
    assert run("evaluate", "--collection", "nowhere", "--same-ids", "drop") == 2
    assert "choose among auto, leave out, keep" in said(capsys)


def test_sweep_says_what_it_costs_and_what_was_there(capsys) -> None:
    assert run("sweep", "exp.yaml", "--over", "pool_factor=1,2", "--dry-run") == 0
    assert "2 experiments, 0 known" in said(capsys)
    assert run("sweep", "exp.yaml", "--over", "pool_factor=1,2", "--processes", "1") == 0
    assert "2 run, 0 were there already." in said(capsys)
    assert run("sweep", "exp.yaml", "--over", "pool_factor=1,2", "--processes", "1") == 0
    assert "All 2 runs were there already: nothing was computed." in said(capsys)


def test_compare_as_table_latex_html_and_against_seed_noise(folder, capsys) -> None:
    run("sweep", "exp.yaml", "--over", "pool_factor=1,4", "--processes", "1")
    first, second = (found.id for found in stored.list_runs())
    capsys.readouterr()
    assert run("compare", first, second, "--name", "whole", "--name", "pooled", "--html", "c.html") == 0
    assert "pooled against whole, ndcg@10" in said(capsys)
    page = (folder / "c.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<th scope" in page
    assert "without their texts" not in said(capsys)
    assert run("compare", first, second, "--latex") == 0
    assert r"\begin{tabular}" in said(capsys)
    assert run("compare", first, second, "--seeds", "2", "--name", "a", "--name", "b", "--metric", "ndcg@10") == 0
    assert "than what 2 seeds alone make (0.0000)" in said(capsys)


@pytest.mark.parametrize("after", ["gone", "changed"])
def test_a_page_without_the_texts_of_its_queries_says_why(folder, capsys, after) -> None:
    run("sweep", "exp.yaml", "--over", "pool_factor=1,4", "--processes", "1")
    first, second = (found.id for found in stored.list_runs())
    queries = folder / "tiny" / "queries.jsonl"
    if after == "gone":
        queries.parent.rename(folder / "elsewhere")
    else:
        queries.write_text(queries.read_text().replace("?", "!").replace('"text": "', '"text": "now '))
    capsys.readouterr()
    assert run("compare", first, second, "--html", "c.html") == 0
    assert "The page names queries without their texts: " in said(capsys)
    assert "now " not in (folder / "c.html").read_text()


def test_runs_on_other_judgements_are_not_compared(folder, capsys) -> None:
    run("run", "exp.yaml")
    (folder / "tiny" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tsort\t1\n")
    run("run", "exp.yaml")
    capsys.readouterr()
    assert run("compare", *(found.id for found in stored.list_runs())) == 2
    assert "with other judgements. Run both on the same." in said(capsys)


def test_rankings_go_out_and_come_back_as_the_same_scores(folder, capsys) -> None:
    asked = ("evaluate", "--collection", "tiny", "--model", "fake", "--index", "exact", "--metric", "nDCG@10")
    assert run(*asked, "--save-run", "mine.trec", "--save-qrels", "mine.qrels", "--json") == 0
    mine = json.loads(capsys.readouterr().out)
    assert list(mine["mean"]) == ["nDCG@10"]
    (folder / "mine.qrels").rename(folder / "mine.judged")
    judged = ("--qrels", "mine.judged", "--metric", "nDCG@10")
    assert run("evaluate", "--collection", "tiny", "--run", "mine.trec", *judged, "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert again["per_query"] == mine["per_query"]
    assert run("evaluate", "--collection", "tiny", "--run", "mine.trec", *judged) == 0
    assert "nDCG@10" in said(capsys)
    assert run("evaluate", "--run", "mine.trec", "--index", "plaid", "--k", "3") == 2
    assert "--index, --k beside --run means nothing" in said(capsys)


def test_ids_that_trec_files_cannot_hold_are_refused_before_the_run(folder, capsys) -> None:
    corpus = folder / "tiny" / "corpus.jsonl"
    corpus.write_text(corpus.read_text().rstrip() + "\n" + json.dumps({"_id": "a b", "text": "Add two numbers"}) + "\n")
    asked = ("evaluate", "--collection", "tiny", "--model", "fake", "--index", "exact")
    assert run(*asked, "--save-run", "mine.trec") == 2
    assert "cannot hold the id 'a b'" in said(capsys)
    assert not stored.list_runs()
    assert run(*asked, "--save-qrels", "mine.qrels") == 0, "what is judged has no space"


def test_a_run_file_is_compared_with_runs_that_are_kept(folder, capsys) -> None:
    run("run", "exp.yaml")
    kept = stored.list_runs()[0].id
    (folder / "theirs.trec").write_text("q1 Q0 sort 1 2 x\nq1 Q0 argmax 2 1 x\nq7 Q0 sort 1 1 x\n")
    capsys.readouterr()
    assert run("compare", kept, "theirs.trec", "--metric", "nDCG@10", "--correction", "bonferroni", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (pair,) = found["pairs"]
    assert pair["p_corrected"] == pytest.approx(pair["p"])
    dcg, ideal = 1 + 2 / np.log2(3), 2 + 1 / np.log2(3)
    assert found["scores"]["theirs"]["nDCG@10"][0] == pytest.approx(dcg / ideal / 3)
    assert run("compare", "theirs.trec", "theirs.trec") == 2
    assert "name it with --collection" in said(capsys)
    assert run("compare", kept, "theirs.trec", "--seeds", "2") == 2
    assert run("compare", kept, kept, "--collection", "tiny") == 2
    assert run("compare", kept, "theirs.trec", "--correction", "tukey") == 2
    assert "choose among holm, bonferroni, none" in said(capsys)


def test_an_unknown_metric_lists_the_known_ones(folder, capsys) -> None:
    (folder / "exp.yaml").write_text("collection: tiny\nmetrics: [ndgc@10]\n")
    assert run("run", "exp.yaml") == 2
    assert "recall" in said(capsys)


def test_pool_study_keeps_what_it_measured(folder, capsys) -> None:
    command = ("pool-study", "--collection", "tiny", "--factor", "2", "--factor", "inf")
    assert run(*command, "--figure", "curve.html") == 0
    assert "tiny: 3 measured, 0 were there already." in said(capsys)
    assert (folder / "curve.html").exists()
    assert run(*command, "--json") == 0
    captured = capsys.readouterr()
    assert "nothing was measured, all 3 were there already" in captured.err
    assert [row["factor"] for row in json.loads(captured.out)] == [1, 2, "inf"]
    assert run("pool-study", "--collection", "tiny", "--pool", "factor=2", "--pool", "inf", "--json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(captured.out)  # the same by the name of all commands
    assert run(*command, "--force", "--output", "numbers.json") == 0
    assert "3 measured" in said(capsys)
    assert run("pool-study", "--collection", "tiny", "--figure", "curve.gif") == 2
    assert run("pool-study", "--collection", "tiny", "--factor", "two") == 2


def test_pool_study_of_dimensions_bits_and_budgets_gives_rows(folder, capsys, monkeypatch) -> None:
    grid = ("--dims", "8,16", "--bits", "16,2", "--factor", "2", "--pool", "once", "--budget", "100B/document")
    command = ("pool-study", "--collection", "tiny", *grid)
    assert run(*command, "--json", "--figure", "grid.html") == 0
    captured = capsys.readouterr()
    rows = json.loads(captured.out)
    assert "was not trained for 8" in " ".join(captured.err.split())
    assert {(row["pool"], row["factor"]) for row in rows} == {("", 1), ("", 2), ("once", 1)}
    assert {row["bits"] for row in rows} == {16, 2}
    assert {row["dim"] for row in rows} == {8, 16}
    assert {row["run"] for row in rows} <= {found.id for found in stored.list_runs()}
    best = [row for row in rows if row["best_under_budget"]]
    fits = [row for row in rows if row["bytes"] <= 100 * row["documents"]]
    assert best == ([max(fits, key=lambda row: (row["mean"]["ndcg@10"], -row["bytes"]))] if fits else [])
    assert run(*command) == 0
    assert "nothing was measured" in (shown := said(capsys))
    assert "Best under 100B/document" in shown
    monkeypatch.setattr("engine.Encoder.load", lambda *_, **__: pytest.fail("loaded"))
    for wrong, sentence in (
        (("--dims", "0"), "dim as a whole number"), (("--dims", "a,b"), "--dims as whole numbers"),
        (("--bits", "3,16"), "bits among"), (("--pool", "tokens=1"), "2 or more tokens"),
        (("--pool", "tokns=4"), "did you mean tokens"), (("--budget", "2"), "a budget such as"),
    ):  # fmt: skip
        assert run("pool-study", "--collection", "tiny", *wrong) == 2
        assert sentence in said(capsys)


def test_every_command_that_indexes_takes_pool_settings(folder, capsys, monkeypatch) -> None:
    on = ("--collection", "tiny", "--json")
    assert run("evaluate", *on, "--index", "exact", "--pool", "tokens=4") == 0
    measured = json.loads(capsys.readouterr().out)
    assert stored.find(measured["run"]).experiment.pool == "tokens=4"
    assert measured["index"]["tokens"] < 8 * 5
    assert run("index", "built", *on, "--index", "exact", "--pool", "tokens=4") == 0
    assert json.loads(capsys.readouterr().out)["tokens"] == measured["index"]["tokens"]
    assert run("search", "largest value", *on, "--index", "exact", "--pool", "tokens=4") == 0
    assert json.loads(capsys.readouterr().out)["hits"][0]["id"] == "argmax"
    assert run("recommend", *on, "--index", "exact", "--pool", "tokens=4", "--seconds", "60") == 0
    found = json.loads(capsys.readouterr().out)
    assert "tokens=4" in [option["pool"] for option in found["tried"]]
    assert "--pool tokens=4" in found["command"]
    monkeypatch.setattr("engine.Encoder.load", lambda *_, **__: pytest.fail("loaded"))
    for command in (("evaluate",), ("index", "other"), ("search", "x"), ("recommend",), ("compare-indexes",)):
        assert run(*command, *on, "--pool", "tokens=0") == 2
        assert "tokens as a whole number" in said(capsys)
