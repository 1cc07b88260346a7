"""A disk that is full after any number of bytes: one sentence, nothing left of the change, and the index as before."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest

from engine import TokenEmbeddings, create_index, open_index
from engine.errors import StorageError
from engine.indexes import new_index
from tests.conftest import ragged

DOCUMENTS = ragged(np.random.default_rng(0), [4] * 40, 8)
MORE = ragged(np.random.default_rng(1), [4] * 30, 8)
QUERY = ragged(np.random.default_rng(2), [3], 8)
IDS = [f"d{i:02d}" for i in range(40)]
CHANGES = {
    "add": lambda index: index.add([f"m{i}" for i in range(30)], MORE),
    "remove": lambda index: index.remove(IDS[4:9]),
    "remove most": lambda index: index.remove(IDS[4:]),
    "compact": lambda index: index.compact(),
}


class Disk:
    """Files take `room` bytes together, and then no more; what is deleted gives its room back."""

    def __init__(self, monkeypatch):
        self.room, self.written, self.open = 1 << 40, 0, Path.open
        disk = self

        class Limited(io.FileIO):
            def write(self, data):
                data = memoryview(data).cast("B")
                fits = data[: max(disk.room - disk.written, 0)]
                disk.written += super().write(fits)
                if len(fits) < len(data):
                    raise OSError(28, "No space left on device")
                return len(data)

        def limited(path, mode="r", buffering=-1, encoding=None, errors=None, newline=None):
            if not set(mode) & set("wa+x"):
                return disk.open(path, mode, buffering, encoding, errors, newline)
            raw = Limited(path, mode.replace("b", ""))
            stream = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return stream if "b" in mode else io.TextIOWrapper(stream, encoding=encoding)

        def unlink(path, missing_ok=False):
            disk.written -= path.stat().st_size if path.exists() else 0
            delete(path, missing_ok)

        delete = Path.unlink
        monkeypatch.setattr(Path, "open", limited)
        monkeypatch.setattr(Path, "unlink", unlink)

    def holds(self, room):
        self.room, self.written = room, 0


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.fixture(params=["exact", "hnsw", "plaid"])
def template(request, tmp_path):
    index = create_index(request.param, tmp_path / "template")
    index.add(IDS, DOCUMENTS)
    index.remove(IDS[:4])
    return index.path


def files(folder):
    return {path.name: path.stat().st_size for path in folder.iterdir()}


def answers(index):
    return [(ranking.ids, ranking.scores.tolist()) for ranking in index.search(QUERY, 100)]


def check(disk, template, tmp_path, points):
    for what, change in CHANGES.items():
        shutil.copytree(template, tmp_path / "whole")
        index = open_index(tmp_path / "whole")
        disk.holds(1 << 40)
        change(index)
        needed, expected = disk.written, answers(index)
        shutil.rmtree(tmp_path / "whole")
        for room in np.unique(np.linspace(0, needed - 1, points).astype(int)):
            shutil.copytree(template, tmp_path / "full")
            index = open_index(tmp_path / "full")
            before, content = answers(index), files(index.path)
            disk.holds(room)
            told = None
            try:
                change(index)
            except StorageError as error:
                told = str(error)
            if told is not None:
                assert "No space left on device" in told
                assert files(index.path) == content, (what, room)
                assert answers(index) == answers(open_index(index.path)) == before
                index.verify()
                disk.holds(1 << 40)
                change(index)
            else:  # a removal that had no room to make the index smaller, and did without
                assert what == "remove most"
            disk.holds(1 << 40)
            assert sorted(answers(index)[0][0]) == sorted(expected[0][0]), (what, room)
            index.compact()
            open_index(index.path).verify()
            shutil.rmtree(index.path)


def test_a_full_disk_leaves_the_index_as_it_was(disk, template, tmp_path):
    check(disk, template, tmp_path, 5)


@pytest.mark.slow
def test_a_disk_that_is_full_after_any_number_of_bytes(disk, template, tmp_path):
    check(disk, template, tmp_path, 200)


def test_removing_needs_hardly_any_room(disk, tmp_path):
    """What a person does on a full disk: remove documents, which must not need room for a copy of the others."""
    many = ragged(np.random.default_rng(3), [40] * 200, 32)
    for kind in ("exact", "hnsw", "plaid"):
        index = create_index(kind, tmp_path / kind)
        index.add([f"d{i}" for i in range(200)], many)
        for first in range(0, 180, 60):
            disk.holds(10_000)
            index.remove([f"d{i}" for i in range(first, first + 60)])
        disk.holds(1 << 40)
        size = index.describe()["bytes"]
        index.compact()
        assert index.describe()["bytes"] < 0.5 * size
        assert len(index.search(ragged(np.random.default_rng(4), [3], 32), 100)[0]) == 20
        index.verify()


@pytest.mark.parametrize("kind", ["exact", "hnsw", "plaid"])
def test_an_index_that_cannot_be_made_leaves_no_folder(disk, tmp_path, kind):
    for room in (0, 100, 2000):
        disk.holds(room)
        with pytest.raises(StorageError), new_index(kind, tmp_path / "new" / "folder" / "index") as index:
            index.add(IDS, DOCUMENTS)
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    disk.holds(100)
    with pytest.raises(StorageError):
        DOCUMENTS.save(tmp_path / "mine")
    assert {path.name for path in (tmp_path / "mine").iterdir()} <= {"notes.txt", "writer.lock"}
    disk.holds(1 << 40)
    DOCUMENTS.save(tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "x"
    assert len(TokenEmbeddings.open(tmp_path / "mine")) == 40
