"""Folders of arrays: generations, growing files, checksums, and what damage looks like."""

import contextlib

import numpy as np
import pytest

from engine import storage
from engine.errors import BusyError, CorruptDataError, InputError, NotFoundError


def write(folder, **arrays):
    return storage.commit(folder, "thing", {"n": len(arrays)}, arrays)


def test_a_folder_reads_back_as_written(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float16).reshape(2, 3), "b": np.empty((0, 4), np.int64), "c": np.array(7)}
    manifest = write(tmp_path, **arrays)
    for name, array in arrays.items():
        for mmap in (True, False):
            if array.size or not mmap:
                found = storage.open_array(tmp_path, manifest, name, mmap)
                np.testing.assert_array_equal(found, array)
                assert found.dtype == array.dtype
    storage.verify(tmp_path, storage.read_manifest(tmp_path, "thing"))
    assert manifest.files["a"]["crc32"] == storage.checksum(tmp_path / manifest.files["a"]["file"])


def test_big_endian_arrays_are_stored_little_endian(tmp_path):
    manifest = write(tmp_path, a=np.arange(4, dtype=">i4"))
    assert storage.open_array(tmp_path, manifest, "a").dtype == np.dtype("<i4")
    np.testing.assert_array_equal(storage.open_array(tmp_path, manifest, "a"), np.arange(4))


def test_the_same_content_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, a=np.arange(100), b=np.ones((3, 3), np.float32))
    mine, theirs = sorted((tmp_path / "one").iterdir()), sorted((tmp_path / "two").iterdir())
    assert [path.read_bytes() for path in mine] == [path.read_bytes() for path in theirs]


def test_a_new_generation_replaces_the_files_and_old_maps_stay_readable(tmp_path):
    first = write(tmp_path, a=np.arange(1000))
    held = storage.open_array(tmp_path, first, "a")
    second = write(tmp_path, a=np.zeros(3))
    assert second.generation == 2
    assert held.sum() == 499_500
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.000002.npy", "manifest.json"]
    with pytest.raises(CorruptDataError, match="missing"):
        storage.open_array(tmp_path, first, "a")


def grow(folder, rows):
    before = storage.read_manifest(folder) if (folder / storage.MANIFEST).exists() else None
    entry = before.files["rows"] if before else storage.grow_entry("rows", 1, rows.dtype, rows.shape[1:])
    entry = storage.append_rows(folder, entry, rows)
    return storage.commit(folder, "thing", {}, {}, {"rows": entry})


def test_growing_files_append_without_rewriting(tmp_path):
    first = grow(tmp_path, np.arange(6, dtype=np.int16).reshape(2, 3))
    held = storage.open_array(tmp_path, first, "rows")
    second = grow(tmp_path, np.arange(6, 12, dtype=np.int16).reshape(2, 3))
    assert second.files["rows"]["file"] == first.files["rows"]["file"]
    np.testing.assert_array_equal(storage.open_array(tmp_path, second, "rows"), np.arange(12).reshape(4, 3))
    np.testing.assert_array_equal(held, np.arange(6).reshape(2, 3))
    storage.verify(tmp_path, first)  # the older generation is a prefix
    storage.verify(tmp_path, second)
    assert second.files["rows"]["crc32"] == storage.checksum(tmp_path / second.files["rows"]["file"])


def test_rows_that_no_manifest_counts_are_overwritten(tmp_path):
    manifest = grow(tmp_path, np.arange(4, dtype=np.int64))
    storage.append_rows(tmp_path, manifest.files["rows"], np.full(9, -1, np.int64))  # a writer died here
    np.testing.assert_array_equal(storage.open_array(tmp_path, storage.read_manifest(tmp_path), "rows"), np.arange(4))
    storage.verify(tmp_path, storage.read_manifest(tmp_path))
    manifest = grow(tmp_path, np.arange(4, 6, dtype=np.int64))
    np.testing.assert_array_equal(storage.open_array(tmp_path, manifest, "rows", mmap=False), np.arange(6))
    assert (tmp_path / manifest.files["rows"]["file"]).stat().st_size == 6 * 8


def test_an_empty_growing_file(tmp_path):
    manifest = grow(tmp_path, np.empty((0, 5), np.uint8))
    assert storage.open_array(tmp_path, manifest, "rows").shape == (0, 5)
    storage.verify(tmp_path, manifest)


def test_remains_of_a_killed_writer_are_swept(tmp_path):
    write(tmp_path, a=np.arange(3))
    (tmp_path / "a.000002.npy").write_bytes(b"half")
    (tmp_path / ".manifest.json.1.tmp").write_text("{")
    write(tmp_path, a=np.arange(4))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.000002.npy", "manifest.json"]


@pytest.mark.parametrize("growing", [True, False])
def test_truncated_and_altered_files_are_named(tmp_path, growing):
    manifest = grow(tmp_path, np.arange(50)) if growing else write(tmp_path, rows=np.arange(50))
    path = tmp_path / manifest.files["rows"]["file"]
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(CorruptDataError, match=path.name):
        storage.open_array(tmp_path, manifest, "rows")
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CorruptDataError, match=path.name):
        storage.verify(tmp_path, manifest)
    path.unlink()
    with pytest.raises(CorruptDataError, match="missing"):
        storage.verify(tmp_path, manifest)


def test_every_flipped_bit_of_the_manifest_is_noticed(tmp_path):
    manifest = write(tmp_path, a=np.arange(3))
    path = tmp_path / storage.MANIFEST
    content = path.read_bytes()
    for position in range(len(content)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        with contextlib.suppress(CorruptDataError):
            assert storage.read_manifest(tmp_path) == manifest  # a change of white space changes nothing
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptDataError, match="damaged"):
        storage.read_manifest(tmp_path)


def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(NotFoundError, match="give a folder"):
        storage.read_manifest(tmp_path)
    manifest = write(tmp_path, a=np.arange(3))
    with pytest.raises(InputError, match="expected a 'other'"):
        storage.read_manifest(tmp_path, "other")
    with pytest.raises(CorruptDataError, match="names no 'b'"):
        storage.open_array(tmp_path, manifest, "b")


def test_one_writer_at_a_time(tmp_path):
    with (
        storage.writer_lock(tmp_path),
        pytest.raises(BusyError, match="another process"),
        storage.writer_lock(tmp_path),
    ):
        pass
    with storage.writer_lock(tmp_path):
        pass
