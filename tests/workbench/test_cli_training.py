"""The commands that train: what they write and print, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.training import TrainSettings
from workbench import runs as stored
from workbench.cli import main

ROWS = [
    ("how do I sort a list in place", "list.sort puts the items of a list in order and returns None."),
    ("sorted copy of any iterable", "sorted makes a new list with the items of an iterable in order."),
    ("read a file line by line", "open gives a file whose lines come one by one when it is iterated."),
    ("write text to a file", "Path.write_text opens a file, writes a string and closes it."),
    ("parse a date from a string", "datetime.strptime reads a date and time by a format."),
    ("format a date as text", "datetime.strftime writes a date and time by a format."),
    ("count equal items", "Counter counts how often each item occurs."),
    ("run a command and read its output", "subprocess.run starts a program and waits for its end."),
]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps({"query": query, "positive": text}) + "\n" for query, text in ROWS))
    return path


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_mined_rows_train_and_a_finished_run_stays(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    judged = tmp_path / "judged"
    (judged / "qrels").mkdir(parents=True)
    for name, lines in (
        ("corpus", [{"_id": f"d{i}", "text": text} for i, (_, text) in enumerate(ROWS[::2])]),
        ("queries", [{"_id": f"q{i}", "text": query.rpartition(" ")[0]} for i, (query, _) in enumerate(ROWS[::2])]),
    ):
        (judged / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    grades = "".join(f"q{i}\td{i}\t1\n" for i in range(len(ROWS) // 2))
    (judged / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + grades)
    mined = tmp_path / "mined.jsonl"
    asked = ["mine", "--data", str(pairs), "--output", str(mined), "--negatives", "2", "--depth", "8", "--json"]
    assert run(["mine", "--data", str(pairs), "--output", str(pairs)]) == 2
    assert "is the file of pairs itself" in capsys.readouterr().err
    assert run([*asked, "--margin", "0.99", "--index", "sharded:of=exact,shards=2"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = [json.loads(line) for line in mined.read_text().splitlines()]
    assert told["counts"]["kept"] == len(rows) >= 4
    texts = dict(ROWS)
    for row in rows:
        assert row["positive"] == texts[row["query"]]
        assert {row["negative_1"], row["negative_2"]} < set(texts.values()) - {row["positive"]}
    copy = next(row for row in rows if row["query"].startswith("sorted copy"))
    assert copy["negative_1"].startswith("list.sort")
    # The two are so near that for this question the other answer counts as right, and is no negative.
    sort = next(row for row in rows if row["query"].startswith("how do I sort"))
    assert not sort["negative_1"].startswith("sorted makes")
    model = tmp_path / "model"
    settings = ["--set", "batch=2", "--set", "lora_rank=2", "--set", "mini_batch_tokens=256", "--json"]
    train = ["train", "--data", str(pairs), "--output", str(model), "--device", "cpu", *settings]
    train += ["--collection", str(judged)]
    assert run([*train, "--max-steps", "1", "--settings", "gradcache"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["steps"] == 1
    assert first["settings"]["learning_rate"] == 5e-5  # the recipe's
    assert first["settings"]["batch"] == 2  # --set wins over it
    assert set(first["runs"].values()) == {found.id for found in stored.list_runs()}
    for name, value in first["ndcg@10"].items():
        assert stored.find(first["runs"][name]).mean["ndcg@10"] == value
    compared = ["compare", *first["runs"].values(), "--metric", "ndcg@10", "--test", "randomization", "--json"]
    assert run(compared) == 0
    assert json.loads(capsys.readouterr().out)["pairs"][0]["p"] == first["p_value"]
    weights = (model / "model.safetensors").read_bytes()
    assert run([*train, "--max-steps", "1", "--settings", "gradcache", "--resume"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["reason"], again["runs"]) == ("already complete", first["runs"])
    assert run([*train, "--max-steps", "1", "--resume"]) == 2  # without the recipe, another learning rate
    assert "learning_rate" in capsys.readouterr().err
    assert (model / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--scores"], "--teacher"),
        (["--depth", "1", "--negatives", "2"], "raise depth"),
        (["--data", "nothing.jsonl"], "no file nothing.jsonl"),
    ],
)
def test_mining_refuses_with_a_sentence(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    output = tmp_path / "mined.jsonl"
    assert run(["mine", "--data", str(pairs), "--output", str(output), *arguments]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not output.exists()


def test_a_trained_model_is_merged_with_its_base(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.tiny_models import make_model

    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    make_model(tmp_path / "backbone").save_pretrained(str(tmp_path / "base"))
    model, merged = tmp_path / "model", tmp_path / "merged"
    train = ["train", "--data", str(pairs), "--model", str(tmp_path / "base"), "--output", str(model), "--json"]
    assert run([*train, "--max-steps", "2", "--set", "batch=4", "--set", "learning_rate=0.01", "--device", "cpu"]) == 0
    capsys.readouterr()
    judged = tmp_path / "judged"
    (judged / "qrels").mkdir(parents=True)
    for name, letter, column in (("queries", "q", 0), ("corpus", "d", 1)):
        lines = [json.dumps({"_id": f"{letter}{i}", "text": row[column]}) for i, row in enumerate(ROWS)]
        (judged / f"{name}.jsonl").write_text("\n".join(lines))
    (judged / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\td{i}\t1\n" for i in range(len(ROWS)))
    )
    asked = ["merge", "--model", str(model), "--share", "0.25", "--output", str(merged), "--device", "cpu"]
    assert run([*asked, "--collection", str(judged), "--shares", "0.25,1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["base"] == str(tmp_path / "base")
    assert [point["share"] for point in told["points"]] == [0, 0.25, 1]
    assert all(0 <= point["collections"]["judged"]["ndcg@10"] <= 1 for point in told["points"])
    assert "share of 0.25" in (merged / "README.md").read_text()
    for wrong, sentence in (
        (["--output", str(merged)], "replace puts a new one in its place"),
        ([], "nothing to do"),
        (["--collection", str(judged), "--shares", "0,2"], "from 0 to 1"),
        (["--collection", str(judged), "--shares", "half"], "numbers from 0 to 1"),
        (["--collection", str(judged), "--share", "7"], "from 0 to 1"),
    ):
        assert run(["merge", "--model", str(model), *wrong]) == 2
        assert sentence in capsys.readouterr().err


def test_texts_alone_are_enough_and_nothing_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.tiny_models import make_model

    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    make_model(tmp_path / "backbone").save_pretrained(str(tmp_path / "base"))
    judged = tmp_path / "judged"
    (judged / "qrels").mkdir(parents=True)
    texts = [f"{query} and more. {text}" for query, text in ROWS]
    for name, found in (
        ("queries", {"q0": "sort a list"}),
        ("corpus", {f"d{i}": text for i, text in enumerate(texts)}),
    ):
        lines = [json.dumps({"_id": key, "text": text}) for key, text in found.items()]
        (judged / f"{name}.jsonl").write_text("\n".join(lines))
    (judged / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq0\td0\t1\n")
    asked = ["train", "--model", str(tmp_path / "base"), "--output", str(tmp_path / "model"), "--device", "cpu"]
    few = ["--learns", "head", "--max-steps", "2", "--set", "evaluate_every=1", "--set", "validation=0.4", "--json"]
    assert run([*asked, "--collection", str(judged), *few]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["settings"]["train_only"] == "head"
    assert told["settings"]["weights_rate"] > told["settings"]["learning_rate"]
    assert set(told["measured"]) == {"0", "1", "2"}
    assert str(told["kept"]) in told["measured"]
    assert told["counts"]["kept"] == len(ROWS)
    assert run(asked) == 2
    assert "nothing to train on" in capsys.readouterr().err
    assert run([*asked, "--collection", str(judged), "--learns", "everything"]) == 2
    assert "head, lora, all" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "tune"])
def test_what_is_typed_wins_over_a_recipe_and_set_over_both(
    command: str, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[TrainSettings] = []

    def stop(settings: TrainSettings, *arguments: object) -> None:
        asked.append(settings)
        raise InputError("enough")

    monkeypatch.setattr("engine.training.fine_tune", stop)
    monkeypatch.setattr("workbench.experiments.tuning.tune", stop)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("seed: 5\nmax_steps: 3\nbase: other\noutput: kept\nbatch: 4\n")
    begin = [command, "--data", str(pairs), *(("--over", "batch=4,8") if command == "tune" else ())]
    assert run([*begin, "--settings", str(recipe)]) == 2
    typed = ["--seed", "0", "--model", "embedded", "--max-steps", "0", "--output", "model"]
    assert run([*begin, "--settings", str(recipe), *typed]) == 2
    assert run([*begin, *typed, "--set", "seed=7", "--set", "output=elsewhere"]) == 2
    found = [(one.seed, one.max_steps, one.base, one.output) for one in asked]
    assert found == [(5, 3, "other", "kept"), (0, 0, "embedded", "model"), (7, 0, "embedded", "elsewhere")]
    assert run(begin) == 2
    assert asked[-1].output == ("trials" if command == "tune" else "model")
