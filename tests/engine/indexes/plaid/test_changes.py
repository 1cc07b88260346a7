"""Any history of changes against the exact index over the same documents."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine import TokenEmbeddings, create_index, maxsim, open_index, storage
from engine.errors import CorruptDataError, InputError
from engine.indexes.plaid import PlaidIndex, changes
from engine.indexes.plaid.search import Layout
from engine.indexes.plaid.settings import wanted_centroids
from tests.conftest import ragged

DIM = 8


def create(path, **options) -> PlaidIndex:
    index = create_index("plaid", path, **options)
    assert isinstance(index, PlaidIndex)
    return index


class History(RuleBasedStateMachine):
    """Random add, remove, compact, reopen; every search must agree with a scan of the stored vectors."""

    @initialize(bits=st.sampled_from([1, 2, 4, 8, 16]), seed=st.integers(0, 99))
    def create(self, bits, seed):
        self.folder = Path(tempfile.mkdtemp())
        self.index = create(self.folder / "index", bits=bits, seed=seed, n_probe=2)
        self.rng = np.random.default_rng(seed)
        self.alive: dict[str, np.ndarray] = {}
        self.named = 0

    @rule(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12), scale=st.sampled_from([1.0, 1.0, 5.0]))
    def add(self, lengths, scale):
        new = ragged(self.rng, lengths, DIM)
        new = TokenEmbeddings(new.values * np.float32(scale), new.offsets)
        names = [f"n{self.named + i}" for i in range(len(lengths))]
        self.named += len(lengths)
        self.index.add(names, new)
        self.alive |= dict(zip(names, new, strict=True))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def remove(self, data):
        gone = data.draw(st.lists(st.sampled_from(sorted(self.alive)), min_size=1, max_size=8, unique=True))
        self.index.remove(gone)
        for name in gone:
            del self.alive[name]

    @rule()
    def compact(self):
        self.index.compact()

    @rule()
    def reopen(self):
        index = open_index(self.index.path)
        assert isinstance(index, PlaidIndex)
        self.index = index
        self.index.verify()

    @rule(k=st.integers(1, 30))
    def search(self, k):
        query = ragged(self.rng, [int(self.rng.integers(1, 40))], DIM)
        ranking = self.index.search(query, k)[0]
        assert len(ranking) == min(k, len(self.alive))
        if ranking.ids:
            truth = maxsim(query, self.index.stored(ranking.ids))[0]
            np.testing.assert_allclose(ranking.scores, truth, rtol=1e-5, atol=1e-4)
        whole = self.index.tuned(n_probe=10**6, n_full_scores=10**6, n_candidates=10**6).search(query, k)[0]
        every = maxsim(query, self.index.stored())[0] if self.alive else np.empty(0, np.float32)
        np.testing.assert_allclose(whole.scores, np.sort(every)[::-1][:k], rtol=1e-5, atol=1e-4)

    @invariant()
    def same_documents(self):
        if hasattr(self, "alive"):
            assert sorted(self.index.ids) == sorted(self.alive)
            assert self.index.describe()["tokens"] == sum(map(len, self.alive.values()))
            if self.alive:
                stored = self.index.stored(sorted(self.alive))
                assert [len(item) for item in stored] == [len(self.alive[name]) for name in sorted(self.alive)]

    def teardown(self):
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=12, stateful_step_count=10, deadline=None)


def clustered(rng, n_documents, length, centres):
    """Documents whose tokens lie around centres."""
    chosen = rng.integers(0, len(centres), n_documents * length)
    values = centres[chosen] + 0.15 * rng.standard_normal((len(chosen), centres.shape[1]))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    offsets = np.arange(0, len(values) + 1, length, dtype=np.int64)
    return TokenEmbeddings(values.astype(np.float32), offsets)


def recall(index, queries, documents, names):
    truth = maxsim(queries, documents)
    best = [{names[i] for i in np.argsort(-row, kind="stable")[:10]} for row in truth]
    return np.mean([len(b & set(r.ids)) / 10 for b, r in zip(best, index.search(queries, 10), strict=True)])


@pytest.mark.parametrize("large", [True, False], ids=["beyond the originals", "with the originals"])
def test_many_small_adds_search_as_well_as_one(tmp_path, monkeypatch, large):
    """The second half comes from other topics than the first, which trained the centroids."""
    if large:
        monkeypatch.setattr(changes, "ORIGINALS_LIMIT", 0)
    rng = np.random.default_rng(0)
    here, there = rng.standard_normal((2, 60, 24))
    parts = [clustered(rng, 200, 12, here), *(clustered(rng, 20, 12, there) for _ in range(10))]
    documents = TokenEmbeddings.from_list([item for part in parts for item in part])
    names = [f"d{i}" for i in range(len(documents))]
    queries = clustered(rng, 40, 6, np.concatenate([here, there]))
    fresh, grown = create_index("plaid", tmp_path / "fresh"), create_index("plaid", tmp_path / "grown")
    fresh.add(names, documents)
    start = 0
    for part in parts:
        grown.add(names[start : start + len(part)], part)
        start += len(part)
    assert ("originals" in grown.state.manifest.files) != large
    assert recall(grown, queries, documents, names) >= recall(fresh, queries, documents, names) - 0.01
    if large:
        assert grown.describe()["centroids"] > wanted_centroids(grown.settings, parts[0].n_tokens)


def test_an_add_leaves_the_large_files_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(changes, "ORIGINALS_LIMIT", 0)
    rng = np.random.default_rng(1)
    index = create_index("plaid", tmp_path / "index")
    index.add([f"a{i}" for i in range(300)], ragged(rng, [10] * 300, 16))
    before = {name: entry["file"] for name, entry in index.state.manifest.files.items()}
    index.add(["b0", "b1"], ragged(rng, [10, 3], 16))
    index.remove(["a0"])
    after = {name: entry["file"] for name, entry in index.state.manifest.files.items()}
    assert {name for name in before if before[name] == after[name]} >= {"codes", "residuals", "ends", "list_documents"}


def layout_of(index: PlaidIndex) -> Layout:
    assert index.layout is not None
    return index.layout


def test_a_change_takes_over_what_it_left_and_answers_as_if_opened_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(changes, "ORIGINALS_LIMIT", 0)
    rng = np.random.default_rng(7)
    index, queries = create(tmp_path / "index"), ragged(rng, [6] * 10, 16)
    index.add([f"a{i}" for i in range(200)], ragged(rng, [10] * 200, 16))
    index.search(queries, 30)
    before, farthest = layout_of(index), layout_of(index).codec.farthest
    for change in (lambda: index.remove(["a0", "a7"]), lambda: index.add(["b", "a0"], ragged(rng, [9, 4], 16))):
        change()
        fresh = open_index(index.path)
        assert isinstance(fresh, PlaidIndex)
        assert layout_of(index).codec.rounded is before.codec.rounded
        assert layout_of(index).lists[0] is before.lists[0]
        assert layout_of(index).codec.farthest == layout_of(fresh).codec.farthest
        for mine, theirs in zip(index.search(queries, 30), fresh.search(queries, 30), strict=True):
            assert mine.ids == theirs.ids
            np.testing.assert_array_equal(mine.scores, theirs.scores)
    assert before.codec.farthest == farthest  # that of a search which began before the change


@pytest.mark.parametrize("wrong", ["a centroid", "an end"])
def test_rows_that_came_since_are_checked_before_they_are_searched(tmp_path, monkeypatch, wrong):
    monkeypatch.setattr(changes, "ORIGINALS_LIMIT", 0)
    rng = np.random.default_rng(8)
    index = create(tmp_path / "index")
    index.add([f"a{i}" for i in range(50)], ragged(rng, [4] * 50, 8))
    before, n = index.state.manifest, layout_of(index).offsets[-1]
    rows = {
        "codes": np.array([60_000 if wrong == "a centroid" else 0], before.files["codes"]["dtype"]),
        "residuals": np.zeros((1, layout_of(index).codec.row_size), np.uint8),
        "ends": np.array([n - 1 if wrong == "an end" else n + 1]),
        "slots": np.array([50], np.int32),
    }
    files = {name: storage.append_rows(index.path, before.files[name], some) for name, some in rows.items()}
    record = {**before.record, "documents": 51, "tokens": int(n) + 1}
    ids = index.state.ids.joined(["bad"]).files(index.path)
    storage.commit(index.path, before.kind, record, {}, {**before.files, **files, **ids})
    with pytest.raises(CorruptDataError, match="do not fit together"):
        index.refresh()
    assert "bad" not in index


def test_small_indexes_train_anew_as_they_double(tmp_path):
    """A first document of one token says nothing about the others; the quantiser must follow."""
    rng = np.random.default_rng(2)
    documents = ragged(rng, [1] + [20] * 63, 16)
    index = create_index("plaid", tmp_path / "index", bits=8)
    for i in range(len(documents)):
        index.add([f"d{i}"], documents.select([i]))
    assert np.abs(index.stored().values - documents.values).max() < 0.05
    assert index.state.manifest.record["trained"] > documents.n_tokens // 2


def test_compact_gives_room_back_and_changes_no_ranking(tmp_path):
    rng = np.random.default_rng(3)
    index = create(tmp_path / "index")
    index.add([f"d{i}" for i in range(200)], ragged(rng, [15] * 200, 16))
    index.remove([f"d{i}" for i in range(0, 200, 2)])
    queries = ragged(rng, [5] * 10, 16)
    before, size = index.search(queries, 20), index.describe()["bytes"]
    index.compact()
    after = index.search(queries, 20)
    assert index.describe()["bytes"] < 0.7 * size
    for mine, theirs in zip(before, after, strict=True):
        assert mine.ids == theirs.ids
        np.testing.assert_array_equal(mine.scores, theirs.scores)
    generation = index.state.manifest.generation
    index.compact()
    assert index.state.manifest.generation == generation  # nothing to do


def test_a_stored_index_outgrows_its_inverted_lists(tmp_path, monkeypatch):
    monkeypatch.setattr(changes, "ORIGINALS_LIMIT", 0)
    rng = np.random.default_rng(4)
    index = create_index("plaid", tmp_path / "index")
    listed = set()
    for part in range(12):
        index.add([f"d{part}-{i}" for i in range(20)], ragged(rng, [8] * 20, 16))
        listed.add(index.state.manifest.record["listed"])
        for name in (f"d{part}-0", "d0-3"):
            assert index.search(index.stored([name]), 1)[0].ids == [name]
    assert 1 < len(listed) < 12


def test_vectors_beyond_float16_are_refused_before_anything_is_written(tmp_path):
    index = create_index("plaid", tmp_path / "index")
    with pytest.raises(InputError, match="normalise"):
        index.add(["a"], TokenEmbeddings.from_list([np.full((2, 4), 1e5, np.float32)]))
    assert len(open_index(index.path)) == 0
    assert sorted(path.name for path in index.path.iterdir()) == sorted(
        ["manifest.json", *(entry["file"] for entry in index.state.manifest.files.values()), "writer.lock"]
    )
