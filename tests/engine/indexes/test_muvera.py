"""The index of MUVERA: candidates by encodings, exact scores, and encodings that follow every change."""

import numpy as np
import pytest

from engine import TokenEmbeddings, create_index, maxsim, open_index
from engine.errors import CorruptDataError, InputError
from engine.indexes.muvera import MuveraIndex
from engine.muvera import FORMS
from tests.conftest import ragged

RNG = np.random.default_rng(5)
DOCUMENTS = ragged(RNG, [*RNG.integers(3, 20, 119).tolist(), 0], 16)
QUERIES = ragged(RNG, [4, 7, 5], 16)
IDS = [f"d{i:03d}" for i in range(120)]


def built(folder, **settings):
    index = create_index("muvera", folder, **{"dim": 2560, **settings})
    assert isinstance(index, MuveraIndex)
    index.add(IDS, DOCUMENTS)
    return index


def encoded(index):
    """Encodings as they are kept, by id."""
    rows = [index.encodings.rows[slot].tobytes() + index.encodings.scales[slot].tobytes() for slot in index.slots]
    return dict(zip(index.ids, rows, strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_candidates_are_the_best_by_their_encodings_and_scores_are_exact(tmp_path, form):
    index = built(tmp_path / "i", form=form, candidates=20, dtype="float32")
    estimates = index.encodings.scores(index.map.encode_query(QUERIES))
    exact = maxsim(QUERIES, DOCUMENTS)
    for number, ranking in enumerate(index.search(QUERIES, 20)):
        assert set(ranking.ids) == {IDS[i] for i in np.argsort(-estimates[number], kind="stable")[:20]}
        np.testing.assert_allclose(ranking.scores, [exact[number, IDS.index(name)] for name in ranking.ids], atol=1e-5)


def test_all_candidates_give_what_exact_search_gives(tmp_path):
    index = built(tmp_path / "i", dtype="float32").tuned(candidates=120)
    for row, ranking in zip(maxsim(QUERIES, DOCUMENTS), index.search(QUERIES, 10), strict=True):
        assert ranking.ids == [IDS[i] for i in np.argsort(-row)[:10]]


def test_encodings_follow_every_change(tmp_path):
    whole, index = encoded(built(tmp_path / "whole")), built(tmp_path / "i")
    index.remove(IDS[:40])
    assert encoded(index) == {name: whole[name] for name in IDS[40:]}
    index.add(IDS[:5], DOCUMENTS[:5])
    assert encoded(open_index(index.path)) == {name: whole[name] for name in (*IDS[40:], *IDS[:5])}
    index.remove(IDS[40:110])  # more than half: what is left is written anew
    assert len(index.slots) == len(index.encodings)
    assert encoded(index) == {name: whole[name] for name in (*IDS[110:], *IDS[:5])}
    assert len(index.search(QUERIES, 50)[0]) == 14  # without the one that has no vectors
    index.verify()


def test_a_document_is_followed_through_both_stages(tmp_path):
    index = built(tmp_path / "i", candidates=5)
    kept = index.search(QUERIES[:1], 5)[0].ids
    lost = next(name for name in index.tuned(candidates=120).search(QUERIES[:1], 20)[0].ids if name not in kept)
    trace = index.trace(QUERIES[:1], lost, 5)
    assert [stage.name for stage in trace.stages] == ["encodings"]
    assert (trace.cut_by, trace.rank, trace.remedy) == ("candidates", None, "raise candidates")
    assert trace.stages[0].rank is not None
    assert trace.stages[0].rank > 5
    found = index.trace(QUERIES[:1], kept[2], 5)
    assert [stage.name for stage in found.stages] == ["encodings", "exact scores"]
    assert (found.cut_by, found.rank) == (None, 3)


def test_a_dimension_that_parts_do_not_fill_is_refused_before_writing(tmp_path):
    with pytest.raises(InputError, match="multiple of 8"):
        create_index("muvera", tmp_path / "i", dim=100)
    index = create_index("muvera", tmp_path / "i", dim=1000)
    files = sorted(path.name for path in index.path.iterdir())
    with pytest.raises(InputError, match="take 960 or 1024"):
        index.add(IDS, DOCUMENTS)
    assert sorted(path.name for path in index.path.iterdir()) == files
    assert len(open_index(index.path)) == 0


@pytest.mark.parametrize("name", ["encodings", "scales"])
def test_damage_is_found_before_a_change_hides_it(tmp_path, name):
    index = built(tmp_path / "i")
    path = index.path / index.state.manifest.files[name]["file"]
    content = bytearray(path.read_bytes())
    content[7] ^= 1
    path.write_bytes(content)
    index = open_index(index.path)
    index.add(["more"], TokenEmbeddings.from_list([QUERIES[0]]))
    with pytest.raises(CorruptDataError, match=name):
        index.verify()
    path.write_bytes(content[:-8])
    with pytest.raises(CorruptDataError, match=name):
        open_index(index.path)
