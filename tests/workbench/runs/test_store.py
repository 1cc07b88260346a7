"""One bad folder among the runs: it is named with what can be done, and the others are shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from workbench import Experiment, runs
from workbench.cli import main
from workbench.experiments.execute import run
from workbench.runs.record import CHECKSUM
from workbench.runs.store import runs_folder

RECORDS = [
    b"", b"{", b"[]", b"3", b'"text"', b"null", b'{"format": 1}', b'{"format": 1, "id": 5}', b"\xff", b"{}" * 2,
    b'{"format": 1, "id": "bad", "name": 5}', b'{"format": 1, "id": "bad", "scores": 5}',
    b'{"format": 1, "id": "bad", "scores": {"ndcg@10": null}}', b'{"format": 1, "id": "bad", "collection": null}',
    b'{"format": 1, "id": "bad", "experiment": []}', b'{"format": 1, "id": "bad", "created": 7}',
    b'{"format": 1, "id": "another"}', b'{"format": {}, "id": "bad"}', b"[" * 50_000,
]  # fmt: skip


@pytest.fixture
def good(tmp_path, monkeypatch, tiny_collection, fake_encoder) -> list[runs.Run]:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    base = Experiment(collection="tiny", model="fake")
    return [run(base.with_(pool_factor=f), collection=tiny_collection, encoder=fake_encoder) for f in (1, 4)]


def say(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    try:
        main(arguments)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    captured = capsys.readouterr()
    return code, " ".join((captured.out + captured.err).split())


def test_a_bad_record_is_named_and_the_others_are_shown(good, capsys) -> None:
    bad = runs_folder() / "bad"
    bad.mkdir()
    for content in [None, *RECORDS]:  # none at all first
        if content is not None:
            (bad / "run.json").write_bytes(content)
        listed = {found.id: found.status for found in runs.list()}
        assert listed == {"bad": "unreadable", good[0].id: "complete", good[1].id: "complete"}, content
    code, shown = say(capsys, "runs")
    assert code == 0
    assert good[0].id[:8] in shown  # a narrow terminal folds the rest
    assert "`workbench runs delete bad` removes it" in shown
    assert say(capsys, "runs", "list", "--json")[0] == 0
    code, shown = say(capsys, "runs", "show", "bad")
    assert (code, "run.json is damaged" in shown) == (2, True)
    assert say(capsys, "runs", "delete", "bad")[0] == 0
    assert len(runs.list()) == 2


@pytest.mark.parametrize("file", ["scores.parquet", "rankings.parquet", "run.json"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "gone"])
def test_compare_leaves_out_the_damaged_one_of_three(good, capsys, file, damage) -> None:
    bad = _copy(good[0].path, "bad")
    place = bad / file
    content = place.read_bytes()
    place.unlink() if damage == "gone" else place.write_bytes(content[: len(content) // 2 if damage[0] == "t" else 0])
    code, shown = say(capsys, "compare", good[0].id, "bad", good[1].id, "--name", "a", "--name", "b", "--name", "c")
    assert code == 0, shown
    assert "Left out:" in shown
    assert "bad" in shown
    assert "c against a" in shown
    code, shown = say(capsys, "compare", good[0].id, "bad")
    assert code == 2
    assert file in shown
    assert "Traceback" not in shown


def test_a_folder_that_was_renamed_says_so(good, capsys) -> None:
    shutil.copytree(good[0].path, runs_folder() / "copy")
    (problem,) = (found.problem for found in runs.list() if found.status == "unreadable")
    assert f"holds the record of run {good[0].id}" in problem


def _copy(folder: Path, name: str) -> Path:
    copy = runs_folder() / name
    shutil.copytree(folder, copy)
    record = json.loads((copy / "run.json").read_text())
    record.pop(CHECKSUM)
    record.pop("files")
    (copy / "run.json").write_text(json.dumps(record | {"id": name, "name": "the bad one"}))
    return copy
