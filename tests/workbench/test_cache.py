"""The cache mends itself, and several processes may ask a cold one for the same at the same time."""

import multiprocessing
import random
import time
from dataclasses import replace

import numpy as np
import pytest

from engine import pool
from engine.errors import StorageError
from engine.files import writing
from engine.pooling import PoolSettings
from tests.conftest import ragged
from workbench import cache
from workbench.experiments.progress import Stopped

TEXTS = ["one text", "two texts of more words", "a third"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(cache, "_checked", set())


def pooled(documents, key):
    found, _, kept = cache.cached_pooled(lambda: pool(documents, 2), key, PoolSettings(2))
    return found, kept


def flip(path, chance):
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["values", "offsets", "manifest"])
def test_a_flipped_bit_anywhere_is_found_by_the_next_process_and_made_again(fake_encoder, name):
    truth = np.array(cache.cached_embeddings(fake_encoder, TEXTS, "document").values)
    folder, chance = cache.embeddings_folder(fake_encoder, TEXTS, "document", "float16"), random.Random(name)
    for _ in range(25):
        flip(next(folder.glob(f"{name}.*")), chance)
        cache._checked.clear()  # as another process
        with pytest.warns(UserWarning, match="made again"):
            found = cache.cached_embeddings(fake_encoder, TEXTS, "document")
        np.testing.assert_array_equal(found.values, truth)
        assert found.lengths.tolist() == [2, 5, 2]


def test_what_was_not_read_is_known_of_all_blocks_whether_made_or_kept(fake_encoder, monkeypatch):
    class Short(type(fake_encoder)):
        """Reads three words of a text, and adds a vector of the whole."""

        added = 1

        def _encode(self, texts, task, progress=None):
            words = [text.split() for text in texts]
            found = super()._encode([" ".join([*own[:3], "whole"]) for own in words], task, progress)
            unread = sum(max(len(own) - 3, 0) for own in words), sum(map(len, words))
            return replace(found, truncated=sum(len(own) > 3 for own in words), added=1, unread=unread)

    def known(found):
        return found.truncated, found.unread, found.added, found.fingerprint, found.values.dtype

    monkeypatch.setattr(cache, "BLOCK_TEXTS", 1)
    expected = (1, (2, 9), 1, "fake-fingerprint", np.float16)
    assert known(cache.cached_embeddings(Short(), TEXTS, "document")) == expected
    folder = cache.embeddings_folder(Short(), TEXTS, "document", "float16")
    assert known(cache.TokenEmbeddings.open(folder)) == expected
    cache.shutil.rmtree(folder)
    for number in (0, 1):  # of an encoding that was interrupted
        block = Short().encode_document(TEXTS[number : number + 1]).astype("float16")
        block.save(cache._blocks_folder(folder) / f"{number:08d}")
    assert known(cache.cached_embeddings(Short(), TEXTS, "document")) == expected


def test_damaged_blocks_and_pooled_documents_are_made_again(fake_encoder, monkeypatch):
    monkeypatch.setattr(cache, "BLOCK_TEXTS", 1)
    full = cache.cached_embeddings(fake_encoder, TEXTS, "document")
    truth = np.array(full.values)
    folder = cache.embeddings_folder(fake_encoder, TEXTS, "document", "float16")
    assert not cache._blocks_folder(folder).exists()
    fake_encoder.encode_document(TEXTS[:1]).astype("float16").save(cache._blocks_folder(folder) / "00000000")
    flip(next((cache._blocks_folder(folder) / "00000000").glob("values.*")), random.Random(0))
    cache.shutil.rmtree(folder)
    with pytest.warns(UserWarning, match="made again"):
        np.testing.assert_array_equal(cache.cached_embeddings(fake_encoder, TEXTS, "document").values, truth)
    merged, kept = pooled(full, "key")
    assert not kept
    truth = np.array(merged.values)
    (entry,) = (path for path in (folder.parents[1] / "pooled").iterdir() if path.is_dir())
    flip(next(entry.glob("values.*")), random.Random(1))
    cache._checked.clear()
    with pytest.warns(UserWarning, match="made again"):
        np.testing.assert_array_equal(pooled(full, "key")[0].values, truth)


def test_single_vectors_go_on_after_the_last_finished_block(monkeypatch):
    monkeypatch.setattr(cache, "BLOCK_TEXTS", 2)
    texts, asked, told = ["one", "three", "seventeen", "five", "eleven"], [], []

    def make(part, report):
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(list(part))
        report(len(part), len(part))
        return np.array([[len(text), 1] for text in part], np.float32)

    with pytest.raises(KeyboardInterrupt):
        cache.cached_vectors(("lengths",), texts, make)
    asked.clear()
    found = cache.cached_vectors(("lengths",), texts, make, lambda done, total: told.append((done, total)))
    assert asked == [["eleven"]]
    assert told == [(5, 5)]
    assert found.tolist() == [[3, 1], [5, 1], [9, 1], [4, 1], [6, 1]]
    assert cache.cached_vectors(("lengths",), texts, make).tolist() == found.tolist()
    assert len(asked) == 1
    assert not list((cache.data_folder("cache", "embeddings")).glob("*.blocks"))


def test_a_damaged_index_is_built_again(fake_encoder):
    documents = cache.cached_embeddings(fake_encoder, TEXTS, "document")
    index, _, _ = cache.cached_index("exact", ["a", "b", "c"], documents)
    flip(next(index.path.glob("values.*")), random.Random(0))
    cache._checked.clear()
    with pytest.warns(UserWarning, match="made again"):
        index, _, kept = cache.cached_index("exact", ["a", "b", "c"], documents)
    assert not kept
    index.verify()
    assert cache.cached_index("exact", ["a", "b", "c"], documents)[2]


@pytest.mark.parametrize("kind", ["hnsw", "plaid"])
def test_a_build_tells_how_far_it_is_and_may_be_stopped(kind):
    documents = ragged(np.random.default_rng(0), [40] * 250, 16)
    names, told = [f"d{i}" for i in range(250)], []
    index, _, kept = cache.cached_index(kind, names, documents, told=lambda done, total: told.append((done, total)))
    assert not kept
    assert len(told) > 1
    assert told == sorted(told)
    assert told[-1] == (250, 250)
    assert index.progress is None
    cache.cached_index(kind, names, documents, told=lambda done, total: pytest.fail("it is there already"))

    def enough(done: int, total: int) -> None:
        raise Stopped

    others = ragged(np.random.default_rng(1), [40] * 250, 16)
    with pytest.raises(Stopped):
        cache.cached_index(kind, names, others, told=enough)
    assert not cache.cached_index(kind, names, others)[2]


def test_values_are_compared_with_their_checksums_once_a_process(fake_encoder, monkeypatch):
    cache.cached_embeddings(fake_encoder, TEXTS, "document")
    seen = []
    monkeypatch.setattr(cache.TokenEmbeddings, "verify", staticmethod(seen.append))
    for _ in range(3):
        cache.cached_embeddings(fake_encoder, TEXTS, "document")
    assert len(seen) == 1


def test_a_full_disk_costs_the_cache_and_not_the_embeddings(fake_encoder, monkeypatch):
    def full(self, path):
        with writing(path):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.TokenEmbeddings, "save", full)
    with pytest.warns(UserWarning, match=r"not kept for next time.*No space left on device"):
        found = cache.cached_embeddings(fake_encoder, TEXTS, "document")
    assert found.lengths.tolist() == [2, 5, 2]
    with pytest.raises(StorageError):
        found.save(cache.data_folder("x"))


def ask(encoder, barrier, rounds, results):
    """One process: the same keys as the others at the same moments."""
    failed = []
    for number in range(rounds):
        texts = [f"{number} {text}" for text in TEXTS]
        barrier.wait(timeout=60)
        try:
            found = cache.cached_embeddings(encoder, texts, "document")
            merged, _ = pooled(found, f"key {number}")
            sound = np.array_equal(found.values, encoder.encode_document(texts).astype("float16").values)
            if not sound or len(merged) != len(texts):
                failed.append(f"{number}: other vectors")
        except Exception as error:
            failed.append(f"{number}: {error!r}")
    results.put(failed)


def share(encoder, rounds):
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(3), context.Queue()
    processes = [context.Process(target=ask, args=(encoder, barrier, rounds, results)) for _ in range(3)]
    start = time.monotonic()
    for process in processes:
        process.start()
    failed = [results.get(timeout=max(60, rounds)) for _ in processes]
    for process in processes:
        process.join()
    assert failed == [[], [], []], time.monotonic() - start


def test_three_processes_share_a_cold_cache(fake_encoder):
    share(fake_encoder, 20)


@pytest.mark.slow
def test_three_processes_share_a_cold_cache_many_times(fake_encoder):
    share(fake_encoder, 400)
