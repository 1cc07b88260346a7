"""A run travels whole or not at all: what is not a run of ours becomes a sentence, and nothing of it is seen."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from engine.errors import CorruptDataError, InputError, NotFoundError
from workbench import Experiment, runs
from workbench.experiments.execute import run
from workbench.runs import Run
from workbench.runs.record import CHECKSUM
from workbench.runs.store import runs_folder

FILES = ("run.json", "scores.parquet", "rankings.parquet")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_collection, fake_encoder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        yield run(Experiment(collection="tiny", model="fake"), collection=tiny_collection, encoder=fake_encoder)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "other"))
    return tmp_path


def packed(finished: Run, path: Path, prefix: str = "x/", **changed: bytes | None) -> Path:
    """A zip of the run in which some files have other contents, or are left out; then no checksum tells."""
    if changed:
        changed.setdefault("run", altered(finished, lambda record: None))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FILES:
            content = changed.get(name.partition(".")[0], (finished.path / name).read_bytes())
            if content is not None:
                archive.writestr(prefix + name, content)
    return path


def altered(finished: Run, change: Callable[[dict], object]) -> bytes:
    record = json.loads((finished.path / "run.json").read_text())
    record.pop(CHECKSUM)
    record.pop("files")
    change(record)
    return json.dumps(record).encode()


def nothing_is_seen() -> bool:
    return runs.list() == [] and list(runs_folder().iterdir()) == []


def test_export_and_import_elsewhere(finished, tmp_path) -> None:
    path = runs.export(finished, tmp_path / "run.zip")
    imported = runs.import_zip(path)
    assert not imported.reused
    assert imported.per_query("ndcg@10") == finished.per_query("ndcg@10")
    assert imported.rankings()["q1"].ids == finished.rankings()["q1"].ids
    again = runs.import_zip(path)
    assert (again.id, again.reused) == (imported.id, True)
    assert len(runs.list()) == 1
    with pytest.raises(InputError, match="Another run"):
        runs.import_zip(packed(finished, path, run=altered(finished, lambda record: record.update(name="other"))))


@pytest.mark.parametrize(
    "name",
    ["../../evil", "a/b", "..", ".hidden", "", "x" * 300, "a\0b", "a\nb", "x.partial", "con:", "é", "[bold]", "a "],
)
def test_odd_names_of_runs_are_refused(finished, tmp_path, name) -> None:
    path = packed(finished, tmp_path / "bad.zip", run=altered(finished, lambda record: record.update(id=name)))
    with pytest.raises(CorruptDataError, match="no folder name"):
        runs.import_zip(path)
    assert nothing_is_seen()
    assert not (runs_folder().parent.parent / "evil").exists()


def without(name: str) -> Callable[[dict], object]:
    return lambda record: record.pop(name)


RECORDS: dict[str, Callable[[dict], object]] = {
    "no experiment": without("experiment"),
    "no scores": without("scores"),
    "no date": without("created"),
    "no collection": without("collection"),
    "null experiment": lambda record: record.update(experiment=None),
    "scores as text": lambda record: record.update(scores={"ndcg@10": "0.5"}),
    "mean as text": lambda record: record["scores"]["ndcg@10"].update(mean="0.5"),
    "no fingerprint": lambda record: record["collection"].pop("fingerprint"),
    "name as number": lambda record: record.update(name=5),
    "warnings as text": lambda record: record.update(warnings="none"),
    "unknown index": lambda record: record["experiment"].update(index="no such"),
    "other metrics": lambda record: record["scores"].pop("ndcg@10"),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_records_that_do_not_fit_are_refused(finished, tmp_path, kind) -> None:
    path = packed(finished, tmp_path / "bad.zip", run=altered(finished, RECORDS[kind]))
    with pytest.raises(CorruptDataError, match="no complete zip of a run"):
        runs.import_zip(path)
    assert nothing_is_seen()


@pytest.mark.parametrize("text", [b"", b"[]", b"3", b"{", b"\xff\xfe", b'{"format": 1}', b"[" * 100_000])
def test_records_that_are_none_are_refused(finished, tmp_path, text) -> None:
    with pytest.raises(CorruptDataError, match="no complete zip of a run"):
        runs.import_zip(packed(finished, tmp_path / "bad.zip", run=text))
    assert nothing_is_seen()


def table(columns: dict[str, pa.Array], tmp_path: Path) -> bytes:
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    return (tmp_path / "t.parquet").read_bytes()


def test_tables_that_do_not_fit_are_refused(finished, tmp_path) -> None:
    query, value = pa.array(["q1"]), pa.array([0.5])
    bad = [
        {"scores": b""},
        {"scores": b"PAR1"},
        {"rankings": None},
        {"scores": table({"query": query, "value": value}, tmp_path)},
        {"scores": table({"metric": query, "query": query, "value": pa.array(["x"])}, tmp_path)},
        {"scores": table({"metric": query, "query": query, "value": pa.array([None], pa.float64())}, tmp_path)},
        {"rankings": (finished.path / "scores.parquet").read_bytes()},
    ]
    for changed in bad:
        with pytest.raises(CorruptDataError, match="no complete zip of a run"):
            runs.import_zip(packed(finished, tmp_path / "bad.zip", **changed))
    assert nothing_is_seen()


def test_bombs_are_refused_before_they_are_unpacked(finished, tmp_path, monkeypatch) -> None:
    for bomb in (b" " * 50_000_000, b"\0" * 5_000_000):
        with pytest.raises(CorruptDataError, match=r"grows from [\d,]+ to [\d,]+ bytes"):
            runs.import_zip(packed(finished, tmp_path / "bad.zip", rankings=bomb))
    monkeypatch.setattr("workbench.runs.unpacking.LARGEST", 1000)
    with pytest.raises(CorruptDataError, match="more than 1,000"):
        runs.import_zip(packed(finished, tmp_path / "bad.zip"))
    monkeypatch.undo()
    monkeypatch.setattr("workbench.runs.unpacking.MOST_ROWS", 5)
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "other"))
    with pytest.raises(CorruptDataError, match="rows, more than 5"):
        runs.import_zip(packed(finished, tmp_path / "bad.zip"))
    assert nothing_is_seen()


def test_a_table_that_claims_more_than_it_holds(finished, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("workbench.runs.unpacking.LARGEST", 1_000_000)
    same = pa.array(np.full(2_000_000, 0.5))
    big = table({"metric": same, "query": same, "value": same}, tmp_path)
    wide = pa.table({name: pa.array(["x"] * 400_000) for name in ("metric", "query")} | {"value": same[:400_000]})
    parquet.write_table(wide, tmp_path / "w.parquet", use_dictionary=False, compression="gzip")
    assert len(big) < 1_000_000
    with pytest.raises(CorruptDataError, match=r"columns|unpacks to"):
        runs.import_zip(packed(finished, tmp_path / "bad.zip", scores=big))
    with pytest.raises(CorruptDataError, match="unpacks to"):
        runs.import_zip(packed(finished, tmp_path / "bad.zip", scores=(tmp_path / "w.parquet").read_bytes()))


def test_zips_that_are_none_or_packed_strangely(finished, tmp_path) -> None:
    path = tmp_path / "bad.zip"
    with pytest.raises(NotFoundError):
        runs.import_zip(path)
    path.write_bytes(b"no zip")
    with pytest.raises(CorruptDataError, match="no complete zip"):
        runs.import_zip(path)
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(path, "w", method) as archive:
            for name in FILES:
                archive.write(finished.path / name, name)
        with pytest.raises(CorruptDataError, match="packed by method"):
            runs.import_zip(path)
    whole = packed(finished, path).read_bytes()
    for flag, reason in ((0x1, "encrypted"), (0x0, "packed by method 99")):
        # the central directory's entry of the first file: general purpose flags at 8, method at 10
        at = whole.index(b"PK\x01\x02")
        entry = bytearray(whole)
        entry[at + 8] |= flag
        if not flag:
            entry[at + 10] = 99
        path.write_bytes(entry)
        with pytest.raises(CorruptDataError, match=reason):
            runs.import_zip(path)
    for cut in (len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:cut])
        with pytest.raises(CorruptDataError, match="no complete zip"):
            runs.import_zip(path)
    assert nothing_is_seen()


def test_any_flipped_byte_gives_a_sentence_or_the_same_run(finished, tmp_path) -> None:
    whole, rng = packed(finished, tmp_path / "run.zip").read_bytes(), np.random.default_rng(5)
    for position in rng.integers(0, len(whole), 150):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << int(rng.integers(8))
        (tmp_path / "bad.zip").write_bytes(flipped)
        try:
            imported = runs.import_zip(tmp_path / "bad.zip")
        except CorruptDataError:
            assert nothing_is_seen()
        else:
            assert imported.per_query("ndcg@10") == finished.per_query("ndcg@10")
            runs.delete(imported.id)


def test_other_tables_than_those_that_were_packed(finished, tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        for name, source in zip(FILES, ("run.json", "scores.parquet", "scores.parquet"), strict=True):
            archive.write(finished.path / source, name)
    with pytest.raises(CorruptDataError, match="differs from its checksum"):
        runs.import_zip(tmp_path / "bad.zip")
    assert nothing_is_seen()


def test_files_twice_or_in_several_folders(finished, tmp_path) -> None:
    path = packed(finished, tmp_path / "bad.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.write(finished.path / "run.json", "y/run.json")
    with pytest.raises(CorruptDataError, match=r"2 files run\.json"):
        runs.import_zip(path)
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(FILES):
            archive.write(finished.path / name, f"{number}/{name}")
    with pytest.raises(CorruptDataError, match="several folders"):
        runs.import_zip(path)
