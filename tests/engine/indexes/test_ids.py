"""The table of ids against a list of names: in memory, through its files, and those of earlier versions."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import create_index, open_index, storage
from engine.errors import CorruptDataError
from engine.indexes.ids import FILES, IdTable, others
from engine.retrieval import id_order
from tests.conftest import ragged

# Prefixes of each other, letters of one to four bytes, NUL, and names that differ in the last byte only.
NAMES = st.one_of(
    st.text("ab", min_size=1, max_size=3),
    st.text(st.sampled_from("aé猫🙂\0z"), min_size=1, max_size=4),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6),
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "compact", "reopen"]), st.lists(NAMES, max_size=8, unique=True)),
    max_size=8,
)


def committed(folder, table):
    """Written and read again, with every checksum compared."""
    manifest = storage.commit(folder, "thing", {}, {}, table.files(folder))
    storage.verify(folder, manifest)
    return IdTable.open(folder, manifest)


def check(table, names, strangers):
    assert len(table) == len(names)
    assert table.names == names
    assert [table[i] for i in range(len(names))] == names
    assert table.at(np.arange(len(names))[::-2]) == names[::-2]
    np.testing.assert_array_equal(table.positions(names), np.arange(len(names)))
    assert (table.positions(strangers) == -1).all()
    assert not any(name in table for name in strangers)
    np.testing.assert_array_equal(table.tie_order, id_order(names))


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_ids_are_those_of_a_list_after_any_changes(steps):
    with tempfile.TemporaryDirectory() as folder:
        names, table = [], committed(Path(folder), IdTable.from_list([]))
        for what, some in steps:
            if what == "add":
                new = [name for name in some if name not in names]
                names, table = names + new, table.joined(new)
            elif what == "remove":
                gone = {*some, *names[1::3]} & {*names}
                table = table.without(table.positions(sorted(gone)))
                names = [name for name in names if name not in gone]
            elif what == "compact":
                table = table.compacted()
                assert len(table.gone) == 0
            table = committed(Path(folder), table)
            if what == "reopen":
                table = IdTable.open(Path(folder), storage.read_manifest(Path(folder)))
            check(table, names, [name for name in ["", "\udc80", "ab\0", *some] if name not in names])


def test_what_is_not_committed_is_a_table_too():
    table = IdTable.from_list(["b", "a", "c"]).joined(["ab"]).without(np.array([0, 2])).joined(["c", "b"])
    check(table, ["a", "ab", "c", "b"], ["d"])


def test_an_addition_appends_and_a_removal_leaves_what_is_there(tmp_path):
    index = create_index("exact", tmp_path / "i")
    index.add([f"d{i}" for i in range(20)], ragged(np.random.default_rng(0), [1] * 20, 4))
    first = index.state.manifest.files
    index.add(["x"], ragged(np.random.default_rng(1), [1], 4))
    second = index.state.manifest.files
    for name in ("ids", "id_lengths"):
        assert (second[name]["file"], second[name]["bytes"] > first[name]["bytes"]) == (first[name]["file"], True)
    index.remove(["d3", "x"])
    third = index.state.manifest.files
    assert all(third[name] == second[name] for name in ("ids", "id_lengths", "id_order"))
    assert third["id_gone"]["bytes"] == 8


def test_room_of_removed_ids_is_given_back_once_most_are_gone(tmp_path):
    index = create_index("exact", tmp_path / "i")
    for turn in range(6):
        names = [f"{turn} {i}" for i in range(20)]
        index.add(names, ragged(np.random.default_rng(turn), [1] * 20, 4))
        if turn:
            index.remove(index.ids[:20])
        assert index.ids == names
    assert index.state.manifest.files["ids"]["bytes"] < 6 * 20 * 3
    index.compact()
    assert "id_gone" not in index.state.manifest.files
    assert index.ids == names


@pytest.mark.parametrize("kind", ["exact", "plaid"])
def test_ids_of_an_earlier_version_open_and_become_those_of_today(tmp_path, kind):
    index = create_index(kind, tmp_path / "i")
    names = [f"é{i % 7}-{i}" for i in range(30)]
    index.add(names, ragged(np.random.default_rng(0), [2] * 30, 8))
    before, encoded = index.state.manifest, [name.encode() for name in names]
    old = {
        "ids": np.frombuffer(b"".join(encoded), np.uint8),
        "id_offsets": np.concatenate([[0], np.cumsum([len(name) for name in encoded])]).astype(np.int64),
    }
    storage.commit(index.path, before.kind, before.record, old, others(before.files))
    index = open_index(tmp_path / "i")
    check(index.state.ids, names, ["new"])
    index.remove(names[:3])
    index.add(["new"], ragged(np.random.default_rng(1), [2], 8))
    check(open_index(tmp_path / "i").state.ids, [*names[3:], "new"], names[:3])
    assert {"ids", "id_lengths", "id_order", "id_gone"} == FILES & index.state.manifest.files.keys()


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("id_order", [0, 1, 3]),
        ("id_order", [0, -1, 2]),
        ("id_order", [0, 1]),
        ("id_lengths", [1, 1, 2]),
        ("id_lengths", [0, 1, 2]),
        ("id_gone", [1, 1]),
        ("id_gone", [3]),
        ("id_gone", [-1]),
    ],
)
def test_arrays_that_do_not_fit_are_refused_when_they_are_opened(tmp_path, name, rows):
    table = committed(tmp_path, IdTable.from_list(["a", "b", "c"]))
    check(table, ["a", "b", "c"], ["d"])
    entry = storage.append_rows(tmp_path, storage.grow_entry(name, 9, "<i4"), np.array(rows, np.int32))
    manifest = storage.commit(tmp_path, "thing", {}, {}, {**table.files(tmp_path), name: entry})
    with pytest.raises(CorruptDataError, match="do not fit together"):
        IdTable.open(tmp_path, manifest)
