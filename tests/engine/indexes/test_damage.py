"""Damage followed by a write: no change gives a fresh checksum to what was altered."""

import random
import shutil

import numpy as np
import pytest

from engine import TokenEmbeddings, create_index, open_index
from engine.errors import CorruptDataError
from engine.indexes.plaid import changes
from tests.conftest import ragged

DOCUMENTS = ragged(np.random.default_rng(0), [4] * 40, 8)
MORE = ragged(np.random.default_rng(1), [4] * 5, 8)
IDS = [f"d{i:02d}" for i in range(40)]
CHANGES = {
    "add": lambda index: index.add([f"m{i}" for i in range(5)], MORE),
    "add many": lambda index: index.add([f"n{i:02d}" for i in range(40)], DOCUMENTS),
    "remove": lambda index: index.remove(IDS[5:9]),
    "remove most": lambda index: index.remove(IDS[4:]),
    "compact": lambda index: index.compact(),
}


@pytest.fixture(params=["exact", "hnsw", "plaid", "plaid beyond the originals"])
def template(request, tmp_path, monkeypatch):
    if "beyond" in request.param:
        monkeypatch.setattr(changes, "ORIGINALS_LIMIT", 0)
    index = create_index(request.param.split()[0], tmp_path / "template")
    index.add(IDS, DOCUMENTS)
    index.remove(IDS[:2])  # so that there is something to compact
    return index.path


def left(index):
    """What a sound index holds after a change: names and checksums of its files."""
    return {name: (entry["bytes"], entry["crc32"]) for name, entry in index.state.manifest.files.items()}


def check(template, tmp_path, flips):
    chance, noticed = random.Random(0), 0
    for what, change in CHANGES.items():
        shutil.copytree(template, tmp_path / "sound")
        sound = open_index(tmp_path / "sound")
        names = [entry["file"] for entry in sound.state.manifest.files.values()]
        change(sound)
        expected = left(sound)
        for name in names:
            for _ in range(flips):
                shutil.copytree(template, tmp_path / "copy")
                content = bytearray((tmp_path / "copy" / name).read_bytes())
                content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
                (tmp_path / "copy" / name).write_bytes(content)
                try:
                    index = open_index(tmp_path / "copy")
                    change(index)
                    open_index(tmp_path / "copy").verify()
                except CorruptDataError:
                    noticed += 1
                else:  # only where the change made the file anew, from others that are sound
                    assert left(index) == expected, (what, name)
                shutil.rmtree(tmp_path / "copy")
        shutil.rmtree(tmp_path / "sound")
    return noticed / (len(CHANGES) * len(names) * flips)


def test_a_change_of_a_damaged_index_hides_nothing(template, tmp_path):
    assert check(template, tmp_path, 1) > 0.6


@pytest.mark.slow
def test_many_changes_of_damaged_indexes_hide_nothing(template, tmp_path):
    assert check(template, tmp_path, 20) > 0.6


@pytest.mark.parametrize("kind", ["exact", "hnsw", "plaid"])
def test_a_file_that_was_cut_is_not_filled_up_by_an_addition(tmp_path, kind):
    index = create_index(kind, tmp_path / "i")
    index.add(IDS, DOCUMENTS)
    name = "values" if kind != "plaid" else "codes"
    path = index.path / index.state.manifest.files[name]["file"]
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size - 8)
    with pytest.raises(CorruptDataError, match=path.name):
        index.add(["x"], TokenEmbeddings.from_list([MORE[0]]))
    with pytest.raises(CorruptDataError, match=path.name):
        open_index(index.path)


def test_an_index_of_an_earlier_version_is_refused_with_what_to_do(tmp_path):
    from engine import storage
    from engine.indexes.ids import IdTable

    (tmp_path / "old").mkdir()
    record = {"settings": {"dtype": "float16"}, "dim": 8, "fingerprint": None, "documents": 40, "tokens": 160}
    arrays = {"values": DOCUMENTS.values, "offsets": DOCUMENTS.offsets}
    storage.commit(tmp_path / "old", "index/exact", record, arrays, IdTable.from_list(IDS).files(tmp_path / "old"))
    with pytest.raises(CorruptDataError, match=r"earlier version.*build it again"):
        open_index(tmp_path / "old")
