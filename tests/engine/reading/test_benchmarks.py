"""Tasks of benchmarks, each read in the layout of its authors from a folder that stands in place of the hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("datasets")

from benchmarks import layouts
from engine import Collection, Ranking, evaluate, load_collection
from engine.errors import InputError, NotFoundError
from engine.evaluation import search_depth

DOCUMENTS = {f"d{i}": f"text {i} about {word}" for i, word in enumerate(["tides", "bread", "clocks", "maps", "towers"])}
SMALL = Collection(
    DOCUMENTS, {"q0": "what moves the tides", "q1": "who bakes bread"}, {"q0": {"d0": 1}, "q1": {"d1": 1, "d3": 1}}
)


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield


def test_nanobeir(tmp_path: Path) -> None:
    layouts.nanobeir(tmp_path, {"scifact": SMALL, "nq": Collection({"x": "other"}, {"y": "other"}, {"y": {"x": 1}})})
    found = load_collection(f"nanobeir:scifact@{tmp_path}")
    assert (found.documents, found.queries, found.qrels) == (SMALL.documents, SMALL.queries, SMALL.qrels)
    assert found.name == "nanobeir:scifact"
    assert list(load_collection(f"nanobeir:nq@{tmp_path}").documents) == ["x"]
    with pytest.raises(InputError, match="choose among climatefever"):
        load_collection(f"nanobeir:sourdough@{tmp_path}")
    with pytest.raises(NotFoundError, match="NanoFEVER"):
        load_collection(f"nanobeir:fever@{tmp_path}")


def test_beir_as_the_hub_keeps_it_and_as_its_zips_unpack(tmp_path: Path) -> None:
    graded = Collection(SMALL.documents, SMALL.queries, {"q0": {"d0": 2, "d1": 0}, "q1": {"d1": 1}})
    hub, folder = layouts.beir(tmp_path / "a", {"scifact": graded}), layouts.beir_zip(tmp_path / "b", {"nq": graded})
    layouts.beir(tmp_path / "a", {"msmarco": graded}, split="dev")
    for name in (f"beir:scifact@{hub}", f"beir:nq@{folder}", f"beir:msmarco@{hub}"):
        found = load_collection(name)
        assert (found.documents, found.queries, found.qrels) == (graded.documents, graded.queries, graded.qrels), name


def test_bright_leaves_out_what_a_query_excludes_and_has_long_documents(tmp_path: Path) -> None:
    whole = {"d0": "w0", "d1": "w0", "d2": "w1", "d3": "w1", "d4": "w1"}
    layouts.bright(tmp_path, {"biology": SMALL, "aops": SMALL}, {"q0": ["d4", "gone"]}, whole)
    found = load_collection(f"bright:biology@{tmp_path}")
    assert (found.documents, found.queries, found.qrels) == (SMALL.documents, SMALL.queries, SMALL.qrels)
    assert found.excluded == {"q0": ("d4", "gone")}
    long = load_collection(f"bright:biology/long@{tmp_path}")
    assert set(long.documents) == {"w0", "w1"}
    assert "tides" in long.documents["w0"]
    assert "bread" in long.documents["w0"]
    assert long.qrels == {"q0": {"w0": 1}, "q1": {"w0": 1, "w1": 1}}
    assert load_collection(f"bright:aops@{tmp_path}").excluded == found.excluded
    with pytest.raises(InputError, match="no long documents"):
        load_collection(f"bright:aops/long@{tmp_path}")
    with pytest.raises(InputError, match="its domain and nothing"):
        load_collection(f"bright:biology/longer@{tmp_path}")


def test_what_a_query_excludes_takes_no_place_in_its_ranking() -> None:
    collection = Collection(DOCUMENTS, SMALL.queries, SMALL.qrels, excluded={"q0": ("d4", "d3")})
    ranked = Ranking(["d4", "d3", "d0", "d1"], np.arange(4, 0, -1, dtype=np.float32))
    scores = evaluate({"q0": ranked, "q1": ranked}, collection, ["mrr@1", "precision@2"])
    assert scores.per_query["mrr@1"] == {"q0": 1.0, "q1": 0.0}
    assert scores.per_query["precision@2"] == {"q0": 0.5, "q1": 0.5}
    assert any("1 queries exclude documents" in note for note in scores.notes)
    assert search_depth(["mrr@1"], 1, collection) == 3
    assert collection.fingerprint != Collection(DOCUMENTS, SMALL.queries, SMALL.qrels).fingerprint


def test_longembed_has_lengths_where_its_tasks_have(tmp_path: Path) -> None:
    layouts.longembed(tmp_path, {"qmsum": SMALL, "passkey": SMALL}, (256, 512))
    found = load_collection(f"longembed:qmsum@{tmp_path}")
    assert (found.documents, found.queries, found.qrels) == (SMALL.documents, SMALL.queries, SMALL.qrels)
    for length in (256, 512):
        part = load_collection(f"longembed:passkey/{length}@{tmp_path}")
        assert {len(text.split()) for text in part.documents.values()} == {length}
        assert part.qrels[f"q1-{length}"] == {f"d1-{length}": 1, f"d3-{length}": 1}
    for name in ("longembed:passkey", "longembed:qmsum/256", "longembed:passkey/300"):
        with pytest.raises(InputError, match=r"length|256"):
            load_collection(f"{name}@{tmp_path}")


def test_data_that_are_nowhere_get_a_sentence(tmp_path: Path) -> None:
    for name in ("bright:biology", "longembed:qmsum", "nanobeir:nq", "beir:scifact"):
        with pytest.raises(NotFoundError, match=r"could not be (fetched|loaded)|cannot be fetched"):
            load_collection(f"{name}@{tmp_path / 'nothing'}")
    with pytest.raises(InputError, match="leave it out"):
        load_collection(f"mteb:SciFact@{tmp_path}")
